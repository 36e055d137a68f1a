package feed

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/audit"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/changelog"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/status"
)

// Feed turns the reports on one table into new versions of the table's bindings. Its
// goroutine gathers reports, reads the reported rows in one batch, and publishes. Reports
// that arrive meanwhile share the next batch. So at most one read of reported rows is in
// flight, however much is written.
//
// A batch takes everything pending. It opens a snapshot of the database if it needs more
// than one statement, or if a commit was announced. It reads, makes the step of every
// binding concerned, publishes the steps, and wakes the waiters. If a member makes a read
// fail, the batch sets it aside and begins again without it. If no member can be read, the
// batch puts everything back and is retried with back-off.
//
// Bindings are read in full in the background, on separate goroutines, so that a slow or
// failing statement delays no batch; see advanceBackground.
type Feed struct {
	host  Host
	Table driver.Table

	wake     chan struct{}        // capacity 1
	readMode atomic.Pointer[Mode] // nil: the zero Mode
	tried    chan struct{}        // closed after the first batch, whether it succeeded or not

	// The goroutine's own.
	pools        []*concern.Pool // in order of first use
	lanes        map[lane]bool   // of background reads under way
	nextDue      time.Time       // when the next background read may begin; zero: none waits for its time
	notBefore    time.Time       // earliest time of the next batch, see pause
	lastRows     int             // rows found by the last read of bindings in full
	troubledTook time.Duration   // how long the last read of members in trouble took
	wholeReads   readTimes       // mu guards it, too
	askedAt      time.Time       // when loaders were last asked whether the table was altered

	mu              sync.Mutex                        // guards what follows
	members         map[*rowset.Member]struct{}       // bindings, loaded or not
	declared        map[*rowset.Member]struct{}       // declared bindings and families; the feed ends with the last
	leaving         []*rowset.Member                  // removed, and still in their pools
	batches         uint64                            // batches begun, plus other publications
	inBatch         bool                              // a batch is under way
	batchBegun      time.Time                         // when the last batch began
	requests        uint64                            // number of the last request to read a binding in full
	waiting         map[*rowset.Member]*fullRead      // requested, and not begun
	underway        map[*rowset.Member]*fullRead      // begun, and not published yet
	backgroundDone  []*backgroundRead                 // ended, and not published yet
	backgroundReads map[*backgroundRead]struct{}      // under way, or not published yet
	startingPoints  map[*rowset.Member]*startingPoint // for the next batch
	relatedRead     map[driver.Table]uint64           // the last batch that covered changes of the related table
	queryAfter      map[*rowset.Member]time.Time      // earliest time of the binding's next query
	slowQueries     map[*rowset.Member]bool           // slow bindings that writers do not wait for
	slowAsked       map[*rowset.Member]*slowAnswer    // see noteSlow
	touches         []*rowset.Member                  // to be given a new time of change
	touchesAsked    uint64                            // number of the last touch
	touchesDone     uint64                            // number of the last touch that is published
	asked           bool                              // Reload was called: ends the wait after a failed batch
	troubles        backlog.Troubles
	omissions       map[*rowset.Member]*omission // rows that bindings leave out
	journal         backlog.Journal              // what batches have read
	pending         backlog.Pending
	announced       map[*Announcement]struct{}
	announcedBytes  int           // size of the announced keys
	troubleBytes    int           // size of the failures of rows that cannot be shown
	counted         int           // bytes last reported to the host
	announces       uint64        // number of announcements so far
	reported        uint64        // number of the last report
	reportedAt      time.Time     // when the first report that no batch has taken came; zero: none
	writers         writers       // of the reports that no batch has taken
	applied         uint64        // the last report that bindings show
	late            uint64        // writers' waits for reports up to this one have failed
	slow            bool          // a long wait of a writer was logged
	progress        chan struct{} // closed and replaced whenever waiters must look again
	reading         bool          // a first read has begun
	failure         error         // of the last read
	since           time.Time     // when failure began, or ended
	closed          error         // why the feed has ended; nil: it has not
	stats           status.Feed
	learned         learning

	compared comparing
	logs     changelog.Logs // of sources that notice commits afterwards
	lags     backlog.Lags   // bindings left to later reads in full
	// The first and the last report since a whole table was first pending; 0: none is.
	wholeFrom, wholeTo uint64
}

