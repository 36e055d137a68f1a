package core

import (
	"context"
	"iter"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// WithSnapshots returns a context that carries the current snapshots of the bindings.
// [Binding.In] and [live.View.SnapshotIn] read those, so a request that reads twice sees
// one version. A binding that has not loaded is left out.
func WithSnapshots(ctx context.Context, views ...*live.View) context.Context {
	for _, v := range views {
		ctx = v.WithSnapshot(ctx)
	}
	return ctx
}

// Snapshot is one version of a binding, with rows of type T. It never changes, and any
// number of goroutines may read it as often as they need. Before the first load it has
// no rows.
type Snapshot[T any] struct {
	s    *live.Snapshot // nil before the first load
	view *live.View
}

// In returns the snapshot that the context carries, see [WithSnapshots], or else the
// current one.
func (b *Binding[T]) In(ctx context.Context) Snapshot[T] {
	return snapshotOf[T](b.SnapshotIn(ctx), b.View)
}

// snapshotOf returns the typed snapshot, without rows when they have no Go values yet.
func snapshotOf[T any](s *live.Snapshot, view *live.View) Snapshot[T] {
	if s != nil && !s.Valued() {
		s = nil
	}
	return Snapshot[T]{s, view}
}

// Version returns the version, the zero value before the first load.
func (r Snapshot[T]) Version() live.Version {
	if r.s == nil {
		return live.Version{}
	}
	return r.s.Version()
}

// Len returns the number of rows.
func (r Snapshot[T]) Len() int {
	if r.s == nil {
		return 0
	}
	return r.s.Len()
}

// All iterates over the rows in the binding's order.
func (r Snapshot[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		if r.s == nil {
			return
		}
		for row := range r.s.Rows() {
			if !yield(*row.Value().(*T)) {
				return
			}
		}
	}
}

// Keys iterates over the rows' keys in the binding's order.
func (r Snapshot[T]) Keys() iter.Seq[driver.Key] {
	return func(yield func(driver.Key) bool) {
		if r.s == nil {
			return
		}
		for row := range r.s.Rows() {
			if !yield(row.Key()) {
				return
			}
		}
	}
}

// Get returns the row whose key columns have these values, see [Binding.Get].
func (r Snapshot[T]) Get(key ...any) (row T, ok bool) {
	if len(key) == 1 {
		if k, is := key[0].(driver.Key); is {
			return r.At(k)
		}
	}
	if r.s == nil {
		return row, false
	}
	k, err := r.view.Schema().MakeKey(key...)
	if err != nil {
		return row, false
	}
	return r.At(k)
}

// At returns the row with the key.
func (r Snapshot[T]) At(key driver.Key) (row T, ok bool) {
	if r.s == nil {
		return row, false
	}
	found, ok := r.s.Get(key)
	if !ok {
		return row, false
	}
	return *found.Value().(*T), true
}
