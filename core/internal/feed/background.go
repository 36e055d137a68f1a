package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/badrows"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
)

// Reading in the background.
//
// Bindings are read in full on separate goroutines, so that batches of keys never wait for
// a slow query. Each lane runs one read at a time: one lane for members in trouble, one
// for each loader with bindings that share statements, and a few for bindings that need a
// statement of their own. So a query that hangs delays only its own lane, and the database
// runs a bounded number of them.
//
// A read notes the number of the next batch before it begins, and the journal records the
// keys that batches read from then on. When the read ends, the feed's goroutine publishes
// it, see finish. Before that it reads the recorded keys once more for these bindings.
// Otherwise they could fall behind a write that its writer was told is visible.

// lane identifies a queue of background reads. It is the identity of a loader, for the
// bindings that share its statements, or a reservedLane.
type lane any

type reservedLane int

// troubledLane is for members in trouble.
const troubledLane reservedLane = -1

// ownLanes is how many bindings with a statement of their own can be read at a time.
// Their lanes are numbered from 0.
const ownLanes = 4

// backgroundRead is one background read and its outcome.
type backgroundRead struct {
	lane   lane
	views  []*rowset.Member
	number uint64 // of the first batch whose changes it may lack
	last   uint64 // the last batch that had begun when the read ended
	opened uint64 // how many comparisons had opened their snapshots before it began
	hows   map[*rowset.Member]backlog.Reload
	// suspects are the rows that put members in trouble. For large members they are read
	// first: if they still fail, reading the others is pointless.
	suspects map[*rowset.Member][]driver.Key
	// requests are the requests that the read answers. Members in trouble have none.
	requests map[*rowset.Member]*fullRead
	// sharing has the pools, by loader, whose bindings can share the rows read.
	sharing map[any]*concern.Pool

	out   outcome
	later map[*rowset.Member]*laterStep
	errs  []backgroundError
	ended func(Result) // tells observers of the end
}

// backgroundError is the error of a statement, with the bindings that it was for.
type backgroundError struct {
	views []*rowset.Member
	err   error
}

// advanceBackground publishes the background reads that have ended, and starts new ones.
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
			f.backgroundDone = append(f.backgroundDone, r) // at most one for each lane
			f.mu.Unlock()
			f.kick()
		})
	}
}

// nextReadsLocked returns the background reads to start now, and sets nextDue.
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

// sharedRead gathers bindings for one read, up to a number of expected rows.
type sharedRead struct {
	read       *backgroundRead
	rows, most int
}

// fits reports whether the read has room for the binding, and if so counts its rows.
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

// maxFirstRows bounds the expected rows of new members that one read loads. When clients
// open many members at once, the next request waits for one such read, and not for all of
// them. If the last read of bindings in full found more rows, that number is the bound.
const maxFirstRows = 24_000

// freeLane returns a lane for a binding that needs a statement of its own. It returns nil
// when all are taken, by reads under way or by those in reads.
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

// troubledReadLocked returns a read of the members in trouble that are due, nil if none is.
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

// readInBackground reads the members. One statement sees one state of the database, so it
// needs neither a snapshot nor the announcements. A loader that reads related rows with
// further statements gets a snapshot for them.
func (f *Feed) readInBackground(ctx context.Context, b *backgroundRead) {
	ctx, cancel := context.WithTimeoutCause(ctx, f.host.ReadTimeout,
		fmt.Errorf("no answer within %v", f.host.ReadTimeout))
	defer cancel()
	fail := func(views []*rowset.Member, err error) {
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
		// Batches keep changing a loaded binding. So its step begins when the read is
		// published, unless it starts empty.
		if b.lane != troubledLane && !v.Unread() && !b.hows[v].Forget {
			b.later[v] = &laterStep{}
		}
	}
	for _, pl := range poolsOf(b.views) {
		full := make(map[*rowset.Member]struct{})
		for v := range pl.InMemory {
			if keys := b.suspects[v]; len(keys) == 0 || !v.Unread() && v.Snapshot().Len() <= maxTried || s.probe(ctx, pl, v, keys) {
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
					if v := r.only(); v != nil && b.lane == troubledLane && !errors.Is(err, driver.ErrSchemaChanged) && s.blameHeld(ctx, pl, v, b.suspects[v]) {
						continue
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

// inSnapshot calls read. If the loader reads related rows with further statements and can
// open snapshots, the context makes all statements see one state of the database.
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

// poolsOf returns new pools for the bindings, one for each loader.
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

// probe reads the rows that the binding could not show. It returns false if one still
// fails: then reading the others is pointless.
func (s *delivery) probe(ctx context.Context, pl *concern.Pool, v *rowset.Member, keys []driver.Key) bool {
	one := &concern.Pool{Loader: pl.Loader}
	r := plannedRead{pool: one, query: driver.Query{Filter: v.Filter, Where: v.Spec.Where, Keys: keys}, asked: v, keys: keys}
	if !v.Loader.CanQuery() {
		r.query, r.plain = driver.Query{Keys: keys}, true
	}
	got, err := r.run(ctx)
	if err != nil {
		return true // the read in full finds out what is to blame
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

// blameHeld finds the rows because of which a binding could not be read in full, where the
// loader does not tell: it reads the rows that the binding holds, and those known to be bad,
// by key. It reports whether it found any.
func (s *delivery) blameHeld(ctx context.Context, pl *concern.Pool, v *rowset.Member, suspects []driver.Key) bool {
	snap := v.Snapshot()
	if snap == nil || snap.Len() > maxTried || ctx.Err() != nil {
		return false
	}
	keys := slices.Clone(suspects)
	for r := range snap.Rows() {
		keys = append(keys, r.Key())
	}
	bad, there := badrows.Find(ctx, loadOf(pl), keys, false)
	if !there || len(bad) == 0 {
		return false
	}
	for _, err := range bad {
		if errors.Is(err, driver.ErrSchemaChanged) {
			return false // the schema is to blame
		}
	}
	for k, err := range bad {
		s.fail(v, k, err)
	}
	keys = slices.DeleteFunc(keys, func(k driver.Key) bool { return bad[k] != nil })
	if rows, err := pl.Loader.Load(ctx, keys); err == nil && len(keys) > 0 {
		found, _ := v.Shape.Load().TakeUp(pl.Loader, rows)
		_ = guardRow(func() {
			for i := range found {
				if v.Shape.Load().Holds(pl.Loader, found[i].Row) {
					s.try(v, &found[i])
				}
			}
		})
	}
	return true
}