// New returns a feed of the table. It does nothing until Run is called.
func New(table driver.Table, host Host) *Feed {
	f := &Feed{
		host:            host,
		Table:           table,
		wake:            make(chan struct{}, 1),
		tried:           make(chan struct{}),
		members:         make(map[*rowset.Member]struct{}),
		declared:        make(map[*rowset.Member]struct{}),
		waiting:         make(map[*rowset.Member]*fullRead),
		underway:        make(map[*rowset.Member]*fullRead),
		backgroundReads: make(map[*backgroundRead]struct{}),
		startingPoints:  make(map[*rowset.Member]*startingPoint),
		relatedRead:     make(map[driver.Table]uint64),
		queryAfter:      make(map[*rowset.Member]time.Time),
		slowQueries:     make(map[*rowset.Member]bool),
		slowAsked:       make(map[*rowset.Member]*slowAnswer),
		lanes:           make(map[lane]bool),
		pending:         backlog.Pending{MaxKeys: host.MaxBatchKeys},
		journal:         backlog.Journal{MaxKeys: maxJournal},
		announced:       make(map[*Announcement]struct{}),
		progress:        make(chan struct{}),
		since:           host.Now(),
		learned:         newLearning(),
	}
	f.compared.auditor, f.compared.mending = newAuditor(f), make(map[*audit.Ticket]struct{})
	return f
}

// FirstTry returns a channel that is closed when the first reads in full have ended, well
// or not, or when a batch has failed.
func (f *Feed) FirstTry() <-chan struct{} { return f.tried }

// kick wakes the feed's goroutine.
func (f *Feed) kick() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Report reports that the rows with the keys may have changed (nil: the whole table). It
// returns the mark to wait for. by is the source that reports, nil for the engine itself.
func (f *Feed) Report(keys []driver.Key, by *backlog.Reporter) mark {
	return f.ReportOf(context.Background(), keys, by)
}

// ReportOf is [Feed.Report] with the context of the write, for plugins that trace it. A nil
// writer is not remembered.
func (f *Feed) ReportOf(writer context.Context, keys []driver.Key, by *backlog.Reporter) mark {
	return f.gather(writer, len(keys), 0, func(p *backlog.Pending) bool { return p.Add(keys, by) })
}

// ReportRelated is [Feed.ReportOf] for another table, whose rows this feed's rows show.
func (f *Feed) ReportRelated(writer context.Context, table driver.Table, keys []driver.Key, by *backlog.Reporter) mark {
	return f.gather(writer, 0, len(keys), func(p *backlog.Pending) bool { return p.AddRelated(table, keys, by) })
}

func (f *Feed) gather(writer context.Context, own, related int, add func(*backlog.Pending) (overflowed bool)) mark {
	f.mu.Lock()
	f.stats.Reports++
	f.stats.Keys += uint64(own)
	f.stats.RelatedKeys += uint64(related)
	if f.reportedAt.IsZero() {
		f.reportedAt = time.Now()
	}
	if writer != nil {
		f.writers.add(writer)
	}
	if add(&f.pending) {
		f.stats.Overflows++
	}
	f.reported++
	if f.pending.Whole {
		if f.wholeFrom == 0 {
			f.wholeFrom = f.reported
		}
		f.wholeTo = f.reported
	}
	m := mark{feed: f, seq: f.reported}
	f.countLocked()
	f.mu.Unlock()
	f.kick()
	return m
}

