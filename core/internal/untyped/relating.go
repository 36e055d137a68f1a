package untyped

import (
	"context"

	"github.com/binderyhq/bindery/core/driver"
)

// Relations is a Relating loader without its type. Rows are *T.
type Relations interface {
	Related() []driver.Related
	Shows(row any, related int) []driver.Key
	Owners(ctx context.Context, related int, keys []driver.Key, limit int) ([]driver.Key, error)
}

type typedRelating[T any] struct{ r driver.Relating[T] }

func (t typedRelating[T]) Related() []driver.Related { return t.r.Related() }

func (t typedRelating[T]) Shows(row any, related int) []driver.Key {
	keys, err := Guard("Shows", func() ([]driver.Key, error) { return t.r.Shows(row.(*T), related), nil })
	if err != nil {
		return nil // changes of what it shows are found by Owners alone
	}
	return keys
}

func (t typedRelating[T]) Owners(ctx context.Context, related int, keys []driver.Key, limit int) ([]driver.Key, error) {
	return Guard("Owners", func() ([]driver.Key, error) { return t.r.Owners(ctx, related, keys, limit) })
}
