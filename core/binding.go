package core

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"runtime/debug"

	"github.com/binderyhq/bindery/core/driver"
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

func (b *Binding[T]) publisher() *publisher {
	if b == nil {
		return nil
	}
	return b.own
}

// declare makes the view of a declaration.
func declare[T any](name string, loader driver.Loader[T], opts []Option) *publisher {
	s := new(spec)
	for _, o := range opts {
		if o != nil {
			o(s)
		}
	}
	s.placeOfBind = callerOutside()
	var r reader
	if loader == nil {
		s.problems = append(s.problems, errors.New("its loader is nil"))
	} else {
		r = &typedReader[T]{Loader: withRelations(loader, s)}
	}
	v := newPublisher(name, nil, r, s)
	v.family = newFamily(v)
	return v
}

// now returns the current version.
func (b *Binding[T]) now() Reading[T] { return Reading[T]{b.Snapshot()} }

// All iterates over the rows in the binding's order. The whole iteration sees
// one version, however long it takes.
func (b *Binding[T]) All() iter.Seq[T] { return b.now().All() }

// Keys iterates over the rows' keys in the binding's order.
func (b *Binding[T]) Keys() iter.Seq[driver.Key] { return b.now().Keys() }

// Get returns the row with the key.
func (b *Binding[T]) Get(key driver.Key) (row T, ok bool) { return b.now().Get(key) }

// Delta is how a binding changed, for [Binding.OnChange].
type Delta[T any] struct {
	// Version is the version that the change led to.
	Version live.Version
	// Created and Updated hold the rows as they are, Deleted as they last were.
	Created, Updated, Deleted []T
	// Reset says that the rows in Created are all there are: everything known
	// before is void. The first Delta is of this kind, and one after the
	// function lagged too far behind.
	Reset bool
}

// OnChange calls fn with the rows that there are, once the binding has loaded,
// and then with every change, in order, until stop is called or the binding
// ends. Calls are made one at a time, on a goroutine of their own; a function
// that is slow sees changes merged and holds up nobody. A panic of fn is logged
// and ends the calls.
//
// After stop no call begins; one under way is not waited for, so fn may call
// stop itself. [Registry.Shutdown] waits for calls under way.
func (b *Binding[T]) OnChange(fn func(Delta[T])) (stop func()) {
	sub := b.Subscribe(live.SubscribeOptions{})
	b.own.family.watchers.Add(1)
	go func() {
		defer b.own.family.watchers.Done()
		defer sub.Close()
		defer func() {
			if r := recover(); r != nil {
				b.own.logger().Error("core: OnChange function panicked; it is not called again",
					slog.String("binding", b.Name()), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
			}
		}()
		for {
			e, err := sub.Next(context.Background()) // stop closes the subscription
			if err != nil {
				return
			}
			fn(deltaOf[T](e))
		}
	}()
	return sub.Close
}

func deltaOf[T any](e *live.Event) Delta[T] {
	d := Delta[T]{Version: e.Version}
	switch e.Kind {
	case live.Synced:
		d.Reset = true
		d.Created = make([]T, 0, e.Snapshot.Len())
		for r := range e.Snapshot.Rows() {
			d.Created = append(d.Created, *r.Value().(*T))
		}
	case live.Changed:
		d.Created, d.Updated, d.Deleted = typed[T](e.Created), typed[T](e.Updated), typed[T](e.Deleted)
	}
	return d
}

func typed[T any](rows []live.Row) []T {
	if len(rows) == 0 {
		return nil
	}
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = *r.Value().(*T)
	}
	return out
}
