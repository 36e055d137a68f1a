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
// let every binding make its transition, tell those who wait. When a read fails
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

	mu        sync.Mutex // guards what follows
	views     []*View
	reloads   map[*View]reload // to be read in full
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
	// Behind counts batches that read the whole table because a source that
	// follows the database's log did not catch up in time.
	Behind uint64
}

func newFeed(eng *engine, table Table) *feed {
	return &feed{
		eng:       eng,
		table:     table,
		wake:      make(chan struct{}, 1),
		tried:     make(chan struct{}),
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

func (f *feed) announce(keys []Key, by *sourceRun) *announcement {
	a := &announcement{feed: f, by: by, keys: keys, ended: make(chan struct{})}
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
	if slices.Contains(f.views, v) {
		f.reloads[v] = f.reloads[v].and(how)
	}
	f.reported++
	m := mark{f, f.reported}
	f.mu.Unlock()
	f.kick()
	return receipt{m}
}

// addView makes the feed keep the binding. It is loaded by the next batch.
func (f *feed) addView(v *View) {
	v.feed.Store(f)
	f.mu.Lock()
	f.views = append(f.views, v)
	f.mu.Unlock()
}

// removeView reports whether the feed has no bindings left.
func (f *feed) removeView(v *View) (empty bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.views = slices.DeleteFunc(slices.Clone(f.views), func(o *View) bool { return o == v })
	delete(f.reloads, v)
	return len(f.views) == 0
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
	for {
		select {
		case <-f.wake:
		case <-ctx.Done():
			return
		}
		for f.hasWork() {
			f.pause(ctx)
			begun := time.Now()
			err := f.batch(ctx)
			if ctx.Err() != nil {
				return
			}
			f.pace.ran(begun)
			f.note(err)
			tried()
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

func (f *feed) hasWork() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.views) > 0 && (!f.pending.empty() || len(f.reloads) > 0 || f.applied < f.reported)
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

// work is what one batch covers.
type work struct {
	pending
	reloads map[*View]reload
	views   []*View
	seq     uint64 // reports up to this one are covered
	gen     uint64 // announcements made when it was taken
	calm    bool   // nothing was announced then, and nothing must be caught up with

	following []Following
}

func (f *feed) take() work {
	// Asked before the reports are taken: a source that loses its sight after
	// having reported is then found to be behind, not left out.
	following := f.eng.following(f.table)
	f.mu.Lock()
	defer f.mu.Unlock()
	w := work{
		pending: f.pending.take(),
		reloads: f.reloads,
		views:   f.views,
		seq:     f.reported,
		gen:     f.announces,
		calm:    len(f.announced) == 0 && len(following) == 0,

		following: following,
	}
	f.reloads = make(map[*View]reload)
	f.reading = true
	return w
}

// putBack returns what a failed batch had taken.
func (f *feed) putBack(w work) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending.merge(w.pending)
	for v, how := range w.reloads {
		if slices.Contains(f.views, v) {
			f.reloads[v] = f.reloads[v].and(how)
		}
	}
}

func (f *feed) batch(ctx context.Context) error {
	w := f.take()
	ctx, cancel := context.WithTimeoutCause(ctx, f.eng.cfg.ReadTimeout,
		fmt.Errorf("no answer within %v", f.eng.cfg.ReadTimeout))
	defer cancel()
	begun := f.now()
	moves, covered, err := f.read(ctx, w)
	if err != nil {
		f.putBack(w)
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
			err = cause
		}
		return fmt.Errorf("core: reading table %q: %w", f.table, err)
	}
	credit(moves, covered)
	f.publishing.Lock()
	for _, m := range moves {
		m.t.finish(m.how.forget)
	}
	f.publishing.Unlock()

	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.Reads++
	if covered.whole {
		f.stats.WholeReads++
		f.wholeRead = f.now().Sub(begun)
	} else {
		f.stats.BatchKeys += uint64(len(w.keys))
	}
	f.applied = w.seq
	close(f.progress)
	f.progress = make(chan struct{})
	return nil
}

// prepare lets loaders ask the database about their tables, once each.
func (f *feed) prepare(ctx context.Context, views []*View) error {
	for _, v := range views {
		id := v.read.identity()
		if !f.prepared[id] {
			if err := v.read.prepare(ctx); err != nil {
				return fmt.Errorf("preparing %s: %w", v.describe(), err)
			}
			f.prepared[id] = true
		}
		if v.current.Load() == nil {
			// What the loader learned may make filters exact that were not.
			sh, errs := v.check()
			if len(errs) > 0 {
				return fmt.Errorf("%s: %w", v.describe(), errors.Join(errs...))
			}
			v.shape.Store(sh)
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
