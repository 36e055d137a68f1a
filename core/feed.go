package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// feed turns the reports on one table into new versions of the table's
// bindings. Its one goroutine gathers what was reported, reads it in one go,
// and publishes; reports that arrive meanwhile share the next read. So at most
// one read of the table is in flight, whatever writers do.
//
// The way of a batch: take what is pending, open a snapshot of the database
// where more than one statement or an announcement makes that necessary, read,
// let every binding concerned make its transition, tell those who wait. When a read fails
// everything taken goes back and is read again, with back-off.
type feed struct {
	eng   *engine
	table Table

	// publishing is held while a binding of this feed moves to a new version:
	// by the feed's goroutine, and by Touch.
	publishing sync.Mutex

	wake  chan struct{} // capacity 1
	pace  pace
	tried chan struct{} // closed after the first batch, whether it succeeded or not

	pools []*pool // in order of first use; the goroutine's own

	mu        sync.Mutex         // guards what follows
	members   map[*View]struct{} // bindings, loaded or not
	declared  map[*View]struct{} // what keeps the feed: bindings that were declared, and families
	leaving   []*View            // to be taken out of their pools
	reloads   map[*View]reload   // to be read in full
	retries   retries
	pending   pending
	announced map[*announcement]struct{}
	announces uint64        // announcements ever made
	reported  uint64        // reports ever made
	applied   uint64        // reports that show
	progress  chan struct{} // closed when applied moves, then replaced
	reading   bool          // a first read has begun
	failure   error         // of the last read
	since     time.Time     // of failure, or of its end
	closed    bool
	stats     FeedStats
	prepared  map[any]bool // loaders whose Prepare has succeeded; the goroutine's own

	wholeRead time.Duration // how long the last read of the whole table took
}

// FeedStats counts what a feed has done. All counters only grow.
type FeedStats struct {
	Table Table
	// Reports counts calls that concerned the table, Keys the keys in them.
	Reports, Keys uint64
	// Reads counts batches read, WholeReads those that read the whole table,
	// BatchKeys the keys read in the others, Failures reads that failed.
	Reads, WholeReads, BatchKeys, Failures uint64
	// Overflows counts how often so many keys were gathered that the whole
	// table was read instead.
	Overflows uint64
	// Waited counts batches that waited for the keys of a commit under way,
	// WaitedOut those that read the whole table because the wait was too long.
	Waited, WaitedOut uint64
	// Refills counts bindings that a batch read anew because their rows in
	// memory did not tell which come next: those of a [Limit] whose margin was
	// used up, and those that are ordered by a collation of the database's.
	Refills uint64
	// Behind counts batches that read the whole table because a source that
	// follows the database's log did not catch up in time.
	Behind uint64
	// RelatedKeys are the keys of rows of other tables, which this table's rows
	// may show, in the reports.
	RelatedKeys uint64
}

func newFeed(eng *engine, table Table) *feed {
	return &feed{
		eng:       eng,
		table:     table,
		wake:      make(chan struct{}, 1),
		tried:     make(chan struct{}),
		members:   make(map[*View]struct{}),
		declared:  make(map[*View]struct{}),
		reloads:   make(map[*View]reload),
		pending:   pending{maxKeys: eng.cfg.MaxBatchKeys},
		announced: make(map[*announcement]struct{}),
		progress:  make(chan struct{}),
		since:     eng.now(),
		prepared:  make(map[any]bool),
	}
}

func (f *feed) now() time.Time { return f.eng.now() }

func (f *feed) logger() *slog.Logger { return f.eng.log }

// kick makes the goroutine look for work.
func (f *feed) kick() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// report gathers keys (nil: the whole table) and returns the mark to wait for.
// by is the source that reports, nil for the engine itself.
func (f *feed) report(keys []Key, by *sourceRun) mark {
	f.mu.Lock()
	f.stats.Reports++
	f.stats.Keys += uint64(len(keys))
	if f.pending.add(keys, by) {
		f.stats.Overflows++
	}
	f.reported++
	m := mark{f, f.reported}
	f.mu.Unlock()
	f.kick()
	return m
}

