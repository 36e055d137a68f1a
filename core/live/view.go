package live

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// View is a binding as its readers see it, with encoded rows and without a Go type. All
// methods may be called from any goroutine.
type View struct {
	name   string
	params Params

	current     atomic.Pointer[Snapshot]
	account     Account // nil: none
	description atomic.Pointer[Description]
	loaded      chan struct{} // closed at the first load
	done        chan struct{} // closed at the end

	events, syncs, merges atomic.Uint64 // see Counts

	// mu guards the fields below. Together with the single publisher it keeps current and
	// log in step.
	mu          sync.Mutex
	log         eventLog
	armed       []*Subscription
	spare       []*Subscription
	mergedFor   *Event
	merged      map[int]*Event
	subscribers int
	ended       error // nil until done is closed
}

// Description describes a binding's rows, as declared.
type Description struct {
	// Schema describes the table that the binding reads. Columns hidden from clients have
	// no JSON name in it. With a serializer, the JSON names are the model's, as used in
	// writes.
	Schema driver.Schema
	// Order lists the columns that order the rows. It ends with the key columns, which make
	// the order total.
	Order []driver.Order
	// OrderFields is the order in terms of the encoded rows: their fields, with a leading
	// "-" for descending. It is nil when rows do not show all of them, with a serializer,
	// and when the order uses a collation of the database, which only the database knows.
	OrderFields []string
	// Rules say which writes clients may make.
	Rules WriteRules
}

// Name returns the binding's name. Members of a family share it.
func (v *View) Name() string { return v.name }

// Params returns the parameters of a family's member, and nil for other bindings.
func (v *View) Params() Params { return v.params }

// ID identifies the binding within the registry, see [Params.ID].
func (v *View) ID() string { return v.params.ID(v.name) }

// Description returns the description of the rows. It is the zero value until the binding
// has been registered and checked.
func (v *View) Description() Description {
	if d := v.description.Load(); d != nil {
		return *d
	}
	return Description{}
}

// Schema returns the [Description]'s Schema.
func (v *View) Schema() driver.Schema { return v.Description().Schema }

// Order returns the [Description]'s Order.
func (v *View) Order() []driver.Order { return v.Description().Order }

// OrderFields returns the [Description]'s OrderFields.
func (v *View) OrderFields() []string { return v.Description().OrderFields }

// WriteRules returns the [Description]'s Rules.
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

// Len returns the number of rows, 0 before the first load.
func (v *View) Len() int {
	if s := v.current.Load(); s != nil {
		return s.Len()
	}
	return 0
}

// HTTPDate is [Snapshot.HTTPDate] of the current snapshot; it returns false before the
// first load.
func (v *View) HTTPDate(now time.Time) (time.Time, bool) {
	if s := v.current.Load(); s != nil {
		return s.HTTPDate(now)
	}
	return time.Time{}, false
}

// Loaded returns a channel that is closed after the first load, or after
// [Publisher.Restore].
func (v *View) Loaded() <-chan struct{} { return v.loaded }

// Done returns a channel that is closed when the binding has ended, because it
// was removed or because the registry shut down.
func (v *View) Done() <-chan struct{} { return v.done }

// Err returns why the binding has ended, usually an error that wraps [ErrRemoved] or
// [ErrClosed], and nil before.
func (v *View) Err() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ended
}

// Counts are counters of a view.
type Counts struct {
	// Subscribers is the number of open subscriptions.
	Subscribers int
	// Events counts the events added to the log, Syncs the syncs sent to subscribers, and
	// Merges the merged events made for subscribers that lag.
	Events, Syncs, Merges uint64
}

// Counts returns the view's counters.
func (v *View) Counts() Counts {
	c := Counts{Events: v.events.Load(), Syncs: v.syncs.Load(), Merges: v.merges.Load()}
	v.mu.Lock()
	c.Subscribers = v.subscribers
	v.mu.Unlock()
	return c
}

type snapshotKey struct{ v *View }

// WithSnapshot returns a context that carries the view's current snapshot for
// [View.SnapshotIn]. Before the first load it returns ctx unchanged.
func (v *View) WithSnapshot(ctx context.Context) context.Context {
	if s := v.Snapshot(); s != nil {
		return context.WithValue(ctx, snapshotKey{v}, s)
	}
	return ctx
}

// SnapshotIn returns the snapshot that the context carries, see [View.WithSnapshot], or
// else the current one, nil before the first load.
func (v *View) SnapshotIn(ctx context.Context) *Snapshot {
	if s, ok := ctx.Value(snapshotKey{v}).(*Snapshot); ok {
		return s
	}
	return v.Snapshot()
}
