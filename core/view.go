package core

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
)

// View is a binding without its type, as transports and plugins see it: it
// speaks in encoded rows. All methods may be called from any goroutine.
type View struct {
	name   string
	params Params
	owner  *publisher // who publishes

	current  atomic.Pointer[Snapshot]
	loaded   chan struct{} // closed at the first load
	done     chan struct{} // closed at the end
	counters viewCounters

	// mu guards what follows and, together with the feed being the only
	// writer, the order in which current and log move.
	mu          sync.Mutex
	log         eventLog
	armed       []*Subscription
	spare       []*Subscription
	mergedFor   *Event
	merged      map[int]*Event
	subscribers int
	ended       error // ErrRemoved or ErrClosed once done is closed
}

// publisher is the publishing side of a binding: what was declared, what the checks
// made of it, and the feed that keeps it.
type publisher struct {
	*View
	spec   *spec // shared by the members of a family
	read   reader
	family *family     // what it was made from
	filter filter.Expr // of the spec, with the parameters' values and the scope
	scope  filter.Expr // what an authorizer confines it to; part of filter
	seq    uint64      // they are numbered as they come

	// Set when the binding is checked, before it is published to anybody;
	// shape again after the loader's Prepare.
	shape atomic.Pointer[shape]
	feed  atomic.Pointer[feed]

	registered bool // guarded by View.mu
}

// viewCount numbers views.
var viewCount atomic.Uint64

func newView(name string, r reader, s *spec) *publisher {
	v := &publisher{
		View: &View{name: name, loaded: make(chan struct{}), done: make(chan struct{})},
		spec: s, read: r, filter: s.filter, seq: viewCount.Add(1),
	}
	v.owner = v
	v.log.maxEvents = bound(s.logEvents, DefaultLogEvents)
	v.log.maxBytes = bound(s.logBytes, DefaultLogBytes)
	return v
}

// Name returns the binding's name, which the members of a family share.
func (v *View) Name() string { return v.name }

// Params returns the values of the parameters of a family's member; nil for
// other bindings.
func (v *View) Params() Params { return v.params }

// ID names the binding among all that there are: its name, followed, for the member of a
// family, by its parameters as the query of a URL.
func (v *View) ID() string { return idOf(v.name, v.params) }

func idOf(name string, params Params) string {
	if len(params) == 0 {
		return name
	}
	return name + "?" + params.String()
}

// Schema describes the table that the binding reads. It is the zero value
// before the binding was registered and found sound. Columns that [Columns]
// leaves out have no JSON name in it; with [Serialize] the JSON names are the
// model's, which are those of writes.
func (v *View) Schema() driver.Schema {
	if sh := v.owner.shape.Load(); sh != nil {
		return sh.schema
	}
	return driver.Schema{}
}

// Order returns the columns that order the rows, down to those of the key,
// which make the order total.
func (v *View) Order() []driver.Order {
	if sh := v.owner.shape.Load(); sh != nil {
		return sh.orderBy
	}
	return nil
}

// OrderFields returns the order in terms of the encoded rows: their fields, with a
// leading "-" for descending. It is nil when rows do not show all of them, when
// they are shown by [Serialize], and when text is ordered by a collation of the
// database's, which nobody else knows.
func (v *View) OrderFields() []string {
	sh := v.owner.shape.Load()
	if sh == nil || sh.collated || sh.enc.show != nil { // a serializer's fields are its own
		return nil
	}
	fields := make([]string, len(sh.orderBy))
	for i, o := range sh.orderBy {
		o.Column = sh.schema.Columns[sh.schema.Column(o.Column)].JSON
		if o.Column == "" {
			return nil
		}
		fields[i] = o.String()
	}
	return fields
}

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

// Loaded returns a channel that is closed when the rows have been read for the
// first time.
func (v *View) Loaded() <-chan struct{} { return v.loaded }

// Done returns a channel that is closed when the binding has ended, because it
// was removed or because the registry shut down.
func (v *View) Done() <-chan struct{} { return v.done }

// Resync reads all rows again and returns when the result shows. Subscribers
// get the events that the difference amounts to, and nothing when there is
// none. It returns the context's error when that ends first (the reading goes
// on), [ErrNotStarted], [ErrRemoved] or [ErrClosed].
func (v *View) Resync(ctx context.Context) error { return v.reload(ctx, false) }

// Clear forgets everything held (rows, encodings, log) and reads it anew. Until
// that is done readers have the old rows; then subscribers get a sync. The
// errors are those of [View.Resync].
func (v *View) Clear(ctx context.Context) error { return v.reload(ctx, true) }

func (v *View) reload(ctx context.Context, forget bool) error {
	if err := v.reread(ctx, reload{forget: forget}); err != nil {
		return fmt.Errorf("core: reading binding %q again: %w", v.name, err)
	}
	return nil
}

