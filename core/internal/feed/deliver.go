package feed

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/internal/index"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/value"
)

// delivery gives rows that were read to the bindings that they concern, and gathers the
// bindings' steps. A binding that cannot show a row fails alone.
type delivery struct {
	w       work
	inFull  map[*rowset.Member]struct{} // bindings that get no single rows: read in full, or newer
	now     time.Time                   // the time of the new versions
	steps   map[*rowset.Member]*rowset.Step
	failed  map[*rowset.Member]*backlog.RowFailures
	omitted map[*rowset.Member]*backlog.RowFailures // the same for bindings that leave such rows out
	later   map[*rowset.Member]*laterStep           // bindings whose steps are made when the read is published
	skipped map[*rowset.Member]struct{}             // frozen bindings that miss a row of this delivery
	rows    int                                     // of the largest read of bindings in full
	slow    map[*rowset.Member]time.Duration        // how long slow statements took that asked about keys
	keyed   time.Duration                           // how long the longest other read by key took
}

// outcome is the outcome of one batch, or of one background read.
type outcome struct {
	steps     []readyStep
	covered   work // what was read, perhaps more than was planned
	failed    map[*rowset.Member]*backlog.RowFailures
	omitted   map[*rowset.Member]*backlog.RowFailures
	inFull    map[*rowset.Member]struct{} // those that were read in full
	unsettled []*rowset.Member
	skipped   map[*rowset.Member]struct{}
	took      time.Duration    // the reading alone
	compared  bool             // it comes from a comparison, not from a batch
	rows      int              // of the largest read of bindings in full
	slow      []*rowset.Member // bindings about which the database was slow to answer
}

// readError is the error of one statement, with the read that it was for.
type readError struct {
	read plannedRead
	err  error
	slow bool // it took slowWait or more
}

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

func newDelivery(w work, now time.Time) *delivery {
	return &delivery{w: w, inFull: make(map[*rowset.Member]struct{}), now: now, steps: make(map[*rowset.Member]*rowset.Step)}
}

// execute runs the plan and prepares the steps of the bindings concerned, in the order of
// their declaration. A binding whose window turns out to have too few rows makes no step,
// and is returned as unsettled: it must be read in full.
func (f *Feed) execute(ctx context.Context, p plan, w work) (outcome, error) {
	begun := time.Now()
	s := newDelivery(w, f.host.Now())
	for v, p := range w.starts {
		s.startFrom(v, p, nil)
	}
	if err := s.run(ctx, p); err != nil {
		return outcome{}, err
	}
	var unsettled []*rowset.Member
	for _, v := range s.settle() {
		if _, full := s.inFull[v]; !full {
			unsettled = append(unsettled, v)
			delete(s.steps, v)
		}
	}
	if s.rows > 0 {
		f.lastRows = s.rows
	}
	out := s.outcome()
	out.covered, out.unsettled, out.took = w, unsettled, time.Since(begun)
	return out, nil
}

// outcome returns the steps of the members that have not failed, and the failures.
func (s *delivery) outcome() outcome {
	out := outcome{steps: make([]readyStep, 0, len(s.steps)), failed: s.failed, omitted: s.omitted, inFull: s.inFull, skipped: s.skipped, slow: s.slowAnswers()}
	for v, t := range s.steps {
		if s.failed[v] == nil {
			out.steps = append(out.steps, readyStep{step: t, how: s.howOf(v)})
		}
	}
	slices.SortFunc(out.steps, func(a, b readyStep) int { return rowset.BySeq(a.step.Member, b.step.Member) })
	return out
}

// run runs the plan's reads. The error is a [*readError].
func (s *delivery) run(ctx context.Context, p plan) error {
	for _, r := range p.reads {
		for _, v := range r.full {
			s.inFull[v] = struct{}{}
		}
		for v := range r.newer {
			s.inFull[v] = struct{}{}
		}
	}
	for _, r := range p.reads {
		begun := time.Now()
		got, err := r.run(ctx)
		took := time.Since(begun)
		switch {
		case r.newer != nil || !r.keyed && r.asked == nil:
		case r.keyed:
			s.keyed = max(s.keyed, took)
		case took >= slowWait:
			if s.slow == nil {
				s.slow = make(map[*rowset.Member]time.Duration)
			}
			s.slow[r.asked] = took
		}
		if err == nil {
			err = s.give(ctx, r, got)
		}
		if err != nil {
			return &readError{r, err, r.asked != nil && took >= slowWait}
		}
	}
	return nil
}

// settle ends the steps. It returns the bindings whose step it could not end, in the order
// of their declaration.
func (s *delivery) settle() []*rowset.Member {
	unsettled := make(map[*rowset.Member]struct{})
	for v, t := range s.steps {
		if s.failed[v] == nil && !t.Settle() {
			unsettled[v] = struct{}{}
		}
	}
	return rowset.InOrder(unsettled)
}

// answer is the result of one statement.
type answer struct {
	rows []rowset.Fetched
	// unreadable has the errors of rows that could not be read. nameless are rows with
	// no key.
	unreadable map[driver.Key]error
	nameless   []rowset.Keyless
}

