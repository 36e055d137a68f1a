package core

import (
	"context"
	"iter"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// Pin returns a context in which the bindings stay at the versions that they
// have now: [Binding.In] and [live.View.SnapshotIn] read those, so that a request
// that reads twice sees one version. A binding that has not loaded is not
// pinned.
func Pin(ctx context.Context, views ...*live.View) context.Context {
	for _, v := range views {
		ctx = v.Pin(ctx)
	}
	return ctx
}

// Reading is one version of a binding, to be read as often as needed. It is
// immutable, and may be used by any number of goroutines.
type Reading[T any] struct {
	s    *live.Snapshot // nil before the first load
	view *live.View
}

// In returns the version that the context pins (see [Pin]), or else the current
// one.
func (b *Binding[T]) In(ctx context.Context) Reading[T] { return read[T](b.SnapshotIn(ctx), b.View) }

// read returns the snapshot's rows, none when they have no Go values yet.
func read[T any](s *live.Snapshot, view *live.View) Reading[T] {
	if s != nil && !s.Valued() {
		s = nil
	}
	return Reading[T]{s, view}
}

// Version names the version, the zero value before the first load.
func (r Reading[T]) Version() live.Version {
	if r.s == nil {
		return live.Version{}
	}
	return r.s.Version()
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
func (r Reading[T]) Keys() iter.Seq[driver.Key] {
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
func (r Reading[T]) Get(key ...any) (row T, ok bool) {
	if len(key) == 1 {
		if k, is := key[0].(driver.Key); is {
			return r.At(k)
		}
	}
	if r.s == nil {
		return row, false
	}
	k, err := r.view.Schema().KeyFor(key...)
	if err != nil {
		return row, false
	}
	return r.At(k)
}

// At returns the row with the key.
func (r Reading[T]) At(key driver.Key) (row T, ok bool) {
	if r.s == nil {
		return row, false
	}
	found, ok := r.s.Get(key)
	if !ok {
		return row, false
	}
	return *found.Value().(*T), true
}
