package bunsource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
	"github.com/binderyhq/bindery/sources/bunsource/internal/sqlgen"
)

// Loader reads the rows of a Bun model for bindings. [Bind] makes one; call
// [NewLoader] only to combine the parts yourself.
//
// Every time in a row is in UTC, whatever zone the database, the driver or the
// process has. Soft-deleted rows are left out, as in any select of Bun's. A row
// holds the columns of its table, and the relations that [Loader.WithRelations]
// names. Fields marked scanonly are not columns.
//
// Reads go to the database of the *bun.DB, even if a resolver would send
// selects to a replica: a replica may lag behind the reported change. They
// pass Bun's query hooks and the model's select hooks like any other select.
//
// Filters are evaluated in memory where possible. The database evaluates a filter
// on a column that may be NULL if its field cannot tell NULL from the zero value (a
// string, for example). Declare such columns NOT NULL, or use a pointer.
//
// A row that cannot be scanned (a text in an integer column of SQLite, an
// infinite timestamp of Postgres) fails by itself: the others are returned with
// a [driver.RowError] that names its key.
//
// All methods may be called concurrently.
type Loader[T any] struct {
	db        *bun.DB
	relations []string                     // see [model.RelationPaths]
	describe  func() (*model.Model, error) // from the Go type alone, once
	refined   atomic.Pointer[model.Model]  // since Prepare

	preparing sync.Mutex // held while refine asks the database
	mixed     mixedColumns
}

// The abilities that the engine finds by assertion.
var (
	_ driver.Loader[struct{}]  = (*Loader[struct{}])(nil)
	_ driver.Querier[struct{}] = (*Loader[struct{}])(nil)
	_ driver.Snapshotter       = (*Loader[struct{}])(nil)
	_ driver.Preparer          = (*Loader[struct{}])(nil)
)

// NewLoader returns a loader of T's rows from db. T is a struct, a model of
// Bun's with a primary key. [Loader.Schema], which the registry calls at Start,
// reports mistakes in T. Bindings share reads only if they share a loader.
func NewLoader[T any](db *bun.DB) *Loader[T] { return newLoader[T](db, nil) }

func newLoader[T any](db *bun.DB, relations []string) *Loader[T] {
	return &Loader[T]{db: db, relations: relations, describe: sync.OnceValues(func() (*model.Model, error) {
		m, err := model.New(db, databaseName(db), reflect.TypeFor[T]())
		if err != nil || len(relations) == 0 {
			return m, err
		}
		return m, m.Relate(relations)
	})}
}

// model returns the model with the database's facts, once Prepare has learned them,
// and as Bun describes it before.
func (l *Loader[T]) model() (*model.Model, error) {
	if m := l.refined.Load(); m != nil {
		return m, nil
	}
	return l.describe()
}

// Schema describes the table by the model, and after [Loader.Prepare] by the
// database too. The error names the model: it is not a struct, it has no
// primary key, or Bun does not understand it.
func (l *Loader[T]) Schema() (driver.Schema, error) {
	m, err := l.model()
	if err != nil {
		return driver.Schema{}, err
	}
	return m.Schema, nil
}

// Value returns the value of a column of the row; see [driver.Loader]. It returns
// NULL for a position that [Loader.Schema] does not have.
func (l *Loader[T]) Value(row *T, column int) value.Value {
	m, err := l.model()
	if err != nil || row == nil || column < 0 || column >= len(m.Columns) {
		return value.Null()
	}
	return m.Columns[column].Read(reflect.ValueOf(row).Elem())
}

// Load reads the rows that have the keys, or all rows when keys is nil. Many keys
// may need several statements; these share a read-only transaction.
func (l *Loader[T]) Load(ctx context.Context, keys []driver.Key) ([]*T, error) {
	return l.Query(ctx, driver.Query{Keys: keys})
}