// reportRelated is report for keys of a table whose rows are shown in this
// feed's rows.
func (f *feed) reportRelated(table Table, keys []Key, by *sourceRun) mark {
	f.mu.Lock()
	f.stats.Reports++
	f.stats.RelatedKeys += uint64(len(keys))
	if f.pending.addRelated(table, keys, by) {
		f.stats.Overflows++
	}
	f.reported++
	m := mark{f, f.reported}
	f.mu.Unlock()
	f.kick()
	return m
}

// announce notes what is about to be committed in the table: the feed's own, or
// one whose rows are shown (related) in its rows.
func (f *feed) announce(table Table, related bool, keys []Key, by *sourceRun) *announcement {
	a := &announcement{feed: f, by: by, table: table, related: related, keys: keys, ended: make(chan struct{})}
	f.mu.Lock()
	f.announced[a] = struct{}{}
	f.announces++
	f.mu.Unlock()
	return a
}

func (f *feed) unannounce(a *announcement) {
	f.mu.Lock()
	if _, ok := f.announced[a]; ok {
		delete(f.announced, a)
		close(a.ended)
	}
	f.mu.Unlock()
}

// reload says how a binding is to be read in full.
type reload struct {
	forget bool     // begin with nothing
	audits []*audit // what is found to differ is noted here
}

func (r reload) and(o reload) reload {
	return reload{forget: r.forget || o.forget, audits: append(r.audits, o.audits...)}
}

// reload has one binding read in full.
func (f *feed) reload(v *View, how reload) receipt {
	f.mu.Lock()
	if _, ok := f.members[v]; ok {
		f.reloads[v] = f.reloads[v].and(f.retries.cancel(v)).and(how)
	}
	f.reported++
	m := mark{f, f.reported}
	f.mu.Unlock()
	f.kick()
	return receipt{m}
}

// declare makes the feed exist for a declaration: a binding, or a family of
// which there are no members yet.
func (f *feed) declare(v *View) {
	f.mu.Lock()
	f.declared[v] = struct{}{}
	f.mu.Unlock()
}

// retract undoes declare. It reports whether nothing keeps the feed any more.
func (f *feed) retract(v *View) (idle bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.declared, v)
	return len(f.declared) == 0
}

// first returns the first declaration, or nil.
func (f *feed) first() *View {
	f.mu.Lock()
	defer f.mu.Unlock()
	var first *View
	for v := range f.declared {
		if first == nil || v.seq < first.seq {
			first = v
		}
	}
	return first
}

// addView makes the feed keep the binding. It is loaded by a reload.
func (f *feed) addView(v *View) {
	v.feed.Store(f)
	f.mu.Lock()
	f.members[v] = struct{}{}
	f.mu.Unlock()
}

// removeView makes the feed forget the binding.
func (f *feed) removeView(v *View) {
	f.mu.Lock()
	if _, ok := f.members[v]; ok {
		delete(f.members, v)
		delete(f.reloads, v)
		f.retries.cancel(v)
		f.leaving = append(f.leaving, v)
		f.reported++ // a Flush waits for it
	}
	f.mu.Unlock()
	f.kick()
}

// barrier returns a mark for everything reported so far.
func (f *feed) barrier() mark {
	f.mu.Lock()
	defer f.mu.Unlock()
	return mark{f, f.reported}
}

