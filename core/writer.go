package core

import (
	"context"
	"encoding/json"

	"github.com/binderyhq/bindery/core/driver"
)

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

// change is what a write does to the columns of a row.
type change struct {
	columns   []string                   // written from the row
	defaults  []string                   // set to their defaults
	documents map[string]json.RawMessage // of columns: in place of the row's field
}
