package core

import (
	"context"

	"github.com/binderyhq/bindery/core/driver"
)

// relating is a Relating loader without its type. Rows are *T.
type relating interface {
	related() []driver.Related
	shows(row any, related int) []driver.Key
	owners(ctx context.Context, related int, keys []driver.Key, limit int) ([]driver.Key, error)
}

type typedRelating[T any] struct{ r driver.Relating[T] }

func (t typedRelating[T]) related() []driver.Related { return t.r.Related() }

func (t typedRelating[T]) shows(row any, related int) []driver.Key {
	return t.r.Shows(row.(*T), related)
}

func (t typedRelating[T]) owners(ctx context.Context, related int, keys []driver.Key, limit int) ([]driver.Key, error) {
	return guard("Owners", func() ([]driver.Key, error) { return t.r.Owners(ctx, related, keys, limit) })
}
