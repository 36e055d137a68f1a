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
		id := &columns[keys[0]].state
		id.NotNull, id.Default = true, true
		// Not in a table WITHOUT ROWID, and not as INTEGER PRIMARY KEY DESC.
		text := strings.ToUpper(create.String)
		id.RowID = isTable && !strings.Contains(text, "ROWID") && !strings.Contains(text, "DESC")
	}
	return columns, err
}

// sqliteClasses are the storage classes that the affinities ask for. A column of
// another affinity than these is never exact but for booleans, which are integers.
var sqliteClasses = map[affinity]string{
	affinityInteger: "integer", affinityNumeric: "integer", affinityReal: "real", affinityText: "text", affinityBlob: "blob",
}

// findMixed marks the columns that hold values of another storage class than their
// type asks for. The table is read once, up to the first such value of each column;
// a STRICT table has none, and is not read.
func (m *model) findMixed(ctx context.Context, conn bun.IConn, columns []tableColumn) error {
	gen := m.db.QueryGen()
	var strict bool
	query := gen.FormatQuery("SELECT EXISTS (SELECT 1 FROM pragma_table_list(?) WHERE strict)", m.schema.Table.Name)
	if err := conn.QueryRowContext(ctx, query).Scan(&strict); err == nil && strict {
		return nil // SQLite before 3.37 has neither the pragma nor such tables
	}
	var checks []string
	var into []any
	for i := range columns {
		c := &columns[i]
		if m.schema.Column(c.name) < 0 || c.state.RowID {
			continue
		}
		c.state.Loose = true
		into = append(into, &c.state.Mixed)
		checks = append(checks, gen.FormatQuery("EXISTS (SELECT 1 FROM ? WHERE typeof(?) NOT IN (?, 'null'))",
			m.table.SQLName, bun.Name(c.name), sqliteClasses[sqliteAffinity(c.state.SQLType)]))
	}
	if len(checks) == 0 {
		return nil
	}
	return conn.QueryRowContext(ctx, "SELECT "+strings.Join(checks, ", ")).Scan(into...)
}
