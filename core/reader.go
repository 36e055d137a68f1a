package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

// reader is a Loader without its type, with the abilities that it has found
// out. Rows are *T. Two readers of one loader are told apart by their loader.
type reader interface {
	identity() any
	schema() (driver.Schema, error)
	canQuery() bool
	load(ctx context.Context, keys []driver.Key) ([]any, error)
	query(ctx context.Context, q driver.Query) ([]any, error)
	// scan reads in pieces, where the loader can.
	scan(ctx context.Context, q driver.Query, size int, visit func([]any) error) error
	value(row any, column int) value.Value
	// encode makes a row's JSON, by the model's own JSON tags.
	encode(row any) ([]byte, error)
	prepare(ctx context.Context, declared []driver.Table) (warnings []error, err error)
	snapshotter() driver.Snapshotter
	// checkLiteral says why the database refuses to compare a column with a value.
	checkLiteral(ctx context.Context, column string, v value.Value) (detail string, err error)
	writer() writer     // nil when the loader does not write
	relating() relating // nil when rows show no others
	// typeName names T, for version tokens and errors.
	typeName() string
	// rowType is T.
	rowType() reflect.Type
}

type typedReader[T any] struct{ driver.Loader[T] }

func (r *typedReader[T]) identity() any { return r.Loader }

func (r *typedReader[T]) typeName() string { return fmt.Sprintf("%T", *new(T)) }

func (r *typedReader[T]) rowType() reflect.Type { return reflect.TypeFor[T]() }

func (r *typedReader[T]) schema() (driver.Schema, error) { return r.Loader.Schema() }

func (r *typedReader[T]) canQuery() bool {
	_, ok := r.Loader.(driver.Querier[T])
	return ok
}

func (r *typedReader[T]) load(ctx context.Context, keys []driver.Key) ([]any, error) {
	return guard("Load", func() ([]any, error) { return untyped(r.Loader.Load(ctx, keys)) })
}

func (r *typedReader[T]) query(ctx context.Context, q driver.Query) ([]any, error) {
	return guard("Query", func() ([]any, error) {
		querier, ok := r.Loader.(driver.Querier[T])
		if !ok {
			return nil, errors.New("the loader does not evaluate queries")
		}
		return untyped(querier.Query(ctx, q))
	})
}

func (r *typedReader[T]) scan(ctx context.Context, q driver.Query, size int, visit func([]any) error) error {
	if s, ok := r.Loader.(driver.Scanner[T]); ok {
		_, err := guard("Scan", func() (struct{}, error) {
			return struct{}{}, s.Scan(ctx, q, size, func(rows []*T) error {
				some, err := untyped(rows, nil)
				if err != nil {
					return err
				}
				return visit(some)
			})
		})
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	rows, unread := r.all(ctx, q)
	for len(rows) > 0 {
		some := rows[:min(size, len(rows))]
		rows = rows[len(some):]
		if err := visit(some); err != nil {
			return err
		}
	}
	return unread
}

// all reads all rows of the query.
func (r *typedReader[T]) all(ctx context.Context, q driver.Query) ([]any, error) {
	if q.Filter == nil && q.Where == nil {
		return r.load(ctx, nil)
	}
	return r.query(ctx, q)
}

func (r *typedReader[T]) value(row any, column int) value.Value {
	return r.Loader.Value(row.(*T), column)
}

func (r *typedReader[T]) encode(row any) ([]byte, error) { return encodeJSON(row) }

func (r *typedReader[T]) prepare(ctx context.Context, declared []driver.Table) ([]error, error) {
	p, ok := r.Loader.(driver.Preparer)
	if !ok {
		return nil, nil
	}
	return guard("Prepare", func() ([]error, error) { return p.Prepare(ctx, declared) })
}

func (r *typedReader[T]) snapshotter() driver.Snapshotter {
	s, _ := r.Loader.(driver.Snapshotter)
	return s
}

func (r *typedReader[T]) checkLiteral(ctx context.Context, column string, v value.Value) (string, error) {
	c, ok := r.Loader.(driver.LiteralChecker)
	if !ok {
		return "", nil
	}
	return guard("CheckLiteral", func() (string, error) { return c.CheckLiteral(ctx, column, v) })
}

func (r *typedReader[T]) relating() relating {
	if rel, ok := r.Loader.(driver.Relating[T]); ok {
		return typedRelating[T]{rel}
	}
	return nil
}

func (r *typedReader[T]) writer() writer {
	if w, ok := r.Loader.(driver.Writer[T]); ok {
		return typedWriter[T]{w}
	}
	return nil
}

// writer is a Writer without its type. Rows are *T.
type writer interface {
	transact(ctx context.Context, fn func(context.Context) error) error
	lock(ctx context.Context, key driver.Key) error
	insert(ctx context.Context, row any, columns []string) (driver.Key, error)
	update(ctx context.Context, key driver.Key, row any, ch change) error
	// documents returns JSON as the database has it, by column.
	documents(ctx context.Context, key driver.Key, columns []string) (map[string]json.RawMessage, error)
	delete(ctx context.Context, key driver.Key) error
	newRow() any
	cloneRow(row any) any
}

type typedWriter[T any] struct{ w driver.Writer[T] }

func (t typedWriter[T]) transact(ctx context.Context, fn func(context.Context) error) error {
	return t.w.Transact(ctx, fn)
}

func (t typedWriter[T]) lock(ctx context.Context, key driver.Key) error { return t.w.Lock(ctx, key) }

func (t typedWriter[T]) insert(ctx context.Context, row any, columns []string) (driver.Key, error) {
	return t.w.Insert(ctx, row.(*T), columns)
}

func (t typedWriter[T]) update(ctx context.Context, key driver.Key, row any, ch change) error {
	if w, ok := t.w.(driver.DocumentWriter[T]); ok && len(ch.documents) > 0 {
		return w.UpdateDocuments(ctx, key, row.(*T), ch.columns, ch.defaults, ch.documents)
	}
	return t.w.Update(ctx, key, row.(*T), ch.columns, ch.defaults)
}

func (t typedWriter[T]) documents(ctx context.Context, key driver.Key, columns []string) (map[string]json.RawMessage, error) {
	if w, ok := t.w.(driver.DocumentWriter[T]); ok {
		return w.Documents(ctx, key, columns)
	}
	return nil, nil
}

func (t typedWriter[T]) delete(ctx context.Context, key driver.Key) error {
	return t.w.Delete(ctx, key)
}
func (t typedWriter[T]) newRow() any          { return new(T) }
func (t typedWriter[T]) cloneRow(row any) any { c := *row.(*T); return &c }

// untyped takes the type from rows. An error that is only about some rows goes
// with the others.
func untyped[T any](rows []*T, err error) ([]any, error) {
	if err != nil && driver.RowErrors(err) == nil {
		return nil, err
	}
	out := make([]any, len(rows))
	for i, r := range rows {
		if r == nil {
			return nil, errors.New("the loader returned a nil row")
		}
		out[i] = r
	}
	return out, err
}

// guard calls the user's code and turns its panic into an error.
func guard[R any](what string, call func() (R, error)) (res R, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in %s: %v\n%s", what, p, debug.Stack())
		}
	}()
	return call()
}