// Query reads the rows that the query names; see [Loader.Load] for keys.
//
// A limited query is ordered by the database as the engine orders in memory:
// text by its bytes, NULL where the order says. A column that Go cannot order
// (JSON, for example) is an error. An order with a collation is the database's, in
// queries without a limit too. The collation's name is quoted as one identifier, so
// Postgres must find it by the search path, without a schema.
func (l *Loader[T]) Query(ctx context.Context, q driver.Query) ([]*T, error) {
	m, err := l.model()
	if err != nil {
		return nil, err
	}
	rows, err := l.query(withoutHooks(ctx), m, q)
	if err != nil {
		err = fmt.Errorf("bunsource: reading table %q: %w", m.Schema.Table, l.explain(withoutHooks(ctx), m, err))
	}
	return rows, err
}

func (l *Loader[T]) query(ctx context.Context, m *model.Model, q driver.Query) ([]*T, error) {
	statements, err := sqlgen.Statements(m, q)
	if err != nil || len(statements) == 0 {
		return nil, err
	}
	var rows []*T
	var inOrder []driver.Key // a read in two steps loses the order
	var bad []error          // each a *driver.RowError
	err = withConn(ctx, m, len(statements) > 1 || m.ShowsMany(), func(ctx context.Context, conn bun.IConn) error {
		if m.ShowsMany() && q.Keys == nil {
			if statements, inOrder, err = l.chunks(ctx, conn, m, statements[0]); err != nil {
				return err
			}
		}
		for _, st := range statements {
			part, err := l.read(ctx, conn, m, st)
			if err != nil {
				var unreadable []error
				var keys []driver.Key
				if part, unreadable, keys, err = l.readAround(ctx, conn, m, st, err); err != nil {
					return err
				}
				bad = append(bad, unreadable...)
				if inOrder == nil && len(statements) == 1 {
					inOrder = keys
				}
			} else if len(part) == 0 {
				continue // no rows for mixed.check
			}
			rows = append(rows, part...)
			if err := l.mixed.check(ctx, conn, m, st); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		m.Normalise(reflect.ValueOf(r).Elem())
		m.NormaliseRelated(reflect.ValueOf(r).Elem())
	}
	if q.Keys != nil && !m.ExactKeys() {
		rows = l.withKeys(m, rows, q.Keys)
	}
	switch {
	case sqlgen.Collated(q.Order):
		if inOrder != nil {
			l.arrange(m, rows, inOrder)
		}
	case q.Limit > 0 && (len(statements) > 1 || m.ShowsMany()):
		rows = l.first(m, rows, q.Order, q.Limit)
	}
	return rows, errors.Join(bad...)
}

// arrange sorts rows into the order of keys.
func (l *Loader[T]) arrange(m *model.Model, rows []*T, keys []driver.Key) {
	rank := make(map[driver.Key]int, len(keys))
	for i, k := range keys {
		rank[k] = i
	}
	slices.SortFunc(rows, func(a, b *T) int {
		return cmp.Compare(rank[m.KeyOf(reflect.ValueOf(a).Elem())], rank[m.KeyOf(reflect.ValueOf(b).Elem())])
	})
}

// withKeys drops rows whose key is none of keys. The database may find such rows,
// for example when its collation ignores case.
func (l *Loader[T]) withKeys(m *model.Model, rows []*T, keys []driver.Key) []*T {
	asked := make(map[driver.Key]struct{}, len(keys))
	for _, k := range keys {
		asked[k] = struct{}{}
	}
	return slices.DeleteFunc(rows, func(r *T) bool {
		_, ok := asked[m.KeyOf(reflect.ValueOf(r).Elem())]
		return !ok
	})
}

// first merges the answers of several statements, each ordered and limited, and
// returns the first rows of all.
func (l *Loader[T]) first(m *model.Model, rows []*T, order []driver.Order, limit int) []*T {
	columns := sqlgen.ColumnsOf(m, order)
	type ordered struct {
		row  *T
		vals []value.Value
	}
	all := make([]ordered, len(rows))
	for i, r := range rows {
		vals := make([]value.Value, len(columns))
		for j, c := range columns {
			vals[j] = m.Columns[c].Read(reflect.ValueOf(r).Elem())
		}
		all[i] = ordered{r, vals}
	}
	compare := sqlgen.Comparer(order)
	slices.SortStableFunc(all, func(a, b ordered) int { return compare(a.vals, b.vals) })
	all = all[:min(limit, len(all))]
	rows = rows[:0]
	for _, o := range all {
		rows = append(rows, o.row)
	}
	return rows
}
