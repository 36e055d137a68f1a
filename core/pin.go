package core

import (
	"context"
	"iter"

	"github.com/binderyhq/bindery/core/driver"
)

type pinKey struct{ v *View }

// Pin returns a context in which the bindings stay at the versions that they
// have now: [Binding.In] and [View.SnapshotIn] read those, so that a request
// that reads twice sees one version. A binding that has not loaded is not
// pinned.
func Pin(ctx context.Context, views ...*View) context.Context {
	for _, v := range views {
		if s := v.Snapshot(); s != nil {
			ctx = context.WithValue(ctx, pinKey{v}, s)
		}
	}
	return ctx
}

// SnapshotIn returns the snapshot that the context pins, or else the current
// one, which is nil before the first load.
func (v *View) SnapshotIn(ctx context.Context) *Snapshot {
	if s, ok := ctx.Value(pinKey{v}).(*Snapshot); ok {
		return s
	}
	return v.Snapshot()
}

// Reading is one version of a binding, to be read as often as needed. It is
// immutable, and may be used by any number of goroutines.
type Reading[T any] struct{ s *Snapshot }

// In returns the version that the context pins (see [Pin]), or else the current
// one.
func (b *Binding[T]) In(ctx context.Context) Reading[T] { return Reading[T]{b.SnapshotIn(ctx)} }

// Version names the version, the zero value before the first load.
func (r Reading[T]) Version() Version {
	if r.s == nil {
		return Version{}
	}
	return r.s.version
}

// Len returns the number of rows.
func (r Reading[T]) Len() int {
	if r.s == nil {
		return 0
	}
	return r.s.Len()
}

// All iterates over the rows in the binding's order.
func (r Reading[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		if r.s != nil {
			r.s.ordered.Scan(func(_ string, e *entry) bool { return yield(*e.row.(*T)) })
		}
	}
}

// Keys iterates over the rows' keys in the binding's order.
func (r Reading[T]) Keys() iter.Seq[driver.Key] {
	return func(yield func(driver.Key) bool) {
		if r.s != nil {
			r.s.ordered.Scan(func(_ string, e *entry) bool { return yield(e.key) })
		}
	}
}

// Get returns the row with the key.
func (r Reading[T]) Get(key driver.Key) (row T, ok bool) {
	if r.s == nil {
		return row, false
	}
	e, ok := r.s.rows.Get(string(key))
	if !ok {
		return row, false
	}
	return *e.row.(*T), true
}
