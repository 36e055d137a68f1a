package sqlgen

import (
	"strings"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// sqliteUUIDs returns literals for all forms in which SQLite may hold the uuid, nil if
// the value is no uuid.
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

// sqliteUUIDIs returns a condition on a column of uuids. It compares uuids in any
// form. Equality uses an index.
func sqliteUUIDIs(op filter.Op, v value.Value) string {
	switch op {
	case filter.OpEq:
		return "{column} IN (" + strings.Join(sqliteUUIDs(v), ", ") + ")"
	case filter.OpNe:
		return "{column} NOT IN (" + strings.Join(sqliteUUIDs(v), ", ") + ")"
	}
	return "lower(CASE typeof({column}) WHEN 'blob' THEN hex({column}) ELSE replace({column}, '-', '') END) " + op.String() + " '" + strings.ReplaceAll(v.String(), "-", "") + "'"
}
