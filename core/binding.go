package core

import (
	"context"
	"errors"
	"iter"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/assembly"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/internal/upkeep"
	"github.com/binderyhq/bindery/core/internal/writing"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
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
		v.rows = newReplica(v, by)
		if o, ok := loader.(OriginReporter); ok {
			v.origin = o.Origin()
		}
		s.Problems = append(s.Problems, notForReplicas(s)...)
	} else {
		v.rows = upkeep.NewFed(v.Member)
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

// Resync reads all rows again and returns when the result shows. Subscribers
// get the events that the difference amounts to, and nothing when there is
// none. It returns the context's error when that ends first (the reading goes
// on), [ErrNotStarted], [live.ErrRemoved] or [live.ErrClosed].
func (b *Binding[T]) Resync(ctx context.Context) error { return b.own.reload(ctx, backlog.Reload{}) }

// Clear forgets everything held (rows, encodings, log) and reads it anew. Until
// that is done readers have the old rows; then subscribers get a sync. The
// errors are those of [Binding.Resync].
func (b *Binding[T]) Clear(ctx context.Context) error {
	return b.own.reload(ctx, backlog.Reload{Forget: true})
}

// Touch moves the version's time of change to now, and tells subscribers that
// what they have is current. The token stays, since the content does. It does
// not wait until that shows, so plugins may call it while they observe a
// version; [Registry.Flush] does. It returns [ErrNotStarted],
// [live.ErrNotLoaded], [live.ErrRemoved] or [live.ErrClosed].
func (b *Binding[T]) Touch() error { return b.own.touch() }

// Verify compares the binding with one state of the database, beside everything
// else, and returns how they differ. What has been reported or announced, and does
// not show yet, is no difference. What differs is mended, with the events that it
// amounts to; so are rows beyond a [Limit] that nobody sees, and those are no
// difference. A binding whose sources see everything never drifts; see also
// [status.Source], which tells what each source found first.
//
// The errors are those of [Binding.Resync]. It also fails when changes of the
// whole table were under way at each of several attempts.
func (b *Binding[T]) Verify(ctx context.Context) (status.Drift, error) { return b.own.compare(ctx) }

// Status returns what is known about the binding.
func (b *Binding[T]) Status() status.Binding { return b.own.status() }

// Write carries out a client's write, in one transaction: the row must be part
// of the binding, meet the precondition, and, unless rows may leave, be part of
// the binding afterwards; otherwise nothing is written. It returns, after the
// binding shows it (unless that is declared to lag, see [Tuning].MinInterval), the row
// as the database has it; the zero Row after Delete.
//
// Whether the row is one that may be written is settled before any lock is
// waited for, and as far as the values are known also before the database may
// object to them: who asks for what lies outside learns nothing of it.
//
// The errors that a client should be told are [live.ErrNotWritable],
// [live.ErrNoRow], [live.ErrPrecondition], [driver.ErrRefused],
// [*driver.InvalidError] and [*live.MalformedError]; every other one is the
// database's or the context's. A context that ends after the commit is no error.
func (b *Binding[T]) Write(ctx context.Context, w live.Write) (live.Row, error) {
	return b.own.write(ctx, w, writing.Bounds{})
}

// Explain says why the row with the key is in the binding, or is not: which parts
// of the filter hold for the row as the database has it now, whether it is among
// the first rows of a [Limit], and which sources watch. It reads the row, and
// asks the database whatever Go cannot tell. The error is [ErrNotStarted], or
// that of the read.
func (b *Binding[T]) Explain(ctx context.Context, key driver.Key) (status.Explain, error) {
	return b.own.explain(ctx, key)
}
