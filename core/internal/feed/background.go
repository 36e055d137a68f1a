package feed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
)

// Reading in the background.
//
// Bindings are read in full on goroutines of their own, so that batches of keys never
// wait for a slow query. There are several lanes, each with one read at a time: one for
// members in trouble, one for each loader whose bindings share statements, and a few for
// bindings that have a statement to themselves. So a query that does not return holds up
// those of its lane alone, and the database has a bounded number of them.
//
// A read notes the number of the batch that comes next before it begins, and the feed's
// journal what batches read from then on. When the read has ended the feed's goroutine
// publishes it, see finish. What batches have read meanwhile is read once more for the
// bindings before they are published, so none shows a state that is older than what
// writers have been told shows.

// lane is one of the queues of reads in the background: the identity of a loader for
// the bindings that share its statements, or one of these.
type lane any

type reservedLane int

// troubledLane is for members in trouble.
const troubledLane reservedLane = -1

// ownLanes is how many bindings can be read at a time that have a statement of their
// own. Their lanes count from 0.
const ownLanes = 4

// backgroundRead is one read in the background, and what came of it.
type backgroundRead struct {
	lane   lane
	views  []*rowset.Member
	number uint64 // of the first batch that it may not show
	last   uint64 // the last batch that had begun when it had ended
	opened uint64 // comparisons that had opened their snapshots before it began
	hows   map[*rowset.Member]backlog.Reload
	// suspects are the rows because of which members are in trouble. They are read
	// first: if they are as before, reading all others would be in vain.
	suspects map[*rowset.Member][]driver.Key
	// requests are what the read answers, of members that are in no trouble.
	requests map[*rowset.Member]*fullRead
	// sharing are the pools, by loader, with whose bindings the rows are shared.
	sharing map[any]*concern.Pool

	out   outcome
	later map[*rowset.Member]*laterStep
	errs  []backgroundError
	ended func(Result) // tells observers of the end
}

// backgroundError is a statement that failed, and for whom.
type backgroundError struct {
	views []*rowset.Member
	err   error
}

// advanceBackground publishes what was read in the background, and begins further reads.
func (f *Feed) advanceBackground(ctx context.Context, group *sync.WaitGroup) {
	f.mu.Lock()
	done := f.backgroundDone
	f.backgroundDone = nil
	f.mu.Unlock()
	for _, r := range done {
		delete(f.lanes, r.lane)
		f.finish(r)
		f.mu.Lock()
		delete(f.backgroundReads, r)
		f.mu.Unlock()
	}
	f.mu.Lock()
	reads := f.nextReadsLocked()
	f.mu.Unlock()
	for _, r := range reads {
		f.lanes[r.lane] = true
		group.Go(func() {
			ctx, ended := f.host.BatchBegins(ctx, Batch{Table: f.Table, Reloads: len(r.views), Retry: r.lane == troubledLane})
			r.ended = ended
			begun := time.Now()
			f.readInBackground(ctx, r)
			r.out.took = time.Since(begun)
			f.mu.Lock()
			r.last = f.batches
			f.backgroundDone = append(f.backgroundDone, r) // one of each lane at most
			f.mu.Unlock()
			f.kick()
		})
	}
}

// nextReadsLocked returns the reads that can begin now.
func (f *Feed) nextReadsLocked() (reads []*backgroundRead) {
	f.nextDue = time.Time{}
	if !f.lanes[troubledLane] {
		if r := f.troubledReadLocked(); r != nil {
			reads = append(reads, r)
		}
	}
	if len(f.waiting) == 0 || f.mode().Derived {
		return reads
	}
	windows := 0
	for v := range f.waiting {
		if !v.SharesReads() && v.ByRow() {
			windows++
		}
	}
	now := time.Now()
	shared := make(map[any]*sharedRead)
	for _, v := range rowset.InOrder(keysOf(f.waiting)) {
		w := f.waiting[v]
		if f.underway[v] != nil || w.tries >= maxTries {
			continue
		}
		// So many limited reads cost more than one of the table; see plan.
		sharing := v.SharesReads() || v.ByRow() && windows > maxLimitedFullReads
		var in lane = v.Loader.Identity()
		if !sharing {
			in = f.freeLane(reads)
		}
		one := shared[in]
		if in == nil || f.lanes[in] || one != nil && !one.fits(v) {
			continue // the end of a read of its lane wakes the feed up
		}
		if w.due.After(now) {
			if f.nextDue.IsZero() || w.due.Before(f.nextDue) {
				f.nextDue = w.due
			}
			continue
		}
		if one == nil {
			one = &sharedRead{read: f.newRead(in), most: max(maxFirstRows, f.lastRows)}
			one.fits(v)
			reads = append(reads, one.read)
			if sharing {
				shared[in] = one
			}
		}
		one.read.views = append(one.read.views, v)
		one.read.hows[v], one.read.requests[v] = w.how, w
		delete(f.waiting, v)
		f.underway[v] = w
		f.reading = true
	}
	return reads
}

