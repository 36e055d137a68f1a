package bunsource

import (
	"errors"
	"reflect"
	"regexp"
	"strings"
)

// violation is what a row did wrong in the database's eyes.
type violation struct {
	column string // "" when the database does not say
	detail string // for clients: never the driver's own words
	rule   string // the rule that was broken, as the database calls it, "" for none

	ofValue bool // the column's type does not hold the value
	denied  bool // the row is not to be written, whatever it holds
}

// The details of violations.
const (
	detailTaken     = "is taken by another row"
	detailNull      = "must not be null"
	detailReference = "refers to something that does not exist, or is referred to"
	detailCheck     = "breaks a rule of the table"
	detailRaised    = "is refused by a rule of the database"
	detailMade      = "is made by the database and cannot be given"
	detailRange     = "is out of range"
	detailTooLong   = "is too long"
	detailForm      = "is not of the column's type"
)

// violationOf recognises the errors of the databases that are due to what was
// written. Drivers are not imported for it: Postgres drivers tell the SQLSTATE
// by a method, the others by numbers, and by their text, which begins alike in
// all versions.
func violationOf(err error) (violation, bool) {
	var coded interface{ SQLState() string }
	if errors.As(err, &coded) {
		return postgresViolation(coded.SQLState(), err)
	}
	text := err.Error()
	for _, known := range textViolations {
		m := known.pattern.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		v := violation{detail: known.detail}
		switch {
		case len(m) > 1 && (known.detail == detailCheck || strings.Contains(m[0], "for key")):
			v.rule = m[1] // an index has a name of its own, which is often the column's
		case len(m) > 1:
			v.column = m[1]
		}
		return v, true
	}
	if detail, ok := sqliteDetail(err); ok {
		return violation{detail: detail}, true
	}
	return violation{}, false
}

// textViolations are the errors of SQLite and MySQL.
var textViolations = []struct {
	pattern *regexp.Regexp
	detail  string
}{
	{regexp.MustCompile(`UNIQUE constraint failed: (?:[^.,]*\.)?([^\s,(]+)`), detailTaken},
	{regexp.MustCompile(`NOT NULL constraint failed: (?:[^.,]*\.)?([^\s,(]+)`), detailNull},
	{regexp.MustCompile(`FOREIGN KEY constraint failed`), detailReference},
	{regexp.MustCompile(`CHECK constraint failed: (.*)`), detailCheck},
	{regexp.MustCompile(`cannot store \w+ value in \w+ column \S+?\.(\w+)`), detailForm},
	{regexp.MustCompile(`datatype mismatch|cannot store \w+ value in \w+ column`), detailForm},
	{regexp.MustCompile(`string or blob too big`), detailTooLong},
	{regexp.MustCompile(`SQL logic error: integer overflow`), detailRange},
	{regexp.MustCompile(`SQL logic error: malformed JSON`), detailForm},
	{regexp.MustCompile(`Error 1062\b.*for key '(?:[^'.]*\.)?([^']+)'`), detailTaken},
	{regexp.MustCompile(`Error 1062\b`), detailTaken},
	{regexp.MustCompile(`Error (?:1048|1364)\b.*(?:Column|Field) '([^']+)'`), detailNull},
	{regexp.MustCompile(`Error 145[12]\b.*FOREIGN KEY \(.([^,)]+).\)`), detailReference},
	{regexp.MustCompile(`Error 145[12]\b`), detailReference},
	{regexp.MustCompile(`Error 3819\b.*constraint '([^']+)'`), detailCheck},
	{regexp.MustCompile(`Error 1369\b`), detailCheck},
	{regexp.MustCompile(`Error 1264\b.*column '([^']+)'`), detailRange},
	{regexp.MustCompile(`Error 1690\b`), detailRange},
	{regexp.MustCompile(`Error 1406\b.*column '([^']+)'`), detailTooLong},
	{regexp.MustCompile(`Error (?:1265|1292|3140)\b.*column '([^']+)'`), detailForm},
	{regexp.MustCompile(`Error (?:136[67]|3140)\b`), detailForm},
	{regexp.MustCompile(`Error 1644\b`), detailRaised}, // SIGNAL without a number of its own
	{regexp.MustCompile(`Error 3105\b.*column '([^']+)'`), detailMade},
}

