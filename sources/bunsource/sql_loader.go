package bunsource

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
	"github.com/binderyhq/bindery/sources/bunsource/internal/readtables"
)

// sqlLoader reads the rows of a query. It does not implement driver.Querier, so the
// engine filters, orders and limits its rows in memory.
type sqlLoader[T any] struct {
	db       *bun.DB
	query    SQL
	describe func() (*model.Model, error) // once
}

var (
	_ driver.Loader[struct{}] = (*sqlLoader[struct{}])(nil)
	_ driver.Snapshotter      = (*sqlLoader[struct{}])(nil)
	_ driver.Preparer         = (*sqlLoader[struct{}])(nil)
)

func newSQLLoader[T any](db *bun.DB, name string, query SQL) *sqlLoader[T] {
	query.Args, query.Key, query.DependsOn = slices.Clone(query.Args), slices.Clone(query.Key), slices.Clone(query.DependsOn)
	return &sqlLoader[T]{db: db, query: query, describe: sync.OnceValues(func() (*model.Model, error) {
		return newSQLModel(db, reflect.TypeFor[T](), name, query)
	})}
}

// Schema implements [driver.Loader].
func (l *sqlLoader[T]) Schema() (driver.Schema, error) {
	m, err := l.describe()
	if err != nil {
		return driver.Schema{}, err
	}
	return m.Schema, nil
}

// Value implements [driver.Loader].
func (l *sqlLoader[T]) Value(row *T, column int) value.Value {
	m, err := l.describe()
	if err != nil || row == nil || column < 0 || column >= len(m.Columns) {
		return value.Null()
	}
	return m.Columns[column].Read(reflect.ValueOf(row).Elem())
}

// Load runs the whole query, and then drops rows that are not of the keys.
func (l *sqlLoader[T]) Load(ctx context.Context, keys []driver.Key) ([]*T, error) {
	m, err := l.describe()
	if err != nil {
		return nil, err
	}
	var rows []*T
	var bad []error // each a *driver.RowError
	err = withConn(withoutHooks(ctx), m, false, func(ctx context.Context, conn bun.IConn) error {
		err := l.run(ctx, conn, &rows)
		if err != nil {
			rows, bad, err = l.runAround(ctx, conn, m, err)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("bunsource: running %q: %w", m.Schema.Table, err)
	}
	for _, r := range rows {
		m.Normalise(reflect.ValueOf(r).Elem())
	}
	if keys != nil {
		rows = slices.DeleteFunc(rows, func(r *T) bool { return !slices.Contains(keys, m.KeyOf(reflect.ValueOf(r).Elem())) })
		bad = slices.DeleteFunc(bad, func(err error) bool {
			return !slices.ContainsFunc(driver.RowErrors(err), func(e *driver.RowError) bool { return slices.Contains(keys, e.Key) })
		})
	}
	return rows, errors.Join(bad...)
}

// run runs the query.
func (l *sqlLoader[T]) run(ctx context.Context, conn bun.IConn, rows *[]*T) error {
	if l.query.Query == nil {
		return l.db.NewRaw(l.query.Text, l.query.Args...).Conn(conn).Scan(ctx, rows)
	}
	q := l.query.Query(l.db)
	if q == nil {
		return errNoQuery
	}
	return q.Conn(conn).Scan(ctx, rows)
}

var errNoQuery = errors.New("the function of its SQL.Query returned nil")

// text returns the query as the database gets it.
func (l *sqlLoader[T]) text() (string, error) {
	if l.query.Query == nil {
		text := l.db.QueryGen().FormatQuery(l.query.Text, l.query.Args...)
		return strings.TrimRight(text, "; \t\r\n"), nil
	}
	q := l.query.Query(l.db)
	if q == nil {
		return "", errNoQuery
	}
	b, err := q.AppendQuery(l.db.QueryGen(), nil)
	return string(b), err
}

// Prepare asks the database whether it understands the query, and whether the
// result has the key's columns. The warnings name tables that the query reads but
// that are not declared.
func (l *sqlLoader[T]) Prepare(ctx context.Context, declared []driver.Table) (warnings []error, err error) {
	m, err := l.describe()
	if err != nil {
		return nil, err
	}
	text, err := l.text()
	if err == nil {
		err = withConn(withoutHooks(ctx), m, false, func(ctx context.Context, conn bun.IConn) error {
			return checkResult(m, ctx, conn, text)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("bunsource: preparing %q: %w", m.Schema.Table, err)
	}
	if len(declared) > 0 {
		warnings = warnUndeclared(ctx, m, text, declared)
	}
	return warnings, nil
}

// checkResult returns an error if the query's result lacks a key column. Bun would
// leave that field zero, so that all rows had the same key.
func checkResult(m *model.Model, ctx context.Context, conn bun.IConn, text string) (err error) {
	// On lines of its own, since the text may end in a comment.
	rows, err := conn.QueryContext(ctx, "SELECT * FROM (\n"+text+"\n) AS bindery LIMIT 0")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	given, err := rows.Columns()
	if err != nil {
		return err
	}
	for _, k := range m.Schema.Key {
		if !slices.Contains(given, k) {
			return fmt.Errorf("it gives no column %q, which is its key (it gives %s)", k, strings.Join(given, ", "))
		}
	}
	return rows.Err()
}

// Snapshot implements [driver.Snapshotter].
func (l *sqlLoader[T]) Snapshot(ctx context.Context) (driver.Snapshot, error) {
	m, err := l.describe()
	if err != nil {
		return nil, err
	}
	s, err := openSnapshot(withoutHooks(ctx), m)
	if err != nil {
		return nil, fmt.Errorf("bunsource: opening a snapshot for %q: %w", m.Schema.Table, err)
	}
	return s, nil
}

// warnUndeclared returns a warning for each table that the query reads but that is
// not declared. If the database cannot tell, it returns that as a warning.
func warnUndeclared(ctx context.Context, m *model.Model, query string, declared []driver.Table) (warnings []error) {
	var missing []driver.Table
	err := withConn(withoutHooks(ctx), m, true, func(ctx context.Context, conn bun.IConn) (err error) {
		missing, err = readtables.Undeclared(ctx, conn, m, query, declared)
		return err
	})
	if err != nil {
		return []error{fmt.Errorf("bunsource: asking which tables %q reads: %w", m.Schema.Table, err)}
	}
	for _, t := range missing {
		warnings = append(warnings, driver.Undeclared(t))
	}
	return warnings
}
