package model

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
)

// SQLiteUnknownCollation stands for the collations of a table that declares
// any: SQLite does not say which column has which.
const SQLiteUnknownCollation = "unknown"

func (m *Model) inspectSQLite(ctx context.Context, conn bun.IConn) ([]TableColumn, error) {
	t, gen := m.Schema.Table, m.DB.QueryGen()
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
		collation = SQLiteUnknownCollation
	}
	// SQLite built with ICU, or a program, may have given it another lower().
	var folds bool
	if err := conn.QueryRowContext(ctx, "SELECT lower('\u00c4A') = '\u00c4a'").Scan(&folds); err != nil {
		return nil, err
	}
	query = gen.FormatQuery(`SELECT name, type, "notnull", dflt_value IS NOT NULL, hidden IN (2, 3), pk FROM pragma_table_xinfo(?, ?)`, t.Name, schema)
	position := 0
	var keys []int // positions of the primary key's columns
	columns, err := readColumns(ctx, conn, query, func(scan func(...any) error) (TableColumn, error) {
		c := TableColumn{State: State{Facts: exact.Facts{Collation: collation, Deterministic: true, FoldsASCII: folds, Known: isTable}}}
		var pk int
		err := scan(&c.Name, &c.State.SQLType, &c.State.NotNull, &c.State.Default, &c.State.Generated, &pk)
		c.State.Computed = c.State.Generated
		if pk > 0 {
			keys = append(keys, position)
		}
		position++
		return c, err
	})
	// An INTEGER PRIMARY KEY is the row's number: given by the database if by
	// nobody else, and never NULL. Other
	// keys may be NULL in SQLite, unless they say otherwise.
	if err == nil && len(keys) == 1 && strings.EqualFold(columns[keys[0]].State.SQLType, "INTEGER") {
		id := &columns[keys[0]].State
		id.NotNull, id.Default = true, true
		// Not in a table WITHOUT ROWID, and not as INTEGER PRIMARY KEY DESC.
		text := strings.ToUpper(create.String)
		id.RowID = isTable && !strings.Contains(text, "ROWID") && !strings.Contains(text, "DESC")
	}
	return columns, err
}

// sqliteClasses are the storage classes that the affinities ask for. Of columns with
// other affinities only booleans are exact; their values are integers.
var sqliteClasses = map[exact.Affinity]string{
	exact.AffinityInteger: "integer", exact.AffinityNumeric: "integer", exact.AffinityReal: "real", exact.AffinityText: "text", exact.AffinityBlob: "blob",
}

// findMixed marks the columns that hold values of another storage class than their
// type asks for. The table is read once, up to the first such value of each column;
// a STRICT table has none, and is not read.
func (m *Model) findMixed(ctx context.Context, conn bun.IConn, columns []TableColumn) error {
	gen := m.DB.QueryGen()
	var strict bool
	query := gen.FormatQuery("SELECT EXISTS (SELECT 1 FROM pragma_table_list(?) WHERE strict)", m.Schema.Table.Name)
	if err := conn.QueryRowContext(ctx, query).Scan(&strict); err == nil && strict {
		return nil // SQLite before 3.37 has neither the pragma nor such tables
	}
	var checks []string
	var into []any
	for i := range columns {
		c := &columns[i]
		if m.Schema.Column(c.Name) < 0 || c.State.RowID {
			continue
		}
		c.State.Loose = true
		into = append(into, &c.State.Mixed)
		checks = append(checks, gen.FormatQuery("EXISTS (SELECT 1 FROM ? WHERE typeof(?) NOT IN (?, 'null'))",
			m.Table.SQLName, bun.Name(c.Name), sqliteClasses[exact.SQLiteAffinity(c.State.SQLType)]))
	}
	if len(checks) == 0 {
		return nil
	}
	return conn.QueryRowContext(ctx, "SELECT "+strings.Join(checks, ", ")).Scan(into...)
}
