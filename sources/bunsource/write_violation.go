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
}

// The details of violations.
const (
	detailTaken     = "is taken by another row"
	detailNull      = "must not be null"
	detailReference = "refers to something that does not exist, or is referred to"
	detailCheck     = "breaks a rule of the table"
	detailRange     = "is out of range"
	detailTooLong   = "is too long"
	detailForm      = "is not of the column's type"
)

// violationOf recognises the errors of the databases that are due to what was
// written. Drivers are not imported for it: Postgres drivers tell the SQLSTATE
// by a method, the others by their text, which begins alike in all versions.
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
		case len(m) > 1 && known.detail == detailCheck:
			v.rule = m[1]
		case len(m) > 1:
			v.column = m[1]
		}
		return v, true
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
	{regexp.MustCompile(`datatype mismatch|cannot store \w+ value in \w+ column`), detailForm},
	{regexp.MustCompile(`string or blob too big`), detailTooLong},
	{regexp.MustCompile(`Error 1062\b`), detailTaken},
	{regexp.MustCompile(`Error 1048\b.*Column '([^']+)'`), detailNull},
	{regexp.MustCompile(`Error 145[12]\b`), detailReference},
	{regexp.MustCompile(`Error 3819\b.*constraint '([^']+)'`), detailCheck},
	{regexp.MustCompile(`Error 1264\b.*column '([^']+)'`), detailRange},
	{regexp.MustCompile(`Error 1406\b.*column '([^']+)'`), detailTooLong},
	{regexp.MustCompile(`Error 136[67]\b`), detailForm},
}

// postgresDetails are the details of SQLSTATEs.
var postgresDetails = map[string]string{
	"23502": detailNull,
	"23503": detailReference,
	"23505": detailTaken,
	"23514": detailCheck,
	"23P01": detailTaken,
	"22001": detailTooLong,
	"22003": detailRange,
	"22007": detailForm,
	"22008": detailRange,
	"22021": detailForm, // a character that the encoding does not have
	"22P02": detailForm,
	"22P05": detailForm,
}

var postgresKeyDetail = regexp.MustCompile(`^Key \("?([^",)]+)"?\)=`)

func postgresViolation(state string, err error) (violation, bool) {
	detail, ok := postgresDetails[state]
	if !ok {
		return violation{}, false
	}
	v := violation{detail: detail, column: errorField(err, "ColumnName"), rule: errorField(err, "ConstraintName")}
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
