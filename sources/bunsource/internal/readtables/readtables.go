package readtables

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// Undeclared returns the tables that the query reads, by what the database's
// plan for it shows, and that are not among those declared. It asks over the
// connection, which must be that of a transaction. The plan need not show all: not
// what turns out to be empty or of no use before it is run, and not what functions
// read. A declared table that does not exist is an error.
func Undeclared(ctx context.Context, conn bun.IConn, m *model.Model, query string, declared []driver.Table) (missing []driver.Table, err error) {
	switch m.DB.Dialect().Name() {
	case dialect.SQLite:
		missing, err = undeclaredSQLite(m, ctx, conn, query, declared)
	case dialect.PG:
		missing, err = undeclaredPostgres(m, ctx, conn, query, declared)
	case dialect.MySQL:
		missing, err = undeclaredMySQL(m, ctx, conn, query, declared)
	}
	for i := range missing {
		missing[i].Database = m.Schema.Table.Database
	}
	return missing, err
}

// Quoted returns the table's name as the database's SQL has it.
func Quoted(db *bun.DB, t driver.Table) string {
	q := string(db.Dialect().IdentQuote())
	name := q + strings.ReplaceAll(t.Name, q, q+q) + q
	if t.Schema != "" {
		name = q + strings.ReplaceAll(t.Schema, q, q+q) + q + "." + name
	}
	return name
}

// declares reports whether the table is among those declared, for databases
// that ignore case in names. A schema left out of a declaration is any.
func declares(declared []driver.Table, t driver.Table) bool {
	return slices.ContainsFunc(declared, func(d driver.Table) bool {
		return strings.EqualFold(d.Name, t.Name) && (d.Schema == "" || strings.EqualFold(d.Schema, t.Schema))
	})
}

func errNoDependency(name string) error {
	return fmt.Errorf("it depends on table %q, which does not exist", name)
}

// scanAll runs a query and scans all its rows, which are closed when it returns:
// a transaction has no second connection.
func scanAll(ctx context.Context, conn bun.IConn, query string, scan func(rows *sql.Rows) error) (err error) {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
