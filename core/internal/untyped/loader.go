package untyped

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

// Loader is a [driver.Loader] of any T with its optional interfaces. Rows are *T. Identity
// returns the same value for all Loaders of one driver.Loader.
type Loader interface {
	Identity() any
	Schema() (driver.Schema, error)
	CanQuery() bool
	Load(ctx context.Context, keys []driver.Key) ([]any, error)
	Query(ctx context.Context, q driver.Query) ([]any, error)
	// Scan calls visit with at most size rows at a time. If the loader cannot read in
	// pieces, it reads all rows first.
	Scan(ctx context.Context, q driver.Query, size int, visit func([]any) error) error
	Value(row any, column int) value.Value
	// Encode returns a row's JSON, by the model's JSON tags.
	Encode(row any) ([]byte, error)
	// Decode makes a row from Encode's JSON. Fields that JSON does not show are lost.
	Decode(json []byte) (row any, err error)
	Prepare(ctx context.Context, declared []driver.Table) (warnings []error, err error)
	// SchemaChanged reports whether the schema that Prepare found is out of date.
	SchemaChanged(ctx context.Context) (bool, error)
	Snapshotter() driver.Snapshotter
	// CheckLiteral returns why the database refuses to compare a column with a value,
	// "" if it does not.
	CheckLiteral(ctx context.Context, column string, v value.Value) (detail string, err error)
	Writer() Writer       // nil: the loader does not write
	Relations() Relations // nil: rows show no others
	// TypeName returns the name of T, for version tokens and errors.
	TypeName() string
	// RowType is T.
	RowType() reflect.Type
}

type typedReader[T any] struct{ driver.Loader[T] }

func (r *typedReader[T]) Identity() any { return r.Loader }

func (r *typedReader[T]) TypeName() string { return fmt.Sprintf("%T", *new(T)) }

func (r *typedReader[T]) RowType() reflect.Type { return reflect.TypeFor[T]() }

func (r *typedReader[T]) Schema() (driver.Schema, error) { return r.Loader.Schema() }

func (r *typedReader[T]) CanQuery() bool {
	_, ok := r.Loader.(driver.Querier[T])
	return ok
}

func (r *typedReader[T]) Load(ctx context.Context, keys []driver.Key) ([]any, error) {
	rows, err := Guard("Load", func() ([]any, error) { return untyped(r.Loader.Load(ctx, keys)) })
	return rows, r.outdated(err)
}

func (r *typedReader[T]) Query(ctx context.Context, q driver.Query) ([]any, error) {
	rows, err := Guard("Query", func() ([]any, error) {
		querier, ok := r.Loader.(driver.Querier[T])
		if !ok {
			return nil, errors.New("the loader does not evaluate queries")
		}
		return untyped(querier.Query(ctx, q))
	})
	return rows, r.outdated(err)
}

func (r *typedReader[T]) Scan(ctx context.Context, q driver.Query, size int, visit func([]any) error) error {
	if s, ok := r.Loader.(driver.Scanner[T]); ok {
		_, err := Guard("Scan", func() (struct{}, error) {
			return struct{}{}, s.Scan(ctx, q, size, func(rows []*T) error {
				some, err := untyped(rows, nil)
				if err != nil {
					return err
				}
				return visit(some)
			})
		})
		if !errors.Is(err, errors.ErrUnsupported) {
			return r.outdated(err)
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
		return r.Load(ctx, nil)
	}
	return r.Query(ctx, q)
}

// Outdated is the error of a read that found its loader's schema out of date; see
// [driver.ErrSchemaChanged].
type Outdated struct {
	Loader any // its Identity
	err    error
}

func (o *Outdated) Error() string { return o.err.Error() }

// Unwrap returns the loader's error.
func (o *Outdated) Unwrap() error { return o.err }

// outdated adds the loader to a [driver.ErrSchemaChanged].
func (r *typedReader[T]) outdated(err error) error {
	if !errors.Is(err, driver.ErrSchemaChanged) {
		return err
	}
	return &Outdated{r.Identity(), err}
}

func (r *typedReader[T]) Value(row any, column int) value.Value {
	return r.Loader.Value(row.(*T), column)
}

func (r *typedReader[T]) Encode(row any) ([]byte, error) { return EncodeJSON(row) }

func (r *typedReader[T]) Decode(b []byte) (any, error) {
	return Guard("decoding a row", func() (any, error) {
		row := new(T)
		if err := json.Unmarshal(b, row); err != nil {
			return nil, err
		}
		return row, nil
	})
}

func (r *typedReader[T]) Prepare(ctx context.Context, declared []driver.Table) ([]error, error) {
	p, ok := r.Loader.(driver.Preparer)
	if !ok {
		return nil, nil
	}
	return Guard("Prepare", func() ([]error, error) { return p.Prepare(ctx, declared) })
}

func (r *typedReader[T]) SchemaChanged(ctx context.Context) (bool, error) {
	c, ok := r.Loader.(driver.SchemaChecker)
	if !ok {
		return false, nil
	}
	return Guard("SchemaChanged", func() (bool, error) { return c.SchemaChanged(ctx) })
}

func (r *typedReader[T]) Snapshotter() driver.Snapshotter {
	s, _ := r.Loader.(driver.Snapshotter)
	return s
}

func (r *typedReader[T]) Relations() Relations {
	if rel, ok := r.Loader.(driver.RelationLoader[T]); ok {
		return typedRelating[T]{rel}
	}
	return nil
}

func (r *typedReader[T]) Writer() Writer {
	if w, ok := r.Loader.(driver.Writer[T]); ok {
		return typedWriter[T]{w}
	}
	return nil
}

// untyped converts rows. If the error is only about some rows, it returns the others
// with it.
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

// New returns the loader without its type.
func New[T any](l driver.Loader[T]) Loader { return &typedReader[T]{Loader: l} }

func (r *typedReader[T]) CheckLiteral(ctx context.Context, column string, v value.Value) (string, error) {
	c, ok := r.Loader.(driver.LiteralChecker)
	if !ok {
		return "", nil
	}
	return Guard("CheckLiteral", func() (string, error) { return c.CheckLiteral(ctx, column, v) })
}