// sqliteDetail reads SQLite's result codes, for what has no text of its own: a
// trigger's RAISE has the text that it is given.
func sqliteDetail(err error) (string, bool) {
	const (
		sqliteTooBig     = 18
		sqliteConstraint = 19
		sqliteMismatch   = 20
		sqliteTrigger    = sqliteConstraint | 7<<8
	)
	code, ok := sqliteCode(err)
	switch {
	case !ok:
		return "", false
	case code == sqliteTrigger:
		return detailRaised, true
	case code&0xff == sqliteConstraint:
		return detailCheck, true
	case code&0xff == sqliteTooBig:
		return detailTooLong, true
	case code&0xff == sqliteMismatch:
		return detailForm, true
	}
	return "", false
}

// sqliteCode returns the extended result code of an error of SQLite's: modernc
// and ncruces tell it by a method, mattn by a field.
func sqliteCode(err error) (int, bool) {
	var coded interface{ Code() int }
	if errors.As(err, &coded) {
		return coded.Code(), true
	}
	for ; err != nil; err = errors.Unwrap(err) {
		v := reflect.Indirect(reflect.ValueOf(err))
		if v.Kind() != reflect.Struct {
			continue
		}
		if f := v.FieldByName("ExtendedCode"); f.IsValid() && f.CanInt() {
			return int(f.Int()), true
		}
		if m := v.MethodByName("ExtendedCode"); m.IsValid() && m.Type().NumIn() == 0 && m.Type().NumOut() == 1 && m.Type().Out(0).Kind() == reflect.Uint16 {
			return int(m.Call(nil)[0].Uint()), true
		}
	}
	return 0, false
}

// postgresDetails are the details of SQLSTATEs. Those of the classes 22 and 23
// that are not here, and those that no class of Postgres's own has, have details
// in postgresViolation.
var postgresDetails = map[string]string{
	"23502": detailNull,
	"23503": detailReference,
	"23001": detailReference,
	"23505": detailTaken,
	"23514": detailCheck,
	"23P01": detailTaken,
	"22001": detailTooLong,
	"22003": detailRange,
	"22008": detailRange,
	"44000": detailCheck, // WITH CHECK OPTION
	"P0001": detailRaised,
	"P0004": detailRaised,
	"428C9": detailMade,
	"42501": detailRaised,  // row-level security, or the role's rights
	"54000": detailTooLong, // of an index's entry, for one
}

// postgresClasses are the classes of SQLSTATEs that Postgres and the SQL
// standard have. Any other is an application's own, for what its functions
// raise.
const postgresClasses = " 00 01 02 03 08 09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 40 42 44 53 54 55 57 58 72 F0 HV P0 XX "

var postgresKeyDetail = regexp.MustCompile(`^Key \("?([^",)]+)"?\)=`)

func postgresViolation(state string, err error) (violation, bool) {
	if len(state) != 5 {
		return violation{}, false
	}
	detail, ok := postgresDetails[state]
	class := state[:2]
	switch {
	case ok:
	case class == "22":
		detail = detailForm
	case class == "23":
		detail = detailCheck
	case !strings.Contains(postgresClasses, " "+class+" "):
		detail = detailRaised
	default:
		return violation{}, false
	}
	v := violation{
		detail: detail, column: errorField(err, "ColumnName"), rule: errorField(err, "ConstraintName"),
		ofValue: class == "22", denied: state == "42501",
	}
	if v.column == "" {
		if m := postgresKeyDetail.FindStringSubmatch(errorField(err, "Detail")); m != nil {
			v.column = m[1]
		}
	}
	return v, true
}

// errorField returns a string field of the driver's error, whatever its type,
// or of one that it wraps.
func errorField(err error, name string) string {
	for ; err != nil; err = errors.Unwrap(err) {
		v := reflect.Indirect(reflect.ValueOf(err))
		if v.Kind() != reflect.Struct {
			continue
		}
		if f := v.FieldByName(name); f.IsValid() && f.Kind() == reflect.String {
			return f.String()
		}
	}
	return ""
}

var ruleWord = regexp.MustCompile(`[\p{L}_][\p{L}\p{N}_$]*`)

// columnOfRule returns the column that a rule is about, when its name or its
// text says so and names no other; else "". Postgres names the rule of a column
// table_column_check, SQLite cites the condition.
func (m *model) columnOfRule(rule string) string {
	if rest, ok := strings.CutPrefix(rule, m.schema.Table.Name+"_"); ok {
		if column, _, ok := cutLast(rest, "_check"); ok && m.schema.Column(column) >= 0 {
			return column
		}
	}
	found := ""
	for _, word := range ruleWord.FindAllString(rule, -1) {
		switch {
		case m.schema.Column(word) < 0 || word == found:
		case found != "":
			return ""
		default:
			found = word
		}
	}
	return found
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
