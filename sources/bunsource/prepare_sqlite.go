package bunsource

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/uptrace/bun"
)

// sqliteUnknownCollation stands for the collations of a table that declares
// any: SQLite does not say which column has which.
const sqliteUnknownCollation = "unknown"

func (m *model) inspectSQLite(ctx context.Context, conn bun.IConn) ([]tableColumn, error) {
	t, gen := m.schema.Table, m.db.QueryGen()
	var schema any // NULL: wherever the table is found first
	catalogue := "sqlite_master"
	if t.Schema != "" {
		schema = t.Schema
		catalogue = gen.FormatQuery("?.sqlite_master", bun.Ident(t.Schema))
	}
	var kind string
	var create sql.NullString
	isTable := false
	query := gen.FormatQuery("SELECT type, sql FROM ? WHERE type IN ('table', 'view') AND name = ? COLLATE NOCASE", bun.Safe(catalogue), t.Name)
	switch err := conn.QueryRowContext(ctx, query).Scan(&kind, &create); {
	case err == nil:
		isTable = kind == "table"
	case !errors.Is(err, sql.ErrNoRows):
		return nil, err
	}
	collation := "BINARY"
	if !isTable || strings.Contains(strings.ToUpper(create.String), "COLLATE") {
		collation = sqliteUnknownCollation
	}
	// SQLite built with ICU, or a program, may have given it another lower().
	var folds bool
	if err := conn.QueryRowContext(ctx, "SELECT lower('\u00c4A') = '\u00c4a'").Scan(&folds); err != nil {
		return nil, err
	}
	query = gen.FormatQuery(`SELECT name, type, "notnull", dflt_value IS NOT NULL, hidden IN (2, 3), pk FROM pragma_table_xinfo(?, ?)`, t.Name, schema)
	position := 0
	var keys []int // positions of the primary key's columns
	columns, err := readColumns(ctx, conn, query, func(scan func(...any) error) (tableColumn, error) {
		c := tableColumn{state: columnState{columnFacts: columnFacts{Collation: collation, Deterministic: true, FoldsASCII: folds, Known: isTable}}}
		var pk int
		err := scan(&c.name, &c.state.SQLType, &c.state.NotNull, &c.state.Default, &c.state.Generated, &pk)
		c.state.Computed = c.state.Generated
		if pk > 0 {
			keys = append(keys, position)
		}
		position++
		return c, err
	})
	// An INTEGER PRIMARY KEY is the row's number: given by the database if by
	// nobody else, and never NULL. Other
	// keys may be NULL in SQLite, unless they say otherwise.
	if err == nil && len(keys) == 1 && strings.EqualFold(columns[keys[0]].state.SQLType, "INTEGER") {
		columns[keys[0]].state.NotNull, columns[keys[0]].state.Default = true, true
	}
	return columns, err
}
