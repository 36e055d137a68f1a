package sqlgen

import (
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// sqliteTime compares a column that holds times as texts, in any form and zone.
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

// template writes a condition, with the column in place of [ColumnMark].
func (w *whereWriter) template(c whereColumn, condition string) {
	for i, part := range strings.Split(condition, ColumnMark) {
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