// wait waits until everything up to the report shows.
func (f *feed) wait(ctx context.Context, seq uint64) error {
	for {
		f.mu.Lock()
		applied, closed, progress := f.applied, f.closed, f.progress
		f.mu.Unlock()
		switch {
		case applied >= seq:
			return nil
		case closed:
			return ErrClosed
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// close lets go of all who wait. The goroutine has ended.
func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	close(f.progress)
	f.progress = make(chan struct{})
}

// run is the feed's goroutine; it returns when ctx is done.
func (f *feed) run(ctx context.Context) {
	defer f.close()
	backoff := newBackoff()
	tried := sync.OnceFunc(func() { close(f.tried) })
	for f.sleep(ctx) {
		for f.hasWork() {
			f.pause(ctx)
			begun := time.Now()
			apart, err := f.batch(ctx)
			if ctx.Err() != nil {
				return
			}
			f.pace.ran(begun)
			if apart {
				f.noteApart(err)
				tried()
				continue // what is left tells whether the database is at fault
			}
			f.note(err)
			tried() // whoever waits for it finds the failure
			if err == nil {
				backoff.reset()
				continue
			}
			timer := time.NewTimer(backoff.next())
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return
			}
		}
	}
}

// sleep waits until there may be something to do. It is false when ctx is done.
func (f *feed) sleep(ctx context.Context) bool {
	f.mu.Lock()
	wait, waiting := f.retries.wait()
	f.mu.Unlock()
	var due <-chan time.Time
	if waiting {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-f.wake:
	case <-due:
	case <-ctx.Done():
		return false
	}
	return true
}

func (f *feed) hasWork() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.idleLocked() || f.retries.due()
}

// idleLocked reports that nothing is to be done, but perhaps for retries.
func (f *feed) idleLocked() bool {
	return f.pending.empty() && len(f.reloads) == 0 && f.applied >= f.reported && len(f.leaving) == 0
}

// note records and logs how a read went: a failure once per streak of equal
// texts, and its end.
func (f *feed) note(err error) {
	f.mu.Lock()
	before := f.failure
	if err != nil {
		f.stats.Failures++
	}
	if (err == nil) != (before == nil) {
		f.since = f.now()
	}
	f.failure = err
	f.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		f.logger().Warn("core: reading failed; rows are served from memory until it succeeds",
			slog.String("table", f.table.String()), slog.Any("error", err))
	case err == nil && before != nil:
		f.logger().Info("core: reading succeeds again", slog.String("table", f.table.String()))
	}
}

// noteApart records and logs how a read went that says nothing about the feed as
// a whole.
func (f *feed) noteApart(err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	f.stats.Failures++
	news := f.retries.lastError != err.Error()
	f.retries.lastError = err.Error()
	f.mu.Unlock()
	if news {
		f.logger().Warn("core: members of a family cannot be loaded for now; others are not held up",
			slog.String("table", f.table.String()), slog.Any("error", err))
	}
}

// work is what one batch covers.
type work struct {
	pending
	reloads map[*View]reload
	apart   bool // nothing but retries
	leaving []*View
	seq     uint64 // reports up to this one are covered
	gen     uint64 // announcements made when it was taken
	calm    bool   // nothing was announced then, and nothing must be caught up with

	following []Following
	read      bool // something was read

	resolved map[*pool]pending // what related tables add; nil until it is known
}

func (f *feed) take() work {
	// Asked before the reports are taken: a source that loses its sight after
	// having reported is then found to be behind, not left out.
	following := f.eng.following(f.table)
	f.mu.Lock()
	defer f.mu.Unlock()
	w := work{
		seq:  f.applied,
		gen:  f.announces,
		calm: len(f.announced) == 0 && len(following) == 0,

		following: following,
	}
	f.reading = true
	if w.reloads = f.retries.take(f.idleLocked()); len(w.reloads) > 0 {
		w.apart = true
		return w
	}
	w.pending, w.reloads, w.leaving, w.seq = f.pending.take(), f.reloads, f.leaving, f.reported
	f.reloads = make(map[*View]reload)
	f.leaving = nil
	return w
}

// putBack returns what a failed batch had taken. It reports whether the batch
// may have failed because of members that were to be read for the first time,
// which are then read apart from the rest.
func (f *feed) putBack(w work, err error) (apart bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.apart {
		f.retries.ended(w.reloads, err)
		return true
	}
	f.pending.merge(w.pending)
	for v, how := range w.reloads {
		if _, ok := f.members[v]; !ok {
			continue
		}
		if v.family.proto != v && v.current.Load() == nil {
			f.retries.postpone(v, how, err)
			apart = true
			continue
		}
		f.reloads[v] = f.reloads[v].and(how)
	}
	return apart
}

