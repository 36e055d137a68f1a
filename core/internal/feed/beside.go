package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
)

// retried is what came of reading members in trouble.
type retried struct {
	views  []*rowset.Member
	number uint64 // of the first batch that it may not show
	out    outcome
	errs   []retryError
}

// retryError is a read that failed, and for whom.
type retryError struct {
	views []*rowset.Member
	err   error
}

// omission is the rows that a binding leaves out because they cannot be shown.
// They are read again with back-off: what makes them unreadable may lie outside
// of the table.
type omission struct {
	rows    *backlog.RowFailures
	backoff *backlog.Backoff
	due     time.Time
}

// waitLocked returns how long it is until members in trouble may be read, or rows
// that were left out.
func (f *Feed) waitLocked() (time.Duration, bool) {
	wait, waiting := f.byKeyLocked()
	if !f.retrying {
		if w, ok := f.troubles.Wait(false); ok && (!waiting || w < wait) {
			wait, waiting = w, true
		}
	}
	return wait, waiting
}

// byKeyLocked is waitLocked for what the next batch can read along.
func (f *Feed) byKeyLocked() (time.Duration, bool) {
	wait, waiting := f.troubles.Wait(true)
	for _, o := range f.omissions {
		if w := time.Until(o.due); !waiting || w < wait {
			wait, waiting = w, true
		}
	}
	return wait, waiting
}

// rejoinLocked lets members take part in the next batch that have only missed
// some rows, when it is time or when one of the rows that they could not show is
// read anyway. What they have missed is read too.
func (f *Feed) rejoinLocked() {
	now := time.Now()
	for _, t := range f.troubles.Waiting {
		t.Joining = false
		if t.Full || !f.pending.Whole && t.Due.After(now) && !f.pending.HasAny(t.Rows) {
			continue
		}
		keys, known := f.journal.Since(t.Missed)
		if !known || len(keys)+len(f.pending.Keys) > f.pending.MaxKeys {
			t.Full = true // too much
			continue
		}
		f.pending.Add(keys, nil)
		f.pending.Add(t.Rows.Keys(), nil)
		t.Joining = true

	}
	for _, o := range f.omissions {
		if !o.due.After(now) {
			f.pending.Add(o.rows.Keys(), nil)
			o.due = now.Add(o.backoff.Next())
		}
	}
}

// noteTroubles notes, after a batch, who was set aside, who has recovered, and
// what was left out.
func (f *Feed) noteTroubles(w *work, out outcome) {
	f.mu.Lock()
	number := f.journal.Next()
	var logs []func()
	put := func(v *rowset.Member, err error, rows *backlog.RowFailures, how backlog.Reload, full bool) {
		if _, ok := f.members[v]; !ok {
			return
		}
		known := f.troubles.Waiting[v]
		t := f.troubles.Add(v, err, rows, how, full, f.host.Now())
		t.Missed = number // what it has missed before was in this batch
		if known == nil {
			f.stats.SetAside++
		}
		if log := f.troubleLogLocked(v, t); log != nil {
			logs = append(logs, log)
		}
	}
	for v, t := range f.troubles.Waiting {
		if t.Joining && out.failed[v] == nil && w.aside[v] == nil && !out.compared {
			logs = append(logs, f.recoveredLocked(v))
		}
	}
	for v, a := range w.aside {
		if a != nil {
			put(v, a.err, nil, a.how, a.full)
		}
	}
	for v, rows := range out.failed {
		how, full := w.reloads[v]
		put(v, f.cannotShow(v, rows), rows, how, full)
	}
	if len(f.troubles.Waiting) > 0 {
		f.journal.Add(out.covered.allKeys(), out.covered.anyWhole())
	} else {
		f.journal.Forget()
	}
	logs = append(logs, f.noteOmittedLocked(out)...)
	f.mu.Unlock()
	for _, log := range logs {
		log()
	}
}

// cannotShow is the error of a binding that cannot show some rows.
func (f *Feed) cannotShow(v *rowset.Member, rows *backlog.RowFailures) error {
	return fmt.Errorf("core: %s: %w", v.Describe(), rows.Err())
}

// recoveredLocked ends a member's trouble.
func (f *Feed) recoveredLocked(v *rowset.Member) (log func()) {
	f.troubles.Remove(v)
	return func() {
		f.host.Logger.Info("core: a binding that was set aside is current again", slog.String("id", "core-binding-healed"), slog.String("binding", v.ID()))
	}
}