// sharedRead gathers bindings for one read, up to so many rows that are to be expected.
type sharedRead struct {
	read       *backgroundRead
	rows, most int
}

// fits reports whether there is room for the binding, and counts it in.
func (s *sharedRead) fits(v *rowset.Member) bool {
	rows := 0
	if v.Base != nil && v.Unread() {
		rows = 1 + v.Expected()
	}
	if s.rows > 0 && s.rows+rows > s.most {
		return false
	}
	s.rows += rows
	return true
}

// maxFirstRows bounds the rows that members which are read for the first time together
// are expected to hold. What other clients ask for meanwhile waits for them, and not for
// all members that clients ask for at once. Where reading the table brings more rows by
// itself the bound is as many as that.
const maxFirstRows = 24_000

// freeLane returns a lane for a binding that has a statement of its own, nil when all
// are taken, by reads that have begun or are about to.
func (f *Feed) freeLane(reads []*backgroundRead) lane {
next:
	for i := range reservedLane(ownLanes) {
		if f.lanes[i] {
			continue
		}
		for _, r := range reads {
			if r.lane == i {
				continue next
			}
		}
		return i
	}
	return nil
}

func (f *Feed) newRead(in lane) *backgroundRead {
	sharing := make(map[any]*concern.Pool, len(f.pools))
	for _, p := range f.pools {
		sharing[p.Loader.Identity()] = p
	}
	r := &backgroundRead{
		lane: in, number: f.batches + 1, opened: f.compared.opened, later: make(map[*rowset.Member]*laterStep), sharing: sharing,
		hows: make(map[*rowset.Member]backlog.Reload), requests: make(map[*rowset.Member]*fullRead),
	}
	f.backgroundReads[r] = struct{}{}
	return r
}

// troubledReadLocked returns a read of the members in trouble that are due.
func (f *Feed) troubledReadLocked() *backgroundRead {
	views := f.troubles.Take()
	if len(views) == 0 {
		return nil
	}
	r := f.newRead(troubledLane)
	r.views, r.suspects = views, make(map[*rowset.Member][]driver.Key)
	for _, v := range views {
		t := f.troubles.Waiting[v]
		t.Reading = true
		r.hows[v], r.suspects[v] = t.How, t.Rows.Keys()
	}
	return r
}

