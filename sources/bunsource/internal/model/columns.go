package model

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
)

// InspectRelations returns the model's relations with what the database says about the
// tables that they lead to.
func (m *Model) InspectRelations(ctx context.Context, conn bun.IConn) ([]Relation, error) {
	hops := slices.Clone(m.Relations)
	for i := range hops {
		h := &hops[i]
		for _, related := range []**Model{&h.Target, &h.Junction} {
			if *related == nil {
				continue
			}
			inspected, err := (*related).Inspect(ctx, conn)
			if err != nil {
				return nil, fmt.Errorf("relation %q: table %q: %w", h.Path, (*related).Schema.Table, err)
			}
			*related = inspected
		}
	}
	return hops, nil
}

// errNoTable is what the inspectors return of a table that does not exist.
var errNoTable = errors.New("it does not exist")

// Inspect returns the model with what the database says about its table.
func (m *Model) Inspect(ctx context.Context, conn bun.IConn) (*Model, error) {
	switch m.DB.Dialect().Name() {
	case dialect.SQLite, dialect.PG, dialect.MySQL:
	default:
		return m, nil // everything is asked of the database
	}
	columns, err := m.tableColumns(ctx, conn)
	if err != nil {
		return nil, err
	}
	if len(columns) == 0 {
		return nil, errNoTable
	}
	if m.DB.Dialect().Name() == dialect.SQLite && columns[0].State.Known {
		if err := m.findMixed(ctx, conn, columns); err != nil {
			return nil, err
		}
	}
	return m.Refine(columns)
}

// tableColumns returns the columns of the model's table as the database describes
// them, none where there is no such table.
func (m *Model) tableColumns(ctx context.Context, conn bun.IConn) ([]TableColumn, error) {
	switch m.DB.Dialect().Name() {
	case dialect.SQLite:
		return m.inspectSQLite(ctx, conn)
	case dialect.PG:
		return m.inspectPostgres(ctx, conn)
	default:
		return m.inspectMySQL(ctx, conn)
	}
}

// TableColumn is a column as the database describes it.
type TableColumn struct {
	Name  string
	State State
}

// readColumns runs a query for columns and reads its rows, which it closes
// before it returns: a pool may have no second connection.
func readColumns(ctx context.Context, conn bun.IConn, query string, read func(scan func(...any) error) (TableColumn, error)) (columns []TableColumn, err error) {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		c, err := read(rows.Scan)
		if err != nil {
			return nil, err
		}
		columns = append(columns, c)
	}
	return columns, rows.Err()
}