// reread has all rows read and waits until the result shows.
func (v *View) reread(ctx context.Context, how reload) error {
	f := v.owner.feed.Load()
	if f == nil {
		return ErrNotStarted
	}
	err := f.reload(v.owner, how).flush(ctx)
	for err == nil {
		trouble, why := f.troubleOf(v.owner)
		if trouble == nil {
			break
		}
		select {
		case <-trouble:
		case <-v.done:
			err = v.why()
		case <-ctx.Done():
			err = fmt.Errorf("%w: %w", ctx.Err(), why)
		}
	}
	if err == nil {
		select {
		case <-v.loaded:
		case <-v.done:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if why := v.why(); why != nil {
		return why // then it was not read
	}
	return err
}

// Touch moves the version's time of change to now, and tells subscribers that
// what they have is current. The token stays, since the content does. It does
// not wait until that shows, so plugins may call it while they observe a
// version; [Registry.Flush] does. It returns [ErrNotStarted], [ErrNotLoaded],
// [ErrRemoved] or [ErrClosed].
func (v *View) Touch() error {
	f := v.owner.feed.Load()
	if f == nil {
		return fmt.Errorf("core: binding %q: %w", v.name, ErrNotStarted)
	}
	if v.current.Load() == nil {
		return fmt.Errorf("core: binding %q: %w", v.name, ErrNotLoaded)
	}
	v.mu.Lock()
	err := v.ended
	v.mu.Unlock()
	if err != nil {
		return fmt.Errorf("core: binding %q: %w", v.name, err)
	}
	f.touch(v.owner)
	return nil
}

// publishTouch moves the version's time of change to now.
func (f *feed) publishTouch(v *publisher) {
	cur := v.current.Load()
	if cur == nil {
		return
	}
	next := &Snapshot{
		memo: &memo{}, sum: cur.sum, rows: cur.rows, ordered: cur.ordered, window: cur.window, bytes: cur.bytes, body: cur.body,
		stamp: newStamp(f.now(), cur.stamp),
	}
	next.version = Version{Token: cur.version.Token, Seq: cur.version.Seq + 1, Modified: next.stamp.modified}
	e := &Event{Kind: Confirmed, From: cur.version.Token, Version: next.version}
	e.measure()
	v.publish(next, e, false)
}

// Status returns what is known about the binding.
func (v *View) Status() Status {
	st := Status{
		Events: v.counters.events.Load(),
		Syncs:  v.counters.syncs.Load(),
		Merges: v.counters.merges.Load(),
	}
	if s := v.current.Load(); s != nil {
		st.Version, st.Rows, st.Bytes = s.version, s.Len(), s.bytes
	}
	v.mu.Lock()
	st.Subscribers = v.subscribers
	ended := v.ended
	v.mu.Unlock()
	if f := v.owner.feed.Load(); f != nil {
		st.State, st.Since, st.Err = f.stateOf(v.owner)
		st.Unreadable, st.UnreadableRows = f.unreadableBy(v.owner)
	}
	if ended != nil {
		st.State, st.Err = Ended, ended
	}
	return st
}

// publish makes the snapshot current. Only the feed's goroutine calls it. A nil event says that nothing changed that anybody but Go code can see;
// with sync set the log is forgotten and every subscriber gets a sync.
//
// It reports whether that was so: a binding that has ended stays as it is.
func (v *View) publish(next *Snapshot, e *Event, sync bool) bool {
	v.mu.Lock()
	if v.ended != nil {
		v.mu.Unlock()
		return false
	}
	first := v.current.Swap(next) == nil
	switch {
	case first, sync:
		v.log.reset()
		e = next.syncEvent()
	case e == nil:
		v.mu.Unlock()
		return true
	default:
		v.log.append(e)
	}
	armed := v.takeArmedLocked()
	v.mu.Unlock()
	v.counters.events.Add(1)
	if first {
		close(v.loaded)
	}
	v.notifyAll(armed)
	if f := v.owner.feed.Load(); f != nil {
		f.observe(v.owner, e)
	}
	return true
}

// end ends the binding: subscribers are told why.
func (v *View) end(why error) {
	v.mu.Lock()
	if v.ended != nil {
		v.mu.Unlock()
		return
	}
	v.ended = why
	close(v.done)
	armed := v.takeArmedLocked()
	v.mu.Unlock()
	for _, s := range armed {
		s.notify()
	}
}

// why returns why the binding has ended, nil while it has not.
func (v *View) why() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ended
}

func (v *View) logger() *slog.Logger {
	if f := v.owner.feed.Load(); f != nil {
		return f.logger()
	}
	return slog.Default()
}

// describe names the binding in errors, with the place of its declaration.
func (v *View) describe() string {
	return fmt.Sprintf("binding %q (%s)", v.ID(), v.owner.spec.placeOfBind)
}

// HTTPDate is as [Snapshot.HTTPDate]; it returns false before the first load.
func (v *View) HTTPDate(now time.Time) (time.Time, bool) {
	if s := v.current.Load(); s != nil {
		return s.HTTPDate(now)
	}
	return time.Time{}, false
}

// WriteRules returns what clients may write.
func (v *View) WriteRules() WriteRules { return v.owner.WriteRules() }

// Write carries out a client's write.
func (v *View) Write(ctx context.Context, w Write) (Row, error) { return v.owner.Write(ctx, w) }

// Verify compares the binding with the database.
func (v *View) Verify(ctx context.Context) (Drift, error) { return v.owner.Verify(ctx) }
