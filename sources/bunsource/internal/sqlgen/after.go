package sqlgen

import (
	"fmt"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// Scans reports whether a read can continue after a key: whether the database
// compares every key value in a single form.
func Scans(m *model.Model) bool {
	for _, column := range m.Keys {
		if comparesAsNumber(m, column) || storesTextsAsBlobs(m.DB.Dialect().Name(), m.Columns[column].Facts.SQLType) || m.UUIDTexts(column) && len(m.Keys) > 1 {
			return false
		}
		switch m.Schema.Columns[column].Kind {
		case value.KindInt, value.KindText:
		case value.KindBool:
			if m.DB.Dialect().Name() == dialect.SQLite && m.Schema.Columns[column].Exact == 0 {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// After returns a condition for the rows that follow the key in the order of the
// key's columns.
func After(m *model.Model, key driver.Key) (string, error) {
	vals, err := keyValues(m, key)
	if err != nil {
		return "", err
	}
	if vals == nil {
		return "", fmt.Errorf("key %s does not fit its columns", key)
	}
	columns, parts := make([]string, len(vals)), make([]string, len(vals))
	for i, v := range vals {
		forms := literals(m, m.Keys[i], v)
		if m.UUIDTexts(m.Keys[i]) && len(forms) > 0 {
			// In the order of texts, the row stands where its own form does.
			forms = []string{m.DB.QueryGen().FormatQuery("coalesce((SELECT ? FROM ? WHERE ? IN (?) LIMIT 1), ?)",
				bun.Safe(m.Columns[m.Keys[i]].Field.SQLName), m.Table.SQLName, bun.Safe(m.Columns[m.Keys[i]].Field.SQLName), bun.Safe(strings.Join(forms, ", ")), bun.Safe(forms[0]))}
		}
		if len(forms) != 1 || v.IsNull() {
			return "", fmt.Errorf("key %s cannot be read on from", key)
		}
		columns[i], parts[i] = KeyColumn(m, i), forms[0]
	}
	if len(vals) == 1 {
		return columns[0] + " > " + parts[0], nil
	}
	if name := m.DB.Dialect().Name(); name == dialect.PG || name == dialect.SQLite {
		return "(" + strings.Join(columns, ", ") + ") > (" + strings.Join(parts, ", ") + ")", nil
	}
	// MySQL finds no index for a comparison of rows.
	var any []string
	for i := range vals {
		all := make([]string, 0, i+1)
		for j := range i {
			all = append(all, columns[j]+" = "+parts[j])
		}
		any = append(any, "("+strings.Join(append(all, columns[i]+" > "+parts[i]), " AND ")+")")
	}
	return "(" + strings.Join(any, " OR ") + ")", nil
}