// readInBackground reads the members. One statement sees one state of the database, so a
// member needs no snapshot and no announcements; where a loader reads related rows by
// further statements, all are of one snapshot.
func (f *Feed) readInBackground(ctx context.Context, b *backgroundRead) {
	ctx, cancel := context.WithTimeoutCause(ctx, f.host.ReadTimeout,
		fmt.Errorf("no answer within %v", f.host.ReadTimeout))
	defer cancel()
	fail := func(views []*rowset.Member, err error) {
		f.noteOutdated(err)
		f.noteOutdated(err)
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
			err = cause
		}
		b.errs = append(b.errs, backgroundError{views, err})
	}
	s := newDelivery(work{reloads: b.hows}, f.host.Now())
	s.later = b.later
	if b.lane == troubledLane || anyLoaded(b.views) {
		f.checkAltered(ctx)
	}
	if err := f.prepare(ctx, b.hows); err != nil {
		fail(b.views, err)
		return
	}
	for _, v := range b.views {
		// Batches go on with a binding that has loaded. Its step begins from what it
		// holds when the read is published, unless it begins with nothing.
		if b.lane != troubledLane && !v.Unread() && !b.hows[v].Forget {
			b.later[v] = &laterStep{}
		}
	}
	for _, pl := range poolsOf(b.views) {
		full := make(map[*rowset.Member]struct{})
		for v := range pl.InMemory {
			if keys := b.suspects[v]; len(keys) == 0 || s.probe(ctx, pl, v, keys) {
				full[v] = struct{}{}
			}
		}
		pl.InMemory = nil
		err := f.inSnapshot(ctx, pl, func(ctx context.Context) {
			var p plan
			p.readPool(pl, full, nil, &work{})
			for _, r := range p.reads {
				r.sharing = b.sharing[r.pool.Loader.Identity()]
				_, err := untyped.Guard("reading", func() (struct{}, error) { return struct{}{}, s.run(ctx, plan{reads: []plannedRead{r}}) })
				if err != nil {
					for _, v := range r.full {
						delete(s.steps, v)
					}
					fail(r.full, err)
				}
			}
		})
		if err != nil {
			fail(rowset.InOrder(full), fmt.Errorf("opening a snapshot: %w", err))
		}
	}
	for _, v := range s.settle() {
		delete(s.steps, v)
		fail([]*rowset.Member{v}, errUnsettled)
	}
	for v, l := range b.later {
		if s.failed[v] == nil && l.read {
			s.makeReady(v, l)
		}
	}
	rows := s.rows
	b.out = s.outcome()
	b.out.rows = rows
}

// inSnapshot calls read with a context whose statements are of one state of the
// database, where that takes more than single statements.
func (f *Feed) inSnapshot(ctx context.Context, pl *concern.Pool, read func(context.Context)) error {
	snapshotter := pl.Loader.Snapshotter()
	if pl.Loader.Relations() == nil || snapshotter == nil {
		read(ctx)
		return nil
	}
	open, err := openSnapshot(ctx, snapshotter)
	if err != nil {
		return err
	}
	defer open.Close()
	read(open.Context(ctx))
	return nil
}

var errUnsettled = errors.New("the rows that were read do not tell which come first")

// poolsOf returns pools of their own for the bindings, by loader.
func poolsOf(views []*rowset.Member) []*concern.Pool {
	var pools []*concern.Pool
	byLoader := make(map[any]*concern.Pool)
	for _, v := range views {
		pl := byLoader[v.Loader.Identity()]
		if pl == nil {
			pl = concern.NewPool(v.Loader)
			byLoader[v.Loader.Identity()] = pl
			pools = append(pools, pl)
		}
		pl.InMemory[v] = struct{}{}
	}
	return pools
}

// probe reads the rows that the binding could not show. If they are as before,
// reading all others would be in vain.
func (s *delivery) probe(ctx context.Context, pl *concern.Pool, v *rowset.Member, keys []driver.Key) bool {
	one := &concern.Pool{Loader: pl.Loader}
	r := plannedRead{pool: one, query: driver.Query{Filter: v.Filter, Where: v.Spec.Where, Keys: keys}, asked: v, keys: keys}
	if !v.Loader.CanQuery() {
		r.query, r.plain = driver.Query{Keys: keys}, true
	}
	got, err := r.run(ctx)
	if err != nil {
		return true // the read in full tells who is to blame
	}
	trial := newDelivery(work{}, s.now)
	for k, err := range got.unreadable {
		trial.fail(v, k, err)
	}
	for i := range got.rows {
		c := &got.rows[i]
		err := guardRow(func() {
			if v.Shape.Load().Holds(v.Loader, c.Row) {
				if _, err := c.Encoded(v.Loader, v.Shape.Load().Encoder); err != nil {
					trial.fail(v, c.Key, err)
				}
			}
		})
		if err != nil {
			trial.fail(v, c.Key, err)
		}
	}
	if rows := trial.failed[v]; rows != nil {
		if s.failed == nil {
			s.failed = make(map[*rowset.Member]*backlog.RowFailures)
		}
		s.failed[v] = rows
		return false
	}
	return true
}