// batch reads one batch and publishes it. apart says that its error, if there is
// one, may be due to members that have not loaded yet, and that the batch
// says nothing about the others.
func (f *feed) batch(ctx context.Context) (apart bool, err error) {
	w := f.take()
	for _, v := range w.leaving {
		f.forget(v)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.eng.cfg.ReadTimeout,
		fmt.Errorf("no answer within %v", f.eng.cfg.ReadTimeout))
	defer cancel()
	begun := f.now()
	type answer struct {
		moves   []move
		covered work
	}
	read, err := guard("reading", func() (a answer, err error) {
		a.moves, a.covered, err = f.read(ctx, w)
		return a, err
	})
	moves, covered := read.moves, read.covered
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
			err = cause
		}
		err = fmt.Errorf("core: reading table %q: %w", f.table, err)
		return f.putBack(w, err), err
	}
	f.credit(moves, covered)
	f.publishing.Lock()
	for _, m := range moves {
		f.publish(m)
	}
	f.publishing.Unlock()

	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !covered.read:
	case covered.anyWhole():
		f.stats.Reads++
		f.stats.WholeReads++
		f.wholeRead = f.now().Sub(begun)
	default:
		f.stats.Reads++
		f.stats.BatchKeys += uint64(len(w.keys))
		for _, r := range covered.resolved {
			f.stats.BatchKeys += uint64(len(r.keys))
		}
	}
	if w.apart {
		f.retries.ended(w.reloads, nil)
	}
	f.applied = w.seq
	close(f.progress)
	f.progress = make(chan struct{})
	return w.apart, nil
}

// publish makes a transition visible, and has the pool take note of it.
func (f *feed) publish(m move) {
	v := m.t.v
	from := v.current.Load()
	if !m.t.finish(m.how.forget) {
		return // the binding has ended
	}
	if from == nil {
		f.poolOf(v).enter(v)
		return
	}
	f.poolOf(v).moved(from, m.t, m.how.forget)
}

// poolOf returns the pool of the binding's loader.
func (f *feed) poolOf(v *View) *pool {
	id := v.read.identity()
	for _, p := range f.pools {
		if p.read.identity() == id {
			return p
		}
	}
	p := newPool(v.read)
	f.pools = append(f.pools, p)
	return p
}

// forget takes a binding that was removed out of its pool.
func (f *feed) forget(v *View) {
	f.poolOf(v).leave(v)
	f.pools = slices.DeleteFunc(f.pools, func(p *pool) bool { return len(p.known)+len(p.others) == 0 })
}

// prepare lets loaders ask the database about their tables, once each, before
// the first of their bindings is read.
func (f *feed) prepare(ctx context.Context, w work) error {
	for v := range w.reloads {
		if v.current.Load() != nil {
			continue
		}
		id := v.read.identity()
		if !f.prepared[id] {
			if err := v.read.prepare(ctx); err != nil {
				return fmt.Errorf("preparing %s: %w", v.describe(), err)
			}
			if err := f.refine(id); err != nil {
				return err
			}
			f.prepared[id] = true
			f.checkDependencies(ctx, v)
		}
		// What the loader learned may make filters exact that were not.
		if err := v.refine(); err != nil {
			return err
		}
	}
	return nil
}

// refine has the families of a loader take up what it learned.
func (f *feed) refine(loader any) error {
	f.mu.Lock()
	declared := inOrder(f.declared)
	f.mu.Unlock()
	for _, v := range declared {
		if v.spec.family && v.read.identity() == loader {
			if err := v.refine(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *feed) observe(v *View, e *Event) { f.eng.observe(v, e) }

// stateOf returns the state of one of the feed's bindings.
func (f *feed) stateOf(v *View) (State, time.Time, error) {
	watched, since, lost := f.eng.watched(f.table)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case v.current.Load() == nil:
		if one := f.retries.waiting[v]; one != nil {
			return Loading, f.since, one.err
		}
		return Loading, f.since, f.failure
	case f.failure != nil:
		return Stale, f.since, f.failure
	case !watched:
		return Stale, since, lost
	}
	if since.Before(f.since) {
		since = f.since
	}
	return Live, since, nil
}

func (f *feed) snapshotStats() FeedStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.stats
	st.Table = f.table
	return st
}