// troubleLogLocked returns what logs the trouble, nil when the like has been
// logged.
func (f *Feed) troubleLogLocked(v *rowset.Member, t *backlog.Trouble) func() {
	text := t.Err.Error()
	if t.Rows == nil {
		for inner := errors.Unwrap(t.Err); inner != nil; inner = errors.Unwrap(inner) {
			text = inner.Error() // without the binding's name
		}
	}
	if !f.troubles.News(text) {
		return nil
	}
	err := t.Err
	return func() {
		f.host.Logger.Warn("core: a binding cannot be read or shown for now; it is served from memory, others are not held up", slog.String("id", "core-binding-trouble"),
			slog.String("binding", v.ID()), slog.String("table", f.Table.String()), slog.Any("error", err))
	}
}

// noteOmittedLocked notes which rows bindings leave out after the batch.
func (f *Feed) noteOmittedLocked(out outcome) (logs []func()) {
	read := func(v *rowset.Member, k driver.Key) bool {
		if _, full := out.full[v]; full {
			return true
		}
		return out.covered.covers(f.poolOf(v), k)
	}
	for v, o := range f.omissions {
		for k := range o.rows.Errs {
			if read(v, k) {
				delete(o.rows.Errs, k)
				o.rows.Count--
			}
		}
		if _, full := out.full[v]; full {
			o.rows.Count = 0
		}
		if _, member := f.members[v]; !member || len(o.rows.Errs) == 0 && out.omitted[v] == nil {
			delete(f.omissions, v)
		}
	}
	for v, rows := range out.omitted {
		o := f.omissions[v]
		if o == nil {
			if f.omissions == nil {
				f.omissions = make(map[*rowset.Member]*omission)
			}
			o = &omission{rows: &backlog.RowFailures{}, backoff: backlog.NewBackoff()}
			f.omissions[v] = o
			err := f.cannotShow(v, rows)
			logs = append(logs, func() {
				f.host.Logger.Warn("core: a binding leaves out rows that it cannot show; this is not logged again while there are any", slog.String("id", "core-rows-omitted"),
					slog.String("binding", v.ID()), slog.Any("error", err))
			})
		}
		for k, err := range rows.Errs {
			o.rows.Add(k, err)
		}
		if o.due.IsZero() {
			o.due = time.Now().Add(o.backoff.Next())
		}
	}
	return logs
}

// retry takes in what came of the last read of members in trouble, and begins
// another when some are due.
func (f *Feed) retry(ctx context.Context, group *sync.WaitGroup) {
	select {
	case m := <-f.retried:
		f.retrying = false
		f.install(m)
	default:
	}
	if f.retrying {
		return
	}
	f.mu.Lock()
	m := retried{views: f.troubles.Take(), number: f.journal.Next()}
	hows := make(map[*rowset.Member]backlog.Reload, len(m.views))
	suspects := make(map[*rowset.Member][]driver.Key)
	for _, v := range m.views {
		t := f.troubles.Waiting[v]
		t.Reading = true
		hows[v], suspects[v] = t.How, t.Rows.Keys()
	}
	f.mu.Unlock()
	if len(m.views) == 0 {
		return
	}
	f.retrying = true
	group.Go(func() {
		ctx, observed := f.host.BatchBegins(ctx, Batch{Table: f.Table, Reloads: len(m.views), Retry: true})
		begun := time.Now()
		f.readAside(ctx, &m, hows, suspects)
		m.out.took = time.Since(begun)
		var err error
		for _, e := range m.errs {
			err = errors.Join(err, e.err)
		}
		observed(m.out.result(len(m.out.failed), err))
		f.retried <- m // there is room for the only one
		f.kick()
	})
}

