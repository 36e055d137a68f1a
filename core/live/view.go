package live

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// View is a binding as its readers see it: it speaks in encoded rows, and has
// no type. All methods may be called from any goroutine.
type View struct {
	name   string
	params Params

	current     atomic.Pointer[Snapshot]
	account     Account // nil: nobody keeps one
	description atomic.Pointer[Description]
	loaded      chan struct{} // closed at the first load
	done        chan struct{} // closed at the end

	events, syncs, merges atomic.Uint64 // see Counts

	// mu guards what follows and, together with the publisher being the only
	// writer, the order in which current and log move.
	mu          sync.Mutex
	log         eventLog
	armed       []*Subscription
	spare       []*Subscription
	mergedFor   *Event
	merged      map[int]*Event
	subscribers int
	ended       error // nil until done is closed
}

// Description is what a binding's declaration says about its rows.
type Description struct {
	// Schema describes the table that the binding reads. Columns that clients
	// are not shown have no JSON name in it; where a serializer shows rows, the
	// JSON names are the model's, which are those of writes.
	Schema driver.Schema
	// Order are the columns that order the rows, down to those of the key, which
	// make the order total.
	Order []driver.Order
	// OrderFields is the order in terms of the encoded rows: their fields, with a
	// leading "-" for descending. It is nil when rows do not show all of them,
	// when a serializer shows them, and when text is ordered by a collation of
	// the database's, which nobody else knows.
	OrderFields []string
	// Rules say what clients may write.
	Rules WriteRules
}

// Name returns the binding's name, which the members of a family share.
func (v *View) Name() string { return v.name }

// Params returns the values of the parameters of a family's member; nil for
// other bindings.
func (v *View) Params() Params { return v.params }

// ID names the binding among all that there are, see [Params.ID].
func (v *View) ID() string { return v.params.ID(v.name) }

// Description returns what is known about the rows. It is the zero value before
// the binding was registered and found sound.
func (v *View) Description() Description {
	if d := v.description.Load(); d != nil {
		return *d
	}
	return Description{}
}

// Schema returns that of the [Description].
func (v *View) Schema() driver.Schema { return v.Description().Schema }

// Order returns that of the [Description].
func (v *View) Order() []driver.Order { return v.Description().Order }

// OrderFields returns those of the [Description].
func (v *View) OrderFields() []string { return v.Description().OrderFields }

// WriteRules returns those of the [Description].
func (v *View) WriteRules() WriteRules { return v.Description().Rules }

// Snapshot returns the current rows, or nil before the first load.
func (v *View) Snapshot() *Snapshot { return v.current.Load() }

// Version returns the current version, the zero value before the first load.
func (v *View) Version() Version {
	if s := v.current.Load(); s != nil {
		return s.version
	}
	return Version{}
}

// Len returns the number of rows.
func (v *View) Len() int {
	if s := v.current.Load(); s != nil {
		return s.Len()
	}
	return 0
}

// HTTPDate is as [Snapshot.HTTPDate]; it returns false before the first load.
func (v *View) HTTPDate(now time.Time) (time.Time, bool) {
	if s := v.current.Load(); s != nil {
		return s.HTTPDate(now)
	}
	return time.Time{}, false
}

// Loaded returns a channel that is closed when the rows have been read for the
// first time.
func (v *View) Loaded() <-chan struct{} { return v.loaded }

// Done returns a channel that is closed when the binding has ended, because it
// was removed or because the registry shut down.
func (v *View) Done() <-chan struct{} { return v.done }

// Err returns why the binding has ended, an error that wraps [ErrRemoved] or
// [ErrClosed] as a rule, and nil while it has not.
func (v *View) Err() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ended
}

// Counts are what has happened to a view.
type Counts struct {
	// Subscribers is the number of open subscriptions.
	Subscribers int
	// Events counts the events that were published to the log, Syncs the full
	// syncs that subscribers got, and Merges the merged events that were made
	// for those who lag.
	Events, Syncs, Merges uint64
}

// Counts returns what has happened to the view so far.
func (v *View) Counts() Counts {
	c := Counts{Events: v.events.Load(), Syncs: v.syncs.Load(), Merges: v.merges.Load()}
	v.mu.Lock()
	c.Subscribers = v.subscribers
	v.mu.Unlock()
	return c
}

type snapshotKey struct{ v *View }

// WithSnapshot returns a context that carries the view's current snapshot, which
// [View.SnapshotIn] then returns. Before the first load it returns ctx as it is.
func (v *View) WithSnapshot(ctx context.Context) context.Context {
	if s := v.Snapshot(); s != nil {
		return context.WithValue(ctx, snapshotKey{v}, s)
	}
	return ctx
}

// SnapshotIn returns the snapshot that the context carries, see [View.WithSnapshot],
// or else the current one, which is nil before the first load.
func (v *View) SnapshotIn(ctx context.Context) *Snapshot {
	if s, ok := ctx.Value(snapshotKey{v}).(*Snapshot); ok {
		return s
	}
	return v.Snapshot()
}
