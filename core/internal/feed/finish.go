package feed

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/audit"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
)

// laterStep has the rows read for a loaded binding. Batches keep changing the binding, so
// its step is made when the rows are published.
type laterStep struct {
	from plannedRead
	read bool
	rows []*rowset.Fetched
	// unreadable is the number of rows that the read could not read.
	unreadable int
	// differing says that keys and found replace rows. keys are the keys of rows that
	// differ from the binding's, and found those of these rows that exist.
	differing bool
	keys      []driver.Key
	found     []rowset.Fetched
}

// makeReady encodes the rows and finds those that differ, so that the feed's goroutine does
// not have to.
func (s *delivery) makeReady(v *rowset.Member, l *laterStep) {
	sh, h := v.Shape.Load(), v.Holding()
	l.differing = v.Reach() == 0 && !sh.Collated
	there := make(map[driver.Key]struct{}, len(l.rows))
	for _, c := range l.rows {
		there[c.Key] = struct{}{}
		js, err := c.Encoded(v.Loader, sh.Encoder)
		switch held := h.Get(c.Key); {
		case !l.differing: // the step compares, and reports errors
		case err != nil:
			s.fail(v, c.Key, err)
			delete(there, c.Key)
		case held.IsZero() || held.Restored() || !bytes.Equal(held.JSON(), js) ||
			held.OrderKey() != sh.OrderOf(v.Loader, c.Row, c.Key) || !reflect.DeepEqual(held.Value(), c.Row):
			l.keys, l.found = append(l.keys, c.Key), append(l.found, *c)
		}
	}
	if l.differing && len(there) < len(l.rows) && s.failed[v] == nil && s.omitted[v] == nil {
		l.differing = false // two rows with one key: the step reports that
	}
	if !l.differing {
		return
	}
	h.Each(func(r live.Row) bool {
		if _, ok := there[r.Key()]; !ok {
			l.keys = append(l.keys, r.Key())
		}
		return true
	})
	l.rows = nil
}

// startingPoint has the rows that a background read found for a binding while batches read
// further keys. The next batch begins the binding's step with them, reads those keys again,
// and publishes the result.
type startingPoint struct {
	number  uint64 // of the first batch whose changes it may lack
	last    uint64 // the last batch that had begun when the read ended
	opened  uint64 // how many comparisons had opened their snapshots before the read began
	request *fullRead
	step    *rowset.Step // nil: later is set
	later   *laterStep
}

// finish publishes a background read. Only the feed's goroutine calls it, between two
// batches.
func (f *Feed) finish(b *backgroundRead) {
	if b.lane == troubledLane {
		f.finishTroubled(b)
		return
	}
	if b.out.rows > 0 {
		f.lastRows = b.out.rows
	}
	if _, own := b.lane.(reservedLane); !own && len(b.errs) == 0 {
		f.mu.Lock()
		f.wholeReads.note(b.out.took)
		f.mu.Unlock()
	}
	steps := make(map[*rowset.Member]*rowset.Step, len(b.out.steps))
	for _, m := range b.out.steps {
		steps[m.step.Member] = m.step
	}
	var logs []func()
	var current []*rowset.Member
	newer := make(map[*rowset.Member]map[driver.Key]struct{})
	f.mu.Lock()
	f.stats.Reads++
	for _, e := range b.errs {
		f.stats.Failures++
		for _, v := range e.views {
			logs = append(logs, f.backgroundFailedLocked(b, v, e.err, nil))
		}
	}
	for v, rows := range b.out.failed {
		logs = append(logs, f.backgroundFailedLocked(b, v, f.cannotShow(v, rows), rows))
	}
	for _, v := range b.views {
		p := &startingPoint{number: b.number, last: b.last, opened: b.opened, request: b.requests[v], step: steps[v], later: b.later[v]}
		if since, ok := f.isCurrentLocked(v, p); ok {
			current = append(current, v)
			newer[v] = setOf(slices.Values(since))
		}
	}
	f.mu.Unlock()

	s := newDelivery(work{reloads: b.hows}, f.host.Now())
	for _, v := range current {
		s.startFrom(v, &startingPoint{step: steps[v], later: b.later[v]}, newer[v])
	}
	unsettled := setOf(slices.Values(s.settle()))
	for v := range unsettled {
		delete(s.steps, v)
	}
	out := s.outcome()
	f.attributeBackground(out.steps)
	for _, m := range out.steps {
		f.publish(m)
	}

	f.mu.Lock()
	out.inFull, out.covered = make(map[*rowset.Member]struct{}), work{}
	f.batches++
	var read []*rowset.Member
	for _, v := range current {
		r := b.requests[v]
		if _, again := unsettled[v]; again {
			f.againLocked(v, r)
			continue
		}
		if rows := out.failed[v]; rows != nil {
			logs = append(logs, f.backgroundFailedLocked(b, v, f.cannotShow(v, rows), rows))
			continue
		}
		read = append(read, v)
		out.inFull[v] = struct{}{}
		if rows := b.out.omitted[v]; rows != nil && out.omitted[v] == nil {
			if out.omitted == nil {
				out.omitted = make(map[*rowset.Member]*backlog.RowFailures)
			}
			out.omitted[v] = rows
		}
		if f.underway[v] == r {
			delete(f.underway, v)
		}
		f.lags.Read(v, f.waiting[v] != nil)
		if f.isQueriedLocked(v) {
			f.queryAfter[v] = time.Now().Add(min(b.out.took, maxRest))
			if b.out.took >= slowWait {
				f.slowQueries[v] = true
			} else {
				delete(f.slowQueries, v)
			}
		}
	}
	f.journal.Add(f.batches, backlog.Read{Members: read}, f.oldestLocked())
	logs = append(logs, f.noteOmittedLocked(out)...)
	f.compareAgainLocked(b.opened)
	f.countTroublesLocked()
	f.progressLocked()
	f.mu.Unlock()

	b.out.steps = out.steps
	b.ended(b.out.result(len(b.out.failed)+len(out.failed), joinErrors(b.errs)))
	for _, log := range logs {
		if log != nil {
			log()
		}
	}
}

