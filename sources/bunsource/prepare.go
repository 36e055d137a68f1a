package bunsource

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
)

// Prepare asks the database for the types and collations of the table's
// columns, which [Loader.Schema] then reflects: only now is it known what Go
// may decide in the database's place. The error says that the database does not
// answer, or names the table or the columns that do not exist (yet).
//
// It asks anew whenever it is called. Of SQLite columns that were found to hold
// values of another storage class it is remembered that they may: such values come
// and go.
// When the table is altered later, see [Loader.SchemaChanged].
//
// Of a view the warnings name the tables that it reads and that are not declared.
func (l *Loader[T]) Prepare(ctx context.Context, declared []driver.Table) (warnings []error, err error) {
	if err := l.refine(ctx); err != nil || len(declared) == 0 {
		return nil, err
	}
	m, err := l.model()
	if err != nil {
		return nil, err
	}
	return warnUndeclared(ctx, m, m.db.QueryGen().FormatQuery("SELECT * FROM ?", m.table.SQLName), declared), nil
}

// refine asks the database about the model's tables.
func (l *Loader[T]) refine(ctx context.Context) error {
	l.preparing.Lock()
	defer l.preparing.Unlock()
	m, err := l.describe()
	if err != nil {
		return err
	}
	var refined *model
	err = withConn(withoutHooks(ctx), m, false, func(ctx context.Context, conn bun.IConn) error {
		if refined, err = m.inspect(ctx, conn); err != nil || len(m.hops) == 0 {
			return err
		}
		related := *refined
		related.hops, err = m.inspectHops(ctx, conn)
		refined = &related
		return err
	})
	if err != nil {
		return fmt.Errorf("bunsource: preparing table %q: %w", m.schema.Table, err)
	}
	l.refined.Store(l.mixed.mark(refined))
	trackerOf(l.db.DB).Forget() // what proves keys is known only now
	return nil
}

// inspectHops returns the model's hops with what the database says about the
// tables that they lead to.
func (m *model) inspectHops(ctx context.Context, conn bun.IConn) ([]hop, error) {
	hops := slices.Clone(m.hops)
	for i := range hops {
		h := &hops[i]
		for _, related := range []**model{&h.target, &h.junction} {
			if *related == nil {
				continue
			}
			inspected, err := (*related).inspect(ctx, conn)
			if err != nil {
				return nil, fmt.Errorf("relation %q: table %q: %w", h.path, (*related).schema.Table, err)
			}
			*related = inspected
		}
	}
	return hops, nil
}

// errNoTable is what the inspectors return of a table that does not exist.
var errNoTable = errors.New("it does not exist")

// inspect returns the model with what the database says about its table.
func (m *model) inspect(ctx context.Context, conn bun.IConn) (*model, error) {
	switch m.db.Dialect().Name() {
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
	if m.db.Dialect().Name() == dialect.SQLite && columns[0].state.Known {
		if err := m.findMixed(ctx, conn, columns); err != nil {
			return nil, err
		}
	}
	return m.refine(columns)
}

// tableColumns returns the columns of the model's table as the database describes
// them, none where there is no such table.
func (m *model) tableColumns(ctx context.Context, conn bun.IConn) ([]tableColumn, error) {
	switch m.db.Dialect().Name() {
	case dialect.SQLite:
		return m.inspectSQLite(ctx, conn)
	case dialect.PG:
		return m.inspectPostgres(ctx, conn)
	default:
		return m.inspectMySQL(ctx, conn)
	}
}

// tableColumn is a column as the database describes it.
type tableColumn struct {
	name  string
	state columnState
}

// readColumns runs a query for columns and reads its rows, which it closes
// before it returns: a pool may have no second connection.
func readColumns(ctx context.Context, conn bun.IConn, query string, read func(scan func(...any) error) (tableColumn, error)) (columns []tableColumn, err error) {
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
