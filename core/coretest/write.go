package coretest

import (
	"context"
	"errors"
	"maps"
	"reflect"

	"github.com/binderyhq/bindery/core/driver"
)

// Transact implements [driver.Writer]: one transaction at a time, on a copy of the rows. It
// reports nothing itself.
func (t *Table[T]) Transact(ctx context.Context, fn func(ctx context.Context) error) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	t.mu.Lock()
	err, rows := t.fail, maps.Clone(t.rows)
	t.mu.Unlock()
	if err != nil {
		return err
	}
	if err := fn(context.WithValue(ctx, snapshotKey[T]{t}, rows)); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = rows
	return nil
}

// Lock implements [driver.Writer]; a transaction locks the whole table anyway.
func (t *Table[T]) Lock(context.Context, driver.Key) error { return nil }

// Insert implements [driver.Writer]. It refuses a row whose key exists already.
func (t *Table[T]) Insert(ctx context.Context, row *T, _ []string) (driver.Key, error) {
	rows, err := t.transaction(ctx)
	if err != nil {
		return "", err
	}
	key := t.KeyOf(*row)
	if _, ok := rows[key]; ok {
		return "", driver.Invalid(t.schema.Key[0], "is taken")
	}
	rows[key] = *row
	return key, nil
}

// Update implements [driver.Writer]. The default of every column is its zero
// value.
func (t *Table[T]) Update(ctx context.Context, key driver.Key, row *T, columns, defaults []string) error {
	rows, err := t.transaction(ctx)
	if err != nil {
		return err
	}
	was, ok := rows[key]
	if !ok {
		return nil
	}
	from, to := reflect.ValueOf(row).Elem(), reflect.ValueOf(&was).Elem()
	for _, c := range columns {
		to.FieldByIndex(t.Field(c)).Set(from.FieldByIndex(t.Field(c)))
	}
	for _, c := range defaults {
		to.FieldByIndex(t.Field(c)).SetZero()
	}
	rows[key] = was
	return nil
}

// Delete implements [driver.Writer].
func (t *Table[T]) Delete(ctx context.Context, key driver.Key) error {
	rows, err := t.transaction(ctx)
	if err != nil {
		return err
	}
	delete(rows, key)
	return nil
}

func (t *Table[T]) transaction(ctx context.Context) (map[driver.Key]T, error) {
	rows, ok := t.seenBy(ctx)
	if !ok {
		return nil, errors.New("coretest: writing outside of a transaction")
	}
	return rows, nil
}