// compareAgainLocked requests another comparison of the table if one has begun since a
// background read began, before which opened comparisons had begun. That one may see a
// commit that the read does not, and it skips the read's bindings, because they were loaded
// after it began. The read has just been published, and nobody knows that yet: whoever waits
// for it finds the new request.
func (f *Feed) compareAgainLocked(opened uint64) {
	if opened != f.compared.opened {
		f.compared.auditor.Request(audit.NewTicket((*backlog.Reporter)(nil)))
	}
}

// startFrom begins the binding's step with the rows of a background read. It leaves the
// rows with keys in newer as the binding holds them.
func (s *delivery) startFrom(v *rowset.Member, p *startingPoint, newer map[driver.Key]struct{}) {
	switch {
	case p.step != nil:
		p.step.Reopen()
		s.steps[v] = p.step
	case !p.later.differing:
		s.fill(p.later.from, v, p.later.rows, p.later.unreadable)
	default:
		found := make(map[driver.Key]*rowset.Fetched, len(p.later.found))
		for i := range p.later.found {
			found[p.later.found[i].Key] = &p.later.found[i]
		}
		s.stepOf(v) // the binding counts as read even if nothing differs
		for _, key := range p.later.keys {
			if _, ok := newer[key]; ok {
				continue
			}
			if c := found[key]; c == nil {
				s.stepOf(v).Remove(key)
			} else if err := s.stepOf(v).Put(c); err != nil {
				s.fail(v, key, err)
			}
		}
	}
}

// attributeBackground credits rows that a background read found changed to the sources that
// reported them.
func (f *Feed) attributeBackground(moves []readyStep) {
	f.mu.Lock()
	covered := f.reportedLocked()
	f.mu.Unlock()
	for _, m := range moves {
		one := covered
		if m.how.By != nil {
			one.WholeBy = m.how.By
		}
		f.attribute([]readyStep{m}, one)
	}
}

// reportedLocked returns the keys that are reported or announced, and not read yet.
func (f *Feed) reportedLocked() work {
	covered := work{Pending: backlog.Pending{MaxKeys: f.pending.MaxKeys}}
	covered.Merge(f.pending)
	for a := range f.announced {
		if !a.related {
			covered.Add(a.keys, a.by)
		}
	}
	return covered
}

// joinErrors joins the errors of statements.
func joinErrors(errs []backgroundError) error {
	joined := make([]error, len(errs))
	for i, e := range errs {
		joined[i] = e.err
	}
	return errors.Join(joined...)
}

// backgroundFailedLocked puts a binding that could not be read or shown in trouble.
func (f *Feed) backgroundFailedLocked(b *backgroundRead, v *rowset.Member, err error, rows *backlog.RowFailures) (log func()) {
	r := b.requests[v]
	if r == nil || f.underway[v] != r {
		return nil // it was removed
	}
	if errors.Is(err, driver.ErrSchemaChanged) { // retried with the new schema
		f.againLocked(v, r)
		return nil
	}
	delete(f.underway, v)
	f.lags.Drop(v) // writers do not wait for a binding in trouble
	how := r.how
	if again := f.waiting[v]; again != nil {
		how = how.And(again.how)
		delete(f.waiting, v)
	}
	if f.troubles.Waiting[v] == nil {
		f.stats.SetAside++
	}
	t := f.troubles.Add(v, err, rows, how, true, f.host.Now())
	t.Missed = b.number
	return f.troubleLogLocked(v, t)
}

