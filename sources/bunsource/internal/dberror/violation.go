package dberror

import (
	"errors"
	"reflect"
	"regexp"
	"strings"
)

// Violation says why the database refused a row.
type Violation struct {
	Column string // "" when the database does not say
	Detail string // for clients: never the driver's own words
	Rule   string // the rule that was broken, as the database calls it, "" for none

	OfValue bool // the column's type does not hold the value
	Denied  bool // the row is not to be written, whatever it holds
}

// The details of violations.
const (
	DetailTaken     = "is taken by another row"
	DetailNull      = "must not be null"
	DetailReference = "refers to something that does not exist, or is referred to"
	DetailCheck     = "breaks a rule of the table"
	DetailRaised    = "is refused by a rule of the database"
	detailMade      = "is made by the database and cannot be given"
	DetailRange     = "is out of range"
	DetailTooLong   = "is too long"
	DetailForm      = "is not of the column's type"
)

// Of recognises database errors that the written values caused. It needs no driver
// imports: Postgres drivers have a method for the SQLSTATE, the others have numbers
// and texts, whose beginnings are the same in all versions.
func Of(err error) (Violation, bool) {
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
		v := Violation{Detail: known.detail}
		switch {
		case len(m) > 1 && (known.detail == DetailCheck || strings.Contains(m[0], "for key")):
			v.Rule = m[1] // the index's name, which is often the column's
		case len(m) > 1:
			v.Column = m[1]
		}
		return v, true
	}
	if detail, ok := sqliteDetail(err); ok {
		return Violation{Detail: detail}, true
	}
	return Violation{}, false
}

// textViolations are the errors of SQLite and MySQL.
var textViolations = []struct {
	pattern *regexp.Regexp
	detail  string
}{
	{regexp.MustCompile(`UNIQUE constraint failed: (?:[^.,]*\.)?([^\s,(]+)`), DetailTaken},
	{regexp.MustCompile(`NOT NULL constraint failed: (?:[^.,]*\.)?([^\s,(]+)`), DetailNull},
	{regexp.MustCompile(`FOREIGN KEY constraint failed`), DetailReference},
	{regexp.MustCompile(`CHECK constraint failed: (.*)`), DetailCheck},
	{regexp.MustCompile(`cannot store \w+ value in \w+ column \S+?\.(\w+)`), DetailForm},
	{regexp.MustCompile(`datatype mismatch|cannot store \w+ value in \w+ column`), DetailForm},
	{regexp.MustCompile(`string or blob too big`), DetailTooLong},
	{regexp.MustCompile(`SQL logic error: integer overflow`), DetailRange},
	{regexp.MustCompile(`SQL logic error: malformed JSON`), DetailForm},
	{regexp.MustCompile(`Error 1062\b.*for key '(?:[^'.]*\.)?([^']+)'`), DetailTaken},
	{regexp.MustCompile(`Error 1062\b`), DetailTaken},
	{regexp.MustCompile(`Error (?:1048|1364)\b.*(?:Column|Field) '([^']+)'`), DetailNull},
	{regexp.MustCompile(`Error 145[12]\b.*FOREIGN KEY \(.([^,)]+).\)`), DetailReference},
	{regexp.MustCompile(`Error 145[12]\b`), DetailReference},
	{regexp.MustCompile(`Error 3819\b.*constraint '([^']+)'`), DetailCheck},
	{regexp.MustCompile(`Error 1369\b`), DetailCheck},
	{regexp.MustCompile(`Error 1264\b.*column '([^']+)'`), DetailRange},
	{regexp.MustCompile(`Error 1690\b`), DetailRange},
	{regexp.MustCompile(`Error 1406\b.*column '([^']+)'`), DetailTooLong},
	{regexp.MustCompile(`Error (?:1265|1292|3140)\b.*column '([^']+)'`), DetailForm},
	{regexp.MustCompile(`Error (?:136[67]|3140)\b`), DetailForm},
	{regexp.MustCompile(`Error 1644\b`), DetailRaised}, // SIGNAL without a number of its own
	{regexp.MustCompile(`Error 3105\b.*column '([^']+)'`), detailMade},
}

// sqliteDetail reads SQLite's result codes, for errors without a fixed text: RAISE in
// a trigger sets any text.
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
		return DetailRaised, true
	case code&0xff == sqliteConstraint:
		return DetailCheck, true
	case code&0xff == sqliteTooBig:
		return DetailTooLong, true
	case code&0xff == sqliteMismatch:
		return DetailForm, true
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
	"23502": DetailNull,
	"23503": DetailReference,
	"23001": DetailReference,
	"23505": DetailTaken,
	"23514": DetailCheck,
	"23P01": DetailTaken,
	"22001": DetailTooLong,
	"22003": DetailRange,
	"22008": DetailRange,
	"44000": DetailCheck, // WITH CHECK OPTION
	"P0001": DetailRaised,
	"P0004": DetailRaised,
	"428C9": detailMade,
	"42501": DetailRaised,  // row-level security, or the role's rights
	"54000": DetailTooLong, // of an index's entry, for one
}

// postgresClasses are the SQLSTATE classes of Postgres and the SQL standard.
// Applications choose any other for errors that their functions raise.
const postgresClasses = " 00 01 02 03 08 09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 40 42 44 53 54 55 57 58 72 F0 HV P0 XX "

var postgresKeyDetail = regexp.MustCompile(`^Key \("?([^",)]+)"?\)=`)

func postgresViolation(state string, err error) (Violation, bool) {
	if len(state) != 5 {
		return Violation{}, false
	}
	detail, ok := postgresDetails[state]
	class := state[:2]
	switch {
	case ok:
	case class == "22":
		detail = DetailForm
	case class == "23":
		detail = DetailCheck
	case !strings.Contains(postgresClasses, " "+class+" "):
		detail = DetailRaised
	default:
		return Violation{}, false
	}
	v := Violation{
		Detail: detail, Column: errorField(err, "ColumnName"), Rule: errorField(err, "ConstraintName"),
		OfValue: class == "22", Denied: state == "42501",
	}
	if v.Column == "" {
		if m := postgresKeyDetail.FindStringSubmatch(errorField(err, "Detail")); m != nil {
			v.Column = m[1]
		}
	}
	return v, true
}

// errorField returns a string field of the driver's error, of any type, or of an
// error that it wraps.
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
