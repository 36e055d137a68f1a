package readtables

import (
	"context"
	"database/sql"
	"strings"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// undeclaredMySQL has MySQL explain the query and asks for the note that it
// leaves, the query with all names resolved: the plan itself knows tables by
// their aliases.
func undeclaredMySQL(m *model.Model, ctx context.Context, conn bun.IConn, query string, declared []driver.Table) ([]driver.Table, error) {
	if err := scanAll(ctx, conn, "EXPLAIN "+query, func(*sql.Rows) error { return nil }); err != nil {
		return nil, err
	}
	var shown []driver.Table
	err := scanAll(ctx, conn, "SHOW WARNINGS", func(rows *sql.Rows) error {
		var level, message string
		var code int
		err := rows.Scan(&level, &code, &message)
		if code == mysqlExplainNote {
			shown = append(shown, TablesInNote(message)...)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var missing []driver.Table
	for _, t := range shown {
		if declares(declared, t) || declares(missing, t) {
			continue
		}
		// The note is a text for people, so a name may only look like a table.
		found := false
		ask := m.DB.QueryGen().FormatQuery("SELECT 1 FROM information_schema.tables WHERE table_schema = ? AND table_name = ?", t.Schema, t.Name)
		if err := scanAll(ctx, conn, ask, func(*sql.Rows) error { found = true; return nil }); err != nil {
			return nil, err
		}
		if found {
			missing = append(missing, t)
		}
	}
	return missing, nil
}

// mysqlExplainNote is the code of the note that EXPLAIN leaves (ER_YES).
const mysqlExplainNote = 1003

// TablesInNote returns the tables that a resolved query reads: names of two
// parts in back quotes, behind FROM or JOIN and any number of parentheses.
func TablesInNote(note string) []driver.Table {
	var tables []driver.Table
	expected := false
	for note != "" {
		switch c := note[0]; {
		case c == '`':
			var parts []string
			parts, note = cutName(note)
			if expected && len(parts) == 2 {
				tables = append(tables, driver.Table{Schema: parts[0], Name: parts[1]})
			}
			expected = false
			continue
		case c == '\'' || c == '"':
			note = note[quotedEnd(note):]
			expected = false
			continue
		case c == '(' || c == ' ' || c == '\n':
		case isWordByte(c):
			end := 1
			for end < len(note) && isWordByte(note[end]) {
				end++
			}
			word := note[:end]
			expected = strings.EqualFold(word, "FROM") || strings.EqualFold(word, "JOIN") || strings.EqualFold(word, "STRAIGHT_JOIN")
			note = note[end:]
			continue
		default:
			expected = false
		}
		note = note[1:]
	}
	return tables
}

func isWordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// cutName cuts a name in back quotes, with all its parts, off the text.
func cutName(text string) (parts []string, rest string) {
	for {
		end := quotedEnd(text)
		parts = append(parts, strings.ReplaceAll(strings.TrimSuffix(text[1:end], "`"), "``", "`"))
		if !strings.HasPrefix(text[end:], ".`") {
			return parts, text[end:]
		}
		text = text[end+1:]
	}
}

// quotedEnd returns where the quoted text ends that the text begins with. The
// quote doubled, or in texts behind a backslash, does not end it.
func quotedEnd(text string) int {
	quote := text[0]
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote != '`':
			i++
		case text[i] != quote:
		case i+1 < len(text) && text[i+1] == quote:
			i++
		default:
			return i + 1
		}
	}
	return len(text)
}