// isCurrentLocked reports whether a background read of a binding can be published at once,
// and which keys batches have read since. If not, it leaves the binding to the next batch,
// has it read again, or drops the read.
func (f *Feed) isCurrentLocked(v *rowset.Member, p *startingPoint) (since []driver.Key, ok bool) {
	r := p.request
	if r == nil || f.underway[v] != r || p.step == nil && (p.later == nil || !p.later.read) {
		return nil, false // it was removed, or its read has failed
	}
	if t := f.troubles.Waiting[v]; t != nil {
		t.Ask(r.how) // a batch has set it aside meanwhile
		f.troubles.Next = time.Time{}
		delete(f.underway, v)
		return nil, false
	}
	since, known := f.sinceLocked(v, p.number)
	if f.askAgainLocked(v) {
		p.last = math.MaxUint64 // batches have read the keys, but not for this binding
	}
	switch {
	case f.askedSinceLocked(v, p.number): // a batch has read rows for it since
		f.againLocked(v, r)
		return nil, false
	case f.isQueriedLocked(v): // its answer is one state of the database
		if !v.Unread() && f.journal.LastWhole(v.Loader.Identity()) >= p.number {
			delete(f.underway, v) // a later batch has read the whole table
			return nil, false
		}
		return nil, true
	case !known || len(since) > f.host.MaxBatchKeys:
		f.againLocked(v, r)
		return nil, false
	case len(since) == 0 || p.later != nil && p.later.differing && f.areNewerLocked(v, p, since):
		return since, true
	}
	f.startingPoints[v] = p
	return nil, false
}

// areNewerLocked reports whether batches have read all the keys after the background read
// had ended, so that the binding holds newer rows.
func (f *Feed) areNewerLocked(v *rowset.Member, p *startingPoint, since []driver.Key) bool {
	for _, key := range since {
		if f.journal.LastRead(v.Loader.Identity(), key) <= p.last {
			return false
		}
	}
	return true
}

// sinceLocked returns the keys that batches have read from the number on, which the binding
// may have missed. It returns false when they are not known.
func (f *Feed) sinceLocked(v *rowset.Member, number uint64) ([]driver.Key, bool) {
	for _, rel := range v.RelatedTables() {
		// Links to related rows are only known once the binding is published.
		if f.relatedRead[rel.Schema.Table] >= number {
			return nil, false
		}
	}
	return f.journal.Since(number, v.Loader.Identity())
}

// oldestLocked returns the first batch that the journal must remember, 0 for none.
func (f *Feed) oldestLocked() (oldest uint64) {
	note := func(number uint64) {
		if oldest == 0 || number < oldest {
			oldest = number
		}
	}
	for b := range f.backgroundReads {
		note(b.number)
	}
	for _, p := range f.startingPoints {
		note(p.number)
	}
	for _, t := range f.troubles.Waiting {
		note(t.Missed)
	}
	if p := f.compared.pass; p != nil {
		note(p.first)
	}
	return oldest
}

// againLocked has a binding read in full once more, and counts the try.
func (f *Feed) againLocked(v *rowset.Member, r *fullRead) {
	delete(f.underway, v)
	r.tries++
	if again := f.waiting[v]; again != nil {
		r.how = r.how.And(again.how)
	}
	f.waiting[v] = r
}

// takeStartingPointsLocked returns the bindings that begin their step from a background
// read, and adds the keys that they have missed to the pending ones.
func (f *Feed) takeStartingPointsLocked() map[*rowset.Member]*startingPoint {
	if len(f.startingPoints) == 0 {
		return nil
	}
	taken := make(map[*rowset.Member]*startingPoint, len(f.startingPoints))
	for v, p := range f.startingPoints {
		since, known := f.sinceLocked(v, p.number)
		switch t := f.troubles.Waiting[v]; {
		case f.underway[v] != p.request: // it was removed
		case t != nil:
			t.Ask(p.request.how)
			delete(f.underway, v)
		case !known || len(since)+len(f.pending.Keys) > f.host.MaxBatchKeys:
			f.againLocked(v, p.request)
		default:
			f.pending.Add(since, nil)
			taken[v] = p
		}
	}
	clear(f.startingPoints)
	return taken
}

// finishRequestsLocked ends the requests that the batch has answered.
func (f *Feed) finishRequestsLocked(w *work) {
	for v, r := range w.requests {
		if f.underway[v] == r {
			delete(f.underway, v)
		}
	}
}

// requeryAfterLocked has queries (see isQuery) run again whose rows the batch may have found
// changed.
func (f *Feed) requeryAfterLocked(out *outcome) {
	for v := range f.underway { // first reads: these are in no pool yet
		if f.isQueriedLocked(v) && v.Unread() && !out.covered.Empty() {
			f.requeryLocked(v)
		}
	}
	for _, pl := range f.pools {
		keys, whole := out.covered.forPool(pl)
		if whole || len(keys) == 0 {
			continue
		}
		for v := range pl.Asked {
			if _, full := out.inFull[v]; f.isQueriedLocked(v) && !full {
				f.requeryLocked(v)
			}
		}
	}
}

// startsOf returns the pool's bindings whose steps begin from a background read.
func (w *work) startsOf(p *concern.Pool) []*rowset.Member {
	if len(w.starts) == 0 {
		return nil
	}
	set := make(map[*rowset.Member]struct{})
	for v := range w.starts {
		if v.Loader.Identity() == p.Loader.Identity() {
			set[v] = struct{}{}
		}
	}
	return rowset.InOrder(set)
}