// run runs the statement, or returns the rows that a comparison has found.
func (r *plannedRead) run(ctx context.Context) (answer, error) {
	if r.newer != nil {
		return answer{rows: r.found, unreadable: make(map[driver.Key]error)}, nil
	}
	got := answer{unreadable: make(map[driver.Key]error)}
	for _, k := range r.keys {
		if err, ok := r.unreadable[k]; ok {
			got.unreadable[k] = err
		}
	}
	q := r.query
	if len(got.unreadable) > 0 && q.Keys != nil {
		q.Keys = slices.DeleteFunc(slices.Clone(q.Keys), func(k driver.Key) bool { _, ok := got.unreadable[k]; return ok })
		if len(q.Keys) == 0 {
			return got, nil
		}
	}
	var rows []any
	var err error
	if r.plain {
		rows, err = r.pool.Loader.Load(ctx, q.Keys)
	} else {
		rows, err = r.pool.Loader.Query(ctx, q)
	}
	if bad := driver.RowErrors(err); bad != nil {
		for _, e := range bad {
			got.unreadable[e.Key] = e.Err
		}
		err = nil
	}
	if err != nil || len(rows) == 0 {
		return got, r.blame(err)
	}
	got.rows, got.nameless = r.anyView().Shape.Load().TakeUp(r.pool.Loader, rows)
	return got, nil
}

// blame adds the binding to the error of a statement that was for only one.
func (r *plannedRead) blame(err error) error {
	if v := r.only(); v != nil && err != nil {
		return fmt.Errorf("%s: %w", v.Describe(), err)
	}
	return err
}

// only returns the binding that the statement is for, nil if it is for several.
func (r *plannedRead) only() *rowset.Member {
	switch {
	case r.asked != nil:
		return r.asked
	case len(r.full) == 1 && !r.keyed:
		return r.full[0]
	}
	return nil
}

// anyView returns some binding of the read's pool. They all encode keys alike.
func (r *plannedRead) anyView() *rowset.Member {
	switch {
	case r.asked != nil:
		return r.asked
	case len(r.full) > 0:
		return r.full[0]
	}
	for v := range r.pool.InMemory {
		return v
	}
	for _, v := range r.starts {
		return v
	}
	return nil // a keyed read is planned only for known bindings
}

// share replaces the row by an equal one that other bindings hold, if there is one.
func (r *plannedRead) share(c *rowset.Fetched) {
	if r.sharing != nil {
		r.sharing.Share(c)
	} else {
		r.pool.Share(c)
	}
}

// give hands the answer to the bindings that it was read for.
func (s *delivery) give(ctx context.Context, r plannedRead, got answer) error {
	s.giveNameless(r, got.nameless)
	fill, unreadable := s.choose(r, got.rows)
	for k, err := range unreadable {
		got.unreadable[k] = err
	}
	byKey := make(map[driver.Key]*rowset.Fetched, len(got.rows))
	for i := range got.rows {
		byKey[got.rows[i].Key] = &got.rows[i]
	}
	if r.keyed || r.asked != nil {
		for _, key := range r.keys {
			if _, bad := got.unreadable[key]; bad {
				continue
			}
			if err := s.giveKey(r, key, byKey[key]); err != nil {
				got.unreadable[key] = err
			}
		}
	}
	if err := s.giveUnreadable(ctx, r, got.unreadable); err != nil {
		return err
	}
	if len(r.full) > 0 {
		s.rows = max(s.rows, len(got.rows))
	}
	for _, v := range r.full {
		s.fill(r, v, fill[v], len(got.unreadable))
	}
	return nil
}

// giveKey hands the row of one key to the bindings that it may concern; c is nil if there
// is no such row. The error is a panic of the loader while it looked at the row.
func (s *delivery) giveKey(r plannedRead, key driver.Key, c *rowset.Fetched) error {
	var row any
	if c != nil {
		row = c.Row
	}
	get := func(column int) value.Value { return r.pool.Loader.Value(row, column) }
	move := func(v *rowset.Member) {
		found := c
		if c != nil && r.keyed && !v.Shape.Load().Meets(get) {
			found = nil
		}
		switch {
		case s.isLeftOut(v):
		case s.failed[v] != nil:
			if found != nil {
				s.try(v, found)
			}
		case s.isFrozen(v):
			if found != nil || !v.Untouched(key, nil) {
				s.skip(v)
			}
		case s.w.starts[v] == nil && v.Untouched(key, found):
		case found == nil:
			s.stepOf(v).Remove(key)
		default:
			if err := s.stepOf(v).Put(c); err != nil {
				s.fail(v, key, err)
			}
		}
	}
	return guardRow(func() {
		if r.asked != nil {
			move(r.asked)
		} else {
			r.pool.Concerning(key, row, move)
			for _, v := range r.starts {
				move(v)
			}
		}
	})
}

