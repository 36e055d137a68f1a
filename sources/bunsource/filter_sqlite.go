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
// zone.
func (w *whereWriter) sqliteTime(c whereColumn, op filter.Op, v value.Value) {
	w.template(c, sqliteTimeIs(op, v.Any().(time.Time)))
}

func (w *whereWriter) sqliteTimeIn(c whereColumn, values []value.Value) {
	conditions := make([]string, len(values))
	for i, v := range values {
		conditions[i] = sqliteTimeIs(filter.OpEq, v.Any().(time.Time))
	}
	w.template(c, halved(conditions, " OR "))
}

// template writes a condition in which the column stands for [sqliteColumn].
func (w *whereWriter) template(c whereColumn, condition string) {
	for i, part := range strings.Split(condition, sqliteColumn) {
		if i > 0 {
			w.ident(c)
		}
		w.write(part)
	}
}

// halved joins conditions without nesting them deeply, which SQLite limits.
func halved(conditions []string, op string) string {
	if len(conditions) == 1 {
		return conditions[0]
	}
	half := len(conditions) / 2
	return "(" + halved(conditions[:half], op) + op + halved(conditions[half:], op) + ")"
}
