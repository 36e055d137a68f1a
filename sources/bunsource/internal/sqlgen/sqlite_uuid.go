package sqlgen

import (
	"strings"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// sqliteUUIDs returns the literals for the forms in which SQLite may hold the uuid,
// nil for what is none.
func sqliteUUIDs(v value.Value) []string {
	canonical := v.String()
	if !model.IsCanonicalUUID(canonical) {
		return nil
	}
	digits := strings.ReplaceAll(canonical, "-", "")
	forms := []string{canonical, strings.ToUpper(canonical), digits, strings.ToUpper(digits)}
	for i, form := range forms {
		forms[i] = "'" + form + "'"
	}
	return append(forms, "X'"+digits+"'")
}

// sqliteUUIDIs returns a condition on a column of uuids: it compares uuids, in
// whatever form. Equality uses an index.
func sqliteUUIDIs(op filter.Op, v value.Value) string {
	switch op {
	case filter.OpEq:
		return "{column} IN (" + strings.Join(sqliteUUIDs(v), ", ") + ")"
	case filter.OpNe:
		return "{column} NOT IN (" + strings.Join(sqliteUUIDs(v), ", ") + ")"
	}
	return "lower(CASE typeof({column}) WHEN 'blob' THEN hex({column}) ELSE replace({column}, '-', '') END) " + op.String() + " '" + strings.ReplaceAll(v.String(), "-", "") + "'"
}
