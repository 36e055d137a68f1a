package untyped

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/binderyhq/bindery/core/driver"
)

// Writer is a [driver.Writer] of any T. Rows are *T.
type Writer interface {
	Transact(ctx context.Context, fn func(context.Context) error) error
	Lock(ctx context.Context, key driver.Key) error
	Insert(ctx context.Context, row any, columns []string) (driver.Key, error)
	Update(ctx context.Context, key driver.Key, row any, ch Change) error
	// Documents returns JSON as the database stores it, by column; nil if the loader
	// cannot.
	Documents(ctx context.Context, key driver.Key, columns []string) (map[string]json.RawMessage, error)
	// LoadWithout reads a row without some of its columns, nil if there is none. The error
	// wraps [errors.ErrUnsupported] if the loader cannot.
	LoadWithout(ctx context.Context, key driver.Key, columns []string) (any, error)
	Delete(ctx context.Context, key driver.Key) error
	NewRow() any
	CloneRow(row any) any
}

type typedWriter[T any] struct{ w driver.Writer[T] }

func (t typedWriter[T]) Transact(ctx context.Context, fn func(context.Context) error) error {
	return t.w.Transact(ctx, fn)
}

func (t typedWriter[T]) Lock(ctx context.Context, key driver.Key) error { return t.w.Lock(ctx, key) }

func (t typedWriter[T]) Insert(ctx context.Context, row any, columns []string) (driver.Key, error) {
	return t.w.Insert(ctx, row.(*T), columns)
}

func (t typedWriter[T]) Update(ctx context.Context, key driver.Key, row any, ch Change) error {
	if w, ok := t.w.(driver.DocumentWriter[T]); ok && len(ch.Documents) > 0 {
		return w.UpdateDocuments(ctx, key, row.(*T), ch.Columns, ch.Defaults, ch.Documents)
	}
	return t.w.Update(ctx, key, row.(*T), ch.Columns, ch.Defaults)
}

func (t typedWriter[T]) Documents(ctx context.Context, key driver.Key, columns []string) (map[string]json.RawMessage, error) {
	if w, ok := t.w.(driver.DocumentWriter[T]); ok {
		return w.Documents(ctx, key, columns)
	}
	return nil, nil
}

func (t typedWriter[T]) LoadWithout(ctx context.Context, key driver.Key, columns []string) (any, error) {
	w, ok := t.w.(driver.PartialLoader[T])
	if !ok {
		return nil, errors.ErrUnsupported
	}
	row, err := Guard("LoadWithout", func() (*T, error) { return w.LoadWithout(ctx, key, columns) })
	if row == nil || err != nil {
		return nil, err
	}
	return row, nil
}

func (t typedWriter[T]) Delete(ctx context.Context, key driver.Key) error {
	return t.w.Delete(ctx, key)
}
func (t typedWriter[T]) NewRow() any          { return new(T) }
func (t typedWriter[T]) CloneRow(row any) any { c := *row.(*T); return &c }

// Change lists the columns that a write changes.
type Change struct {
	Columns   []string                   // written from the row
	Defaults  []string                   // set to their defaults
	Documents map[string]json.RawMessage // by column: written in place of the row's field
}
