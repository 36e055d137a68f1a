package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/audit"
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
	table driver.Table

	// publishing is held while a binding of this feed moves to a new version:
	// by the feed's goroutine, and by Touch.
	publishing sync.Mutex

	wake  chan struct{} // capacity 1
	pace  pace
	tried chan struct{} // closed after the first batch, whether it succeeded or not

	pools []*pool // in order of first use; the goroutine's own

	mu        sync.Mutex              // guards what follows
	members   map[*publisher]struct{} // bindings, loaded or not
	declared  map[*publisher]struct{} // what keeps the feed: bindings that were declared, and families
	leaving   []*publisher            // to be taken out of their pools
	reloads   map[*publisher]reload   // to be read in full
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

	compared comparing
}

func newFeed(eng *engine, table driver.Table) *feed {
	f := &feed{
		eng:       eng,
		table:     table,
		wake:      make(chan struct{}, 1),
		tried:     make(chan struct{}),
		members:   make(map[*publisher]struct{}),
		declared:  make(map[*publisher]struct{}),
		reloads:   make(map[*publisher]reload),
		pending:   pending{maxKeys: eng.cfg.MaxBatchKeys},
		announced: make(map[*announcement]struct{}),
		progress:  make(chan struct{}),
		since:     eng.now(),
		prepared:  make(map[any]bool),
	}
	f.compared.auditor, f.compared.mending = newAuditor(f), make(map[*audit.Ticket]struct{})
	return f
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
func (f *feed) report(keys []driver.Key, by *sourceRun) mark {
	f.mu.Lock()
	f.stats.Reports++
	f.stats.Keys += uint64(len(keys))
	if f.pending.add(keys, by) {
		f.stats.Overflows++
	}
	f.reported++
	m := mark{feed: f, seq: f.reported}
	f.mu.Unlock()
	f.kick()
	return m
}

// reportRelated is report for keys of a table whose rows are shown in this
// feed's rows.
func (f *feed) reportRelated(table driver.Table, keys []driver.Key, by *sourceRun) mark {
	f.mu.Lock()
	f.stats.Reports++
	f.stats.RelatedKeys += uint64(len(keys))
	if f.pending.addRelated(table, keys, by) {
		f.stats.Overflows++
	}
	f.reported++
	m := mark{feed: f, seq: f.reported}
	f.mu.Unlock()
	f.kick()
	return m
}

// announce notes what is about to be committed in the table: the feed's own, or
// one whose rows are shown (related) in its rows.
func (f *feed) announce(table driver.Table, related bool, keys []driver.Key, by *sourceRun) *announcement {
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

// reload has one binding read in full.
func (f *feed) reload(v *publisher, how reload) receipt {
	f.mu.Lock()
	if _, ok := f.members[v]; ok {
		f.reloads[v] = f.reloads[v].and(f.retries.cancel(v)).and(how)
	}
	f.reported++
	m := mark{feed: f, seq: f.reported}
	f.mu.Unlock()
	f.kick()
	return receipt{m}
}

// barrier returns a mark for everything reported so far.
func (f *feed) barrier() mark {
	f.mu.Lock()
	defer f.mu.Unlock()
	return mark{feed: f, seq: f.reported}
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
	defer f.runAuditor(ctx)()
	backoff := newBackoff()
	tried := sync.OnceFunc(func() { close(f.tried) })
	for f.sleep(ctx) {
		for f.hasWork() {
			f.publishFound(ctx)
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
	return !f.idleLocked() || f.retries.due() || len(f.compared.found) > 0
}

// idleLocked reports that nothing is to be done, but perhaps for retries.
func (f *feed) idleLocked() bool {
	return f.pending.empty() && len(f.reloads) == 0 && f.applied >= f.reported && len(f.leaving) == 0
}

// batch reads one batch and publishes it. apart says that its error, if there is
// one, may be due to members that have not loaded yet, and that the batch
// says nothing about the others.
func (f *feed) batch(ctx context.Context) (apart bool, err error) {
	number := f.batchBegins()
	var done work // what was read and shows
	defer func() { f.batchEnds(number, done) }()
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
	done = covered

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

func (f *feed) observe(v *publisher, e *Event) { f.eng.observe(v, e) }