// Announce notes that a transaction with these keys (nil: unknown) is about to commit to the
// table. related says that the feed's rows show rows of this table. More than
// [Limits].MaxBatchKeys keys count as unknown.
func (f *Feed) Announce(table driver.Table, related bool, keys []driver.Key, by *backlog.Reporter) *Announcement {
	if len(keys) > f.host.MaxBatchKeys {
		keys = nil
	}
	a := &Announcement{feed: f, by: by, table: table, related: related, keys: keys, ended: make(chan struct{})}
	f.mu.Lock()
	f.announced[a] = struct{}{}
	f.announcedBytes += backlog.SizeOf(keys)
	f.announces++
	f.countLocked()
	f.mu.Unlock()
	return a
}

func (f *Feed) unannounce(a *Announcement) {
	f.mu.Lock()
	if _, ok := f.announced[a]; ok {
		delete(f.announced, a)
		f.announcedBytes -= backlog.SizeOf(a.keys)
		f.countLocked()
		close(a.ended)
	}
	f.mu.Unlock()
}

// Reload requests that a binding be read in full. A binding in trouble is retried without
// waiting for its back-off; the receipt does not wait for it.
func (f *Feed) Reload(v *rowset.Member, how backlog.Reload) Receipt {
	m := mark{feed: f}
	f.mu.Lock()
	if _, ok := f.members[v]; ok {
		if t := f.troubles.Waiting[v]; t == nil {
			m.member, m.request = v, f.requestLocked(v, how, time.Time{})
		} else {
			t.Ask(how)
			f.troubles.Next = time.Time{}
		}
	}
	f.asked = true
	f.mu.Unlock()
	f.kick()
	return Receipt{m}
}

// Barrier returns a mark for everything reported and touched so far, and for all reads in
// full that are requested by the time it shows.
func (f *Feed) Barrier() mark {
	f.mu.Lock()
	defer f.mu.Unlock()
	return mark{feed: f, seq: f.reported, touch: f.touchesAsked, all: true}
}

// Close ends all waits, because of why. Call it only when Run does not run.
func (f *Feed) Close(why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = why
	f.host.Kept(-f.counted)
	f.counted = 0
	f.progressLocked()
}

// Run is the feed's goroutine. It returns when ctx is done, and closes the feed.
func (f *Feed) Run(ctx context.Context) {
	var background sync.WaitGroup
	waitForAuditor := f.runAuditor(ctx)
	defer func() {
		background.Wait()
		waitForAuditor()
		f.Close(context.Cause(ctx))
	}()
	backoff := backlog.NewBackoff()
	tried := sync.OnceFunc(func() { close(f.tried) })
	for f.sleep(ctx) {
		f.publishTouches()
		f.advanceBackground(ctx, &background)
		if f.isIdle() {
			tried()
		}
		for f.hasWork() {
			f.publishFound(ctx)
			f.publishTouches()
			f.pause(ctx)
			begun := time.Now()
			err := f.batch(ctx)
			if ctx.Err() != nil {
				return
			}
			f.ran(begun)
			f.note(err)
			if err != nil {
				tried() // waiters then find the failure in the status
			}
			f.advanceBackground(ctx, &background)
			if f.isIdle() {
				tried()
			}
			if err == nil {
				backoff.Reset()
			} else if !f.rest(ctx, backoff.Next(), func() { f.advanceBackground(ctx, &background) }) {
				return
			}
		}
	}
}

// rest waits before a failed batch is retried. Reload ends the wait early. Background reads
// and touches go on meanwhile. It returns false when ctx is done.
func (f *Feed) rest(ctx context.Context, d time.Duration, advanceBackground func()) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		var due <-chan time.Time
		if !f.nextDue.IsZero() {
			timer := time.NewTimer(time.Until(f.nextDue))
			defer timer.Stop()
			due = timer.C
		}
		select {
		case <-timer.C:
			return true
		case <-f.wake:
		case <-due:
		case <-ctx.Done():
			return false
		}
		f.publishTouches()
		advanceBackground()
		f.mu.Lock()
		asked := f.asked
		f.mu.Unlock()
		if asked {
			return true
		}
	}
}

