package core

import (
	"context"
	"errors"
	"iter"
	"log/slog"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/assembly"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/onchange"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/internal/upkeep"
	"github.com/binderyhq/bindery/core/internal/writing"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// Binding is a named, live, ordered set of rows of one model: a query and its always
// current result. [Bind], or the Bind function of a source, makes one. It lives from
// [Registry.Start] (or a later [Registry.Add]) to [Registry.Shutdown] or [Registry.Remove].
//
// All methods may be called from any goroutine. Reads take no lock and never wait; before
// the first load there are no rows. Rows are returned by value; the slices, maps and
// pointers in them are shared and must not be modified.
type Binding[T any] struct {
	// View is the binding without its row type, as transports see it.
	*live.View
	own *binding
}

// Bind declares a binding over a loader. It does no I/O; [Registry.Start] reports problems.
func Bind[T any](name string, loader driver.Loader[T], opts ...Option) *Binding[T] {
	v := declare(name, loader, opts)
	return &Binding[T]{View: v.View, own: v}
}

// untyped implements [Bindable]. It returns nil for a nil binding.
func (b *Binding[T]) untyped() *binding {
	if b == nil {
		return nil
	}
	return b.own
}

// declare makes the binding of a declaration.
func declare[T any](name string, loader driver.Loader[T], opts []Option) *binding {
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
	v := newBinding(name, nil, r, &s.Spec)
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

// now returns the current snapshot.
func (b *Binding[T]) now() Snapshot[T] { return snapshotOf[T](b.Snapshot(), b.View) }

// All iterates over the rows in the binding's order. The whole iteration sees one version,
// however long it takes.
func (b *Binding[T]) All() iter.Seq[T] { return b.now().All() }

// Keys iterates over the rows' keys in the binding's order.
func (b *Binding[T]) Keys() iter.Seq[driver.Key] { return b.now().Keys() }

// Get returns the row whose key columns have these values: products.Get(42). Pass them in
// key order; they are converted to the columns' kinds. It finds nothing for values that do
// not fit. A single [driver.Key] is used as it is; [Binding.At] takes one without
// allocating.
func (b *Binding[T]) Get(key ...any) (row T, ok bool) { return b.now().Get(key...) }

// At returns the row with the key.
func (b *Binding[T]) At(key driver.Key) (row T, ok bool) { return b.now().At(key) }

// Resync reads all rows again and returns once the binding shows the result. Subscribers
// get the differences as events, or nothing when there are none. It returns the context's
// error when that ends first (the read goes on), [ErrNotStarted], [live.ErrRemoved] or
// [live.ErrClosed].
func (b *Binding[T]) Resync(ctx context.Context) error { return b.own.reload(ctx, backlog.Reload{}) }

// Clear discards rows, encodings and log, and reads the binding anew. Readers see the old
// rows until that is done; then subscribers get a sync. The errors are those of
// [Binding.Resync].
func (b *Binding[T]) Clear(ctx context.Context) error {
	return b.own.reload(ctx, backlog.Reload{Forget: true})
}

// Touch sets the version's time of change to now, and tells subscribers that what they have
// is current. The token stays, since the content does. It does not wait until the change
// shows, so plugins may call it while they observe a version; to wait, call
// [Registry.Flush]. It returns [ErrNotStarted], [live.ErrNotLoaded], [live.ErrRemoved] or
// [live.ErrClosed].
func (b *Binding[T]) Touch() error { return b.own.touch() }

// Verify compares the binding with one state of the database, while everything else goes
// on, and returns the differences. Reported or announced changes that do not show yet do
// not count. Verify repairs what differs, with the usual events. It also repairs hidden
// rows beyond a [Limit], which do not count as differences. A binding whose sources see
// everything never drifts; see also [status.Source], which tells what each source found
// first.
//
// The errors are those of [Binding.Resync]. It also fails after several attempts when
// changes of the whole table were under way at each.
func (b *Binding[T]) Verify(ctx context.Context) (status.Drift, error) { return b.own.compare(ctx) }

// Status returns the binding's current status.
func (b *Binding[T]) Status() status.Binding { return b.own.status() }

// Write carries out a client's write in one transaction. The row must be part of the
// binding, meet the precondition, and, unless [WriteRules].RowsMayLeave is set, be part of
// the binding afterwards; otherwise nothing is written. Write returns once the binding
// shows the change, unless the binding is declared to lag (see [Tuning].MinInterval). It
// returns the row as the database has it, or the zero Row after Delete.
//
// Write checks whether the row may be written before it waits for any lock, and, as far as
// it knows the values, before the database may object to them. So clients learn nothing
// about rows outside the binding.
//
// The errors meant for clients are [live.ErrNotWritable], [live.ErrNoRow],
// [live.ErrPrecondition], [driver.ErrRefused], [*driver.InvalidError] and
// [*live.MalformedError]; any other comes from the database or the context. A context that
// ends after the commit causes no error.
func (b *Binding[T]) Write(ctx context.Context, w live.Write) (live.Row, error) {
	return b.own.write(ctx, w, writing.Bounds{})
}

// Explain says why the binding holds the row with the key, or does not: which parts of the
// filter hold for the row as the database has it now, whether it is among the first rows of
// a [Limit], and which sources watch. It reads the row, and asks the database what Go
// cannot decide. The error is [ErrNotStarted], or that of the read.
func (b *Binding[T]) Explain(ctx context.Context, key driver.Key) (status.Explain, error) {
	return b.own.explain(ctx, key)
}

// Delta is a change of a binding, for [Binding.OnChange].
type Delta[T any] struct {
	// Version is the version that the change led to.
	Version live.Version
	// Created and Updated hold the rows as they are now, Deleted as they last were.
	Created, Updated, Deleted []T
	// Reset says that Created holds all rows and replaces everything known before. The
	// first Delta has it set, and so has one after the function lagged too far behind.
	Reset bool
}

// OnChange calls fn with all rows once the binding has loaded, and then with every change,
// in order, until stop is called or the binding ends. It makes one call at a time, on a
// goroutine of its own. A slow function gets merged changes and delays nobody else. A panic
// of fn is logged and ends the calls.
//
// No call begins after stop has returned. stop does not wait for a call under way, so fn
// may call it. [Registry.Shutdown] waits for calls under way, including those for bindings
// removed before.
func (b *Binding[T]) OnChange(fn func(Delta[T])) (stop func()) {
	panicked := func(value any, stack []byte) {
		b.own.logger().Error("core: OnChange function panicked; it is not called again", slog.String("id", "core-onchange-panic"),
			slog.String("binding", b.Name()), slog.Any("panic", value), slog.String("stack", string(stack)))
	}
	return onchange.Call(&b.own.family.watchers, b.View, deltaOf[T], fn, panicked)
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
		d.Created, d.Updated, d.Deleted = rowsOf[T](e.Created), rowsOf[T](e.Updated), rowsOf[T](e.Deleted)
	}
	return d
}

func rowsOf[T any](rows []live.Row) []T {
	if len(rows) == 0 {
		return nil
	}
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = *r.Value().(*T)
	}
	return out
}