// isLeftOut reports whether the binding gets no single rows, because it gets all its rows or
// was set aside.
func (s *delivery) isLeftOut(v *rowset.Member) bool {
	_, full := s.inFull[v]
	_, aside := s.w.aside[v]
	return full || aside
}

// try finds out whether a binding that has failed can show a further row, so that its status
// names all rows that have to be mended.
func (s *delivery) try(v *rowset.Member, c *rowset.Fetched) {
	if _, err := c.Encoded(v.Loader, v.Shape.Load().Encoder); err != nil {
		s.fail(v, c.Key, err)
	}
}

// isFrozen reports whether the batch makes no step of the binding.
func (s *delivery) isFrozen(v *rowset.Member) bool {
	_, frozen := s.w.frozen[v]
	return frozen && s.w.starts[v] == nil
}

// skip notes that a frozen binding misses a row.
func (s *delivery) skip(v *rowset.Member) {
	if s.skipped == nil {
		s.skipped = make(map[*rowset.Member]struct{})
	}
	s.skipped[v] = struct{}{}
}

// stepOf returns the binding's step. The first call begins it.
func (s *delivery) stepOf(v *rowset.Member) *rowset.Step {
	t := s.steps[v]
	if t == nil {
		t = v.Begin(v.Shape.Load(), s.howOf(v).Forget, s.now)
		s.steps[v] = t
	}
	return t
}

// howOf returns how the binding is read in full, the zero value if it is not.
func (s *delivery) howOf(v *rowset.Member) backlog.Reload {
	how, _ := s.w.howOf(v)
	return how
}

// choose finds the rows of each binding that is read in full. unreadable are the rows for
// which the loader panicked.
func (s *delivery) choose(r plannedRead, found []rowset.Fetched) (rows map[*rowset.Member][]*rowset.Fetched, unreadable map[driver.Key]error) {
	if len(r.full) == 0 {
		return nil, nil
	}
	rows = make(map[*rowset.Member][]*rowset.Fetched, len(r.full))
	wanted := false
	take := func(v *rowset.Member, c *rowset.Fetched) {
		rows[v], wanted = append(rows[v], c), true
	}
	var give func(c *rowset.Fetched)
	if len(r.full) <= concern.Few {
		give = func(c *rowset.Fetched) {
			for _, v := range r.full {
				sh := v.Shape.Load()
				if r.query.Limit > 0 || !sh.InMemory || sh.Holds(r.pool.Loader, c.Row) {
					take(v, c)
				}
			}
		}
	} else { // an index finds the bindings of a row
		ix := index.New[*rowset.Member]()
		for _, v := range r.full {
			ix.Add(v, v.Shape.Load().Spelled(v.Filter), v.Shape.Load().ColumnOf)
		}
		give = func(c *rowset.Fetched) {
			get := func(column int) value.Value { return r.pool.Loader.Value(c.Row, column) }
			ix.Match(get, func(v *rowset.Member) {
				if v.Shape.Load().Meets(get) {
					take(v, c)
				}
			})
		}
	}
	first := slices.ContainsFunc(r.full, (*rowset.Member).Unread)
	for i := range found {
		wanted = false
		if err := guardRow(func() { give(&found[i]) }); err != nil {
			if unreadable == nil {
				unreadable = make(map[driver.Key]error)
			}
			unreadable[found[i].Key] = err
		}
		if first && wanted {
			r.share(&found[i])
		}
	}
	return rows, unreadable
}

// fill gives a binding all its rows. unreadable is the number of rows that could not be
// read.
func (s *delivery) fill(r plannedRead, v *rowset.Member, all []*rowset.Fetched, unreadable int) {
	if s.failed[v] != nil {
		if reach := v.Reach(); len(all) <= maxTried && (reach == 0 || len(all) <= reach) {
			for _, c := range all {
				s.try(v, c)
			}
		}
		return
	}
	if l := s.later[v]; l != nil {
		l.from, l.read, l.rows, l.unreadable = r, true, all, unreadable
		return
	}
	t, reach := s.stepOf(v), v.Reach()
	n := len(all) + unreadable
	complete := reach == 0 || n < reach || n == reach && r.query.Limit == 0
	fail := func(key driver.Key, err error) { s.fail(v, key, err) }
	err := guardRow(func() {
		switch {
		case reach == 0 || len(all) <= reach:
		case t.Shape.Collated: // they came in order
			all = all[:reach]
		default:
			all = t.Shape.FirstRows(r.pool.Loader, all, reach)
		}
		if t.Window != nil {
			t.Refill(all, complete, fail)
		} else {
			t.Replace(all, fail)
		}
	})
	if err != nil {
		s.fail(v, "", err)
	}
}

// maxTried bounds the rows of a binding that has failed already which are encoded only to
// find further bad ones. Loaded bindings with no more rows are read in full at each retry;
// of others, only the rows known to be bad are read until these are well.
const maxTried = 24_000

// guardRow turns a panic of the application's code into an error.
func guardRow(look func()) error {
	_, err := untyped.Guard("looking at a row", func() (struct{}, error) { look(); return struct{}{}, nil })
	return err
}