// sleep waits until there may be something to do. It returns false when ctx is done.
func (f *Feed) sleep(ctx context.Context) bool {
	f.mu.Lock()
	wait, waiting := f.waitLocked()
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

func (f *Feed) hasWork() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	wait, waiting := f.byKeyLocked()
	return !f.pending.Empty() || f.mustReadInBatchLocked() || len(f.startingPoints) > 0 || f.applied < f.reported || f.logs.Pending() || len(f.leaving) > 0 ||
		len(f.compared.found) > 0 || waiting && wait <= 0
}

// batch reads one batch and publishes it. It fails only if no member could be read.
func (f *Feed) batch(ctx context.Context) error {
	w, number := f.take()
	defer func() {
		f.mu.Lock()
		f.inBatch = false
		f.mu.Unlock()
	}()
	for _, v := range w.leaving {
		f.forget(v)
	}
	if len(w.leaving) > 0 {
		f.forgetLoaders()
	}
	before := ctx
	ctx, observed := f.host.BatchBegins(ctx, Batch{Table: f.Table, Keys: len(w.Keys), Whole: w.Whole, Reloads: len(w.reloads) + len(w.starts), Reported: w.since, Writers: w.writers.known, MoreWriters: w.writers.more})
	out, err := f.attempts(ctx, &w)
	if err != nil {
		f.putBack(w)
		err = fmt.Errorf("core: reading table %q: %w", f.Table, err)
		observed(out.result(0, err))
		return err
	}
	f.attribute(out.steps, out.covered)
	for _, m := range out.steps {
		m.step.Edit.Reported(w.since)
		if ctx != before { // an observer has added to it
			m.step.Edit.Within(ctx)
		}
		f.publish(m)
	}
	f.noteTroubles(number, &w, out)
	f.noteSlow(number, out.slow, false)
	observed(out.result(len(out.failed)+w.newAside(), nil))

	f.mu.Lock()
	defer f.mu.Unlock()
	covered := out.covered
	f.stats.Refills += uint64(len(out.unsettled))
	switch {
	case !covered.read:
	case covered.anyWhole():
		f.stats.Reads++
		f.stats.WholeReads++
		f.wholeReads.note(out.took)
	default:
		f.stats.Reads++
		f.stats.BatchKeys += uint64(len(w.Keys))
		for _, r := range covered.resolved {
			f.stats.BatchKeys += uint64(len(r.Keys))
		}
	}
	f.leaveUnsettledLocked(&w, &out)
	f.finishRequestsLocked(&w)
	for _, p := range w.starts {
		f.compareAgainLocked(p.opened)
	}
	for _, m := range out.steps {
		if _, full := out.inFull[m.step.Member]; full || w.starts[m.step.Member] != nil {
			f.lags.Read(m.step.Member, f.waiting[m.step.Member] != nil)
		}
	}
	f.requeryAfterLocked(&out)
	f.applied = w.seq
	f.logs.Show(covered.logsRead)
	f.countTroublesLocked()
	f.progressLocked()
	return nil
}

// progressLocked wakes all waiters, which then check whether they are done.
func (f *Feed) progressLocked() {
	close(f.progress)
	f.progress = make(chan struct{})
}

// isIdle reports whether every requested read in full has ended, well or not. It is false
// before the first request.
func (f *Feed) isIdle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests > 0 && len(f.waiting)+len(f.underway) == 0
}

// publish makes a step visible, updates the pool, and tells observers.
func (f *Feed) publish(m readyStep) {
	v := m.step.Member
	from := v.Holding()
	event, ok := m.step.Publish()
	if !ok {
		return // the binding has ended
	}
	if from.Shown == nil && !v.Admit() {
		return
	}
	if p := f.poolOf(v); from.Shown == nil || !p.Has(v) {
		p.Enter(v)
	} else {
		p.Moved(from, m.step)
	}
	if event != nil {
		f.host.Published(v.View, event)
	}
}

// maxJournal bounds the keys and bindings in the journal of what batches have read.
const maxJournal = 100_000
