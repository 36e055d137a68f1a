package untyped

import (
	"context"

	"github.com/binderyhq/bindery/core/driver"
)

// Relations is a [driver.RelationLoader] of any T. Rows are *T.
type Relations interface {
	Related() []driver.Related
	RelatedKeys(row any, related int) []driver.Key
	Referrers(ctx context.Context, related int, keys []driver.Key, limit int) ([]driver.Key, error)
}

type typedRelating[T any] struct{ r driver.RelationLoader[T] }

func (t typedRelating[T]) Related() []driver.Related { return t.r.Related() }

func (t typedRelating[T]) RelatedKeys(row any, related int) []driver.Key {
	keys, err := Guard("RelatedKeys", func() ([]driver.Key, error) { return t.r.RelatedKeys(row.(*T), related), nil })
	if err != nil {
		return nil // then only Referrers finds the row when a related one changes
	}
	return keys
}

func (t typedRelating[T]) Referrers(ctx context.Context, related int, keys []driver.Key, limit int) ([]driver.Key, error) {
	return Guard("Referrers", func() ([]driver.Key, error) { return t.r.Referrers(ctx, related, keys, limit) })
}