// readAside reads members in full, beside the batches. One statement sees one
// state of the database, so a member needs no snapshot and no announcements.
// Nobody else touches members in trouble meanwhile.
func (f *Feed) readAside(ctx context.Context, m *retried, hows map[*rowset.Member]backlog.Reload, suspects map[*rowset.Member][]driver.Key) {
	ctx, cancel := context.WithTimeoutCause(ctx, f.host.ReadTimeout,
		fmt.Errorf("no answer within %v", f.host.ReadTimeout))
	defer cancel()
	fail := func(views []*rowset.Member, err error) {
		f.noteOutdated(err)
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
			err = cause
		}
		m.errs = append(m.errs, retryError{views, err})
	}
	s := newSpread(work{reloads: hows}, f.host.Now())
	if err := f.prepare(ctx, hows); err != nil {
		fail(m.views, err)
		return
	}
	for _, pl := range poolsOf(m.views) {
		full := make(map[*rowset.Member]struct{})
		for v := range pl.InMemory {
			if keys := suspects[v]; len(keys) == 0 || s.probe(ctx, pl, v, keys) {
				full[v] = struct{}{}
			}
		}
		pl.InMemory = nil
		var p plan
		p.readPool(pl, full, nil, &work{})
		for _, r := range p.reads {
			_, err := untyped.Guard("reading", func() (struct{}, error) { return struct{}{}, s.run(ctx, plan{reads: []plannedRead{r}}) })
			if err != nil {
				for _, v := range r.full {
					delete(s.moves, v)
				}
				fail(r.full, err)
			}
		}
	}
	for _, v := range s.settle() {
		delete(s.moves, v)
		fail([]*rowset.Member{v}, errUnsettled)
	}
	m.out = s.outcome()
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
func (s *spread) probe(ctx context.Context, pl *concern.Pool, v *rowset.Member, keys []driver.Key) bool {
	one := &concern.Pool{Loader: pl.Loader}
	r := plannedRead{pool: one, query: driver.Query{Filter: v.Filter, Where: v.Spec.Where, Keys: keys}, asked: v, keys: keys}
	if !v.Loader.CanQuery() {
		r.query, r.plain = driver.Query{Keys: keys}, true
	}
	got, err := r.run(ctx)
	if err != nil {
		return true // the read in full tells who is to blame
	}
	trial := newSpread(work{}, s.now)
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

// install publishes what members in trouble have become. Rows that batches have
// read since are read once more for them, before they count as current.
func (f *Feed) install(m retried) {
	f.mu.Lock()
	asked := make(map[*rowset.Member]*backlog.Trouble)
	covered := work{Pending: backlog.Pending{MaxKeys: f.pending.MaxKeys}, read: true}
	covered.Merge(f.pending)
	since, known := f.journal.Since(m.number)
	covered.Add(since, nil)
	if !known {
		covered.SetWhole(nil)
	}
	for a := range f.announced {
		if !a.related {
			covered.Add(a.keys, a.by)
		}
	}
	for _, v := range m.views {
		if t := f.troubles.Waiting[v]; t != nil && t.Reading {
			t.Reading = false
			if _, behind := f.learned.behind[v]; behind { // it was read by an old schema
				if t.Again != nil {
					t.How, t.Again = t.How.And(*t.Again), nil
				}
				continue
			}
			asked[v] = t
		}
	}
	comparison := f.compared.pass
	f.mu.Unlock()
	if comparison != nil {
		comparison.reread(m.views)
	}

	var moves []move
	for _, mv := range m.out.moves {
		if asked[mv.t.Member] != nil {
			moves = append(moves, mv)
		}
	}
	f.credit(moves, covered)
	for _, mv := range moves {
		f.publish(mv)
	}

	f.mu.Lock()
	var logs []func()
	f.stats.Refills += uint64(m.out.refills)
	f.stats.Reads++
	for _, mv := range moves {
		v := mv.t.Member
		t := asked[v]
		t.How, t.Due = backlog.Reload{}, time.Time{}
		switch {
		case t.Again != nil: // all of it once more, beside the batches
			t.How, t.Again = *t.Again, nil
		case !known:
		case len(since) > 0: // the next batch reads what it has missed meanwhile
			t.Full, t.Missed = false, m.number
		default:
			logs = append(logs, f.recoveredLocked(v))
		}
	}
	if len(moves) > 0 {
		f.troubles.AtOnce = min(2*f.troubles.AtOnce, backlog.MaxTroubledReads)
	}
	for v, rows := range m.out.failed {
		if t := asked[v]; t != nil {
			f.troubles.Add(v, f.cannotShow(v, rows), rows, backlog.Reload{}, false, f.host.Now())
			if log := f.troubleLogLocked(v, t); log != nil {
				logs = append(logs, log)
			}
		}
	}
	for _, e := range m.errs {
		f.stats.Failures++
		f.troubles.Failed(e.views, e.err)
		for _, v := range e.views {
			if t := asked[v]; t != nil {
				if log := f.troubleLogLocked(v, t); log != nil {
					logs = append(logs, log)
				}
			}
		}
	}
	m.out.covered = covered
	logs = append(logs, f.noteOmittedLocked(m.out)...)
	f.mu.Unlock()
	for _, log := range logs {
		log()
	}
}
