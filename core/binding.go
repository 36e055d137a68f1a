package core

import (
	"errors"
	"iter"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/assembly"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
)

// Binding is a named, live, ordered set of rows of one model: a query and its
// always current result. It is made by [Bind], or by the Bind function of a
// source, and lives from [Registry.Start] (or a later [Registry.Add]) to
// [Registry.Shutdown] or [Registry.Remove].
//
// All methods may be called from any goroutine. Reading takes no lock and
// waits for nobody; before the first load there are no rows. Rows are handed
// out by value; what they refer to (slices, maps, pointers) is shared and must
// not be modified.
type Binding[T any] struct {
	// View is the binding without its type, as transports see it.
	*live.View
	own *publisher
}

// Bind declares a binding over a loader. It does no input or output; problems
// are reported by [Registry.Start].
func Bind[T any](name string, loader driver.Loader[T], opts ...Option) *Binding[T] {
	v := declare(name, loader, opts)
	return &Binding[T]{View: v.View, own: v}
}

// publisher implements [Bindable].
func (b *Binding[T]) publisher() *publisher {
	if b == nil {
		return nil
	}
	return b.own
}

// declare makes the view of a declaration.
func declare[T any](name string, loader driver.Loader[T], opts []Option) *publisher {
	s := new(settings)
	for _, o := range opts {
		if o != nil {
			o(s)
		}
	}
	s.DeclaredAt = assembly.CallSite()
	var r untyped.Loader
	if loader == nil {
		s.Problems = append(s.Problems, errors.New("its loader is nil"))
	} else {
		r = untyped.New(withRelations(loader, s))
	}
	s.tune()
	v := newPublisher(name, nil, r, &s.Spec)
	v.family = newFamily(v)
	if by, ok := loader.(Replicator); ok {
		v.replica = newReplica(v, by)
		s.Problems = append(s.Problems, notForReplicas(s)...)
	}
	return v
}

// withRelations returns the loader that the options ask for.
func withRelations[T any](l driver.Loader[T], s *settings) driver.Loader[T] {
	if len(s.relations) == 0 {
		return l
	}
	r, ok := l.(driver.RelationLoader[T])
	if !ok {
		s.Problems = append(s.Problems, errors.New("it shows related rows, but its loader cannot (driver.RelationLoader)"))
		return l
	}
	return r.WithRelations(s.relations...)
}

// now returns the current version.
func (b *Binding[T]) now() Snapshot[T] { return snapshotOf[T](b.Snapshot(), b.View) }

// All iterates over the rows in the binding's order. The whole iteration sees
// one version, however long it takes.
func (b *Binding[T]) All() iter.Seq[T] { return b.now().All() }

// Keys iterates over the rows' keys in the binding's order.
func (b *Binding[T]) Keys() iter.Seq[driver.Key] { return b.now().Keys() }

// Get returns the row whose key columns have these values: products.Get(42). They
// are given in key order and converted to the columns' kinds. Values that do not
// fit find nothing. A single [driver.Key] is taken as it is; [Binding.At] takes one
// without allocating.
func (b *Binding[T]) Get(key ...any) (row T, ok bool) { return b.now().Get(key...) }

// At returns the row with the key.
func (b *Binding[T]) At(key driver.Key) (row T, ok bool) { return b.now().At(key) }
