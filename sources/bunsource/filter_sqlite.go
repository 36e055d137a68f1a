package bunsource

import (
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// affinity is what SQLite makes of values that are stored in a column.
type affinity uint8

const (
	affinityBlob affinity = iota // it takes them as they are
	affinityText
	affinityNumeric
	affinityInteger
	affinityReal
)

// sqliteAffinity returns the affinity that follows from a declared type, by
// the rules of SQLite's documentation, in their order.
func sqliteAffinity(sqlType string) affinity {
	t := strings.ToUpper(sqlType)
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(t, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("INT"):
		return affinityInteger
	case has("CHAR", "CLOB", "TEXT"):
		return affinityText
	case has("BLOB") || t == "":
		return affinityBlob
	case has("REAL", "FLOA", "DOUB"):
		return affinityReal
	default:
		return affinityNumeric
	}
}

// sqliteTime compares a column that holds times as texts, in whatever form and
// zone. An equal time is looked for in all common forms, so that an index is
// used; an order is decided by SQLite's own reading of the texts, which is to
// the millisecond, and within one millisecond by the texts.
func (w *whereWriter) sqliteTime(c whereColumn, op filter.Op, v value.Value) {
	forms := equalForms([]value.Value{v})
	switch op {
	case filter.OpEq:
		w.timeForms(c, " IN ", forms)
		return
	case filter.OpNe:
		w.timeForms(c, " NOT IN ", forms)
		return
	}
	text := "'" + v.Any().(time.Time).Format("2006-01-02 15:04:05.999999999-07:00") + "'"
	strict := op.String()[:1]
	w.write("(julianday(")
	w.ident(c)
	w.write(") " + strict + " julianday(" + text + ") OR (julianday(")
	w.ident(c)
	w.write(") = julianday(" + text + ") AND (")
	w.ident(c)
	w.write(" " + strict + " " + text)
	if op == filter.OpLe || op == filter.OpGe {
		w.write(" OR ")
		w.timeForms(c, " IN ", forms)
	} else {
		w.write(" AND ")
		w.timeForms(c, " NOT IN ", forms)
	}
	w.write(")))")
}

func (w *whereWriter) sqliteTimeIn(c whereColumn, values []value.Value) {
	w.timeForms(c, " IN ", equalForms(values))
}

func (w *whereWriter) timeForms(c whereColumn, op, forms string) {
	w.ident(c)
	w.write(op + "(" + forms + ")")
}
