package feed

import (
	"bytes"
	"errors"
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

// laterStep is what was read of a binding that batches go on with meanwhile.
type laterStep struct {
	from plannedRead
	read bool
	rows []*rowset.Fetched
	// unreadable is the number of rows that the read could not read.
	unreadable int
	// differing says that keys and found are all that matters: the keys of rows that
	// were read to differ from what the binding holds, and those of these rows that
	// there are.
	differing bool
	keys      []driver.Key
	found     []rowset.Fetched
}

// makeReady does the work on the rows that need not be done by the feed's goroutine:
// it encodes them, and finds out which differ.
func (s *delivery) makeReady(v *rowset.Member, l *laterStep) {
	sh, h := v.Shape.Load(), v.Holding()
	l.differing = v.Reach() == 0 && !sh.Collated
	there := make(map[driver.Key]struct{}, len(l.rows))
	for _, c := range l.rows {
		there[c.Key] = struct{}{}
		js, err := c.Encoded(v.Loader, sh.Encoder)
		switch held := h.Get(c.Key); {
		case !l.differing: // the step tells, when it is made
		case err != nil:
			s.fail(v, c.Key, err)
			delete(there, c.Key)
		case held.IsZero() || held.Restored() || !bytes.Equal(held.JSON(), js) ||
			held.OrderKey() != sh.OrderOf(v.Loader, c.Row, c.Key) || !reflect.DeepEqual(held.Value(), c.Row):
			l.keys, l.found = append(l.keys, c.Key), append(l.found, *c)
		}
	}
	if l.differing && len(there) < len(l.rows) && s.failed[v] == nil && s.omitted[v] == nil {
		l.differing = false // two rows of one key, which the step tells
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

// startingPoint is what was read of a binding in the background, and batches have
// overtaken. The next batch makes its step from there: it reads what was read since,
// and publishes the outcome.
type startingPoint struct {
	number  uint64 // of the first batch that it may not show
	last    uint64 // the last batch that may be older than it
	request *fullRead
	step    *rowset.Step // nil: there is a later step
	later   *laterStep
}

// finish publishes what was read in the background. Only the feed's goroutine calls
// it, between two batches.
func (f *Feed) finish(b *backgroundRead) {
	defer f.compareAgain(b)
	if b.lane == troubledLane {
		f.finishTroubled(b)
		return
	}
	if b.out.rows > 0 {
		f.lastRows = b.out.rows
	}
	if _, own := b.lane.(reservedLane); !own && len(b.errs) == 0 {
		f.mu.Lock()
		f.wholeRead = b.out.took
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
		p := &startingPoint{number: b.number, last: b.last, request: b.requests[v], step: steps[v], later: b.later[v]}
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
		if isQuery(v) {
			f.queryAfter[v] = time.Now().Add(min(b.out.took, maxRest))
			if delete(f.slowQueries, v); b.out.took >= slowWait {
				f.slowQueries[v] = true
			}
		}
	}
	f.journal.Add(f.batches, backlog.Read{Members: read}, f.oldestLocked())
	logs = append(logs, f.noteOmittedLocked(out)...)
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

// compareAgain has the table compared once more when a comparison has begun since the read
// in the background did. That comparison may see a commit that the read does not, and leaves
// the read's bindings alone, since they were loaded after it had begun.
func (f *Feed) compareAgain(b *backgroundRead) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b.opened != f.compared.opened {
		f.compared.auditor.Request(audit.NewTicket((*backlog.Reporter)(nil)))
	}
}

// startFrom begins the binding's step from what was read in the background. Rows with
// keys that are newer stay as the binding holds them.
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
		s.stepOf(v) // it counts as read, also when nothing differs
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

// attributeBackground counts what was read in the background for those who have reported it.
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

// reportedLocked returns what is reported or announced, and was not read yet.
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

// joinErrors joins what went wrong.
func joinErrors(errs []backgroundError) error {
	joined := make([]error, len(errs))
	for i, e := range errs {
		joined[i] = e.err
	}
	return errors.Join(joined...)
}

// backgroundFailedLocked puts a binding in trouble that could not be read or shown.
func (f *Feed) backgroundFailedLocked(b *backgroundRead, v *rowset.Member, err error, rows *backlog.RowFailures) (log func()) {
	r := b.requests[v]
	if r == nil || f.underway[v] != r {
		return nil // it was removed
	}
	if errors.Is(err, driver.ErrSchemaChanged) { // the next batch reads it by the new one
		f.againLocked(v, r)
		return nil
	}
	delete(f.underway, v)
	f.lags.Drop(v) // nobody waits for a binding in trouble
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

// isCurrentLocked reports whether what was read of a binding can be published at once,
// and what batches have read since. Else it is left to the next batch, or read again.
func (f *Feed) isCurrentLocked(v *rowset.Member, p *startingPoint) (since []driver.Key, ok bool) {
	r := p.request
	if r == nil || f.underway[v] != r || p.step == nil && (p.later == nil || !p.later.read) {
		return nil, false // it was removed, or is in trouble
	}
	if t := f.troubles.Waiting[v]; t != nil {
		t.Ask(r.how) // a batch has set it aside meanwhile
		f.troubles.Next = time.Time{}
		delete(f.underway, v)
		return nil, false
	}
	since, known := f.sinceLocked(v, p.number)
	switch {
	case isQuery(v): // its answer is a state of the database by itself
		if !v.Unread() && f.journal.LastWhole(v.Loader.Identity()) >= p.number {
			delete(f.underway, v) // a batch that has read everything has read it, too
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

// areNewerLocked reports whether batches have read all keys after the read in the background
// had ended, so that what the binding holds of them is newer.
func (f *Feed) areNewerLocked(v *rowset.Member, p *startingPoint, since []driver.Key) bool {
	for _, key := range since {
		if f.journal.LastRead(v.Loader.Identity(), key) <= p.last {
			return false
		}
	}
	return true
}

// sinceLocked returns the keys that batches from the number on have read, and that the
// binding may have missed; false when they are not known.
func (f *Feed) sinceLocked(v *rowset.Member, number uint64) ([]driver.Key, bool) {
	for _, rel := range v.RelatedTables() {
		// Which of its rows show what has changed there nobody knows before it is
		// published.
		if f.relatedRead[rel.Schema.Table] >= number {
			return nil, false
		}
	}
	return f.journal.Since(number, v.Loader.Identity())
}

// oldestLocked returns the number of the first batch of which somebody may ask what it
// has read, 0 when there is nobody.
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

// againLocked has a binding read again, since batches have read more meanwhile than can
// be caught up with.
func (f *Feed) againLocked(v *rowset.Member, r *fullRead) {
	delete(f.underway, v)
	r.tries++
	if again := f.waiting[v]; again != nil {
		r.how = r.how.And(again.how)
	}
	f.waiting[v] = r
}

// takeStartingPointsLocked gives the batch the bindings whose reads in the background
// have been overtaken, and the keys that they have missed.
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

// finishRequestsLocked notes that the batch has answered the requests that it took.
func (f *Feed) finishRequestsLocked(w *work) {
	for v, r := range w.requests {
		if f.underway[v] == r {
			delete(f.underway, v)
		}
	}
}

// requeryAfterLocked has bindings that are queries read again, for whom the batch has
// read rows.
func (f *Feed) requeryAfterLocked(out *outcome) {
	for v := range f.underway { // not in a pool yet: it is being read for the first time
		if isQuery(v) && v.Unread() && !out.covered.Empty() {
			f.requeryLocked(v)
		}
	}
	for _, pl := range f.pools {
		keys, whole := out.covered.forPool(pl)
		if whole || len(keys) == 0 {
			continue
		}
		for v := range pl.Asked {
			if _, full := out.inFull[v]; isQuery(v) && !full {
				f.requeryLocked(v)
			}
		}
	}
}

// startsOf returns the pool's bindings whose steps begin from what was read of them
// in the background.
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
