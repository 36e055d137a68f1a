package feed

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/rowset"
)

// omission has the rows that a binding leaves out because they cannot be shown. They are
// retried with back-off, because the cause may lie outside of the table.
type omission struct {
	rows    *backlog.RowFailures
	backoff *backlog.Backoff
	due     time.Time
}

// waitLocked returns the time until the next retry or background read, false if none waits
// for its time.
func (f *Feed) waitLocked() (time.Duration, bool) {
	wait, waiting := f.byKeyLocked()
	if !f.lanes[troubledLane] {
		if w, ok := f.troubles.Wait(false); ok && (!waiting || w < wait) {
			wait, waiting = w, true
		}
	}
	if w := time.Until(f.nextDue); !f.nextDue.IsZero() && (!waiting || w < wait) {
		wait, waiting = w, true
	}
	return wait, waiting
}

// byKeyLocked is waitLocked for retries that read keys in a batch.
func (f *Feed) byKeyLocked() (time.Duration, bool) {
	wait, waiting := f.troubles.Wait(true)
	for _, o := range f.omissions {
		if w := time.Until(o.due); !waiting || w < wait {
			wait, waiting = w, true
		}
	}
	return wait, waiting
}

// rejoinLocked lets members in trouble take part in the next batch if they have only missed
// some rows, and their retry is due or the batch reads one of the rows to blame. It adds the
// missed rows to the batch.
func (f *Feed) rejoinLocked() {
	now := time.Now()
	for v, t := range f.troubles.Waiting {
		t.Joining = false
		if t.Full || !f.pending.Whole && t.Due.After(now) && !f.pending.HasAny(t.Rows) {
			continue
		}
		keys, known := f.sinceLocked(v, t.Missed)
		if !known || len(keys)+len(f.pending.Keys) > f.pending.MaxKeys {
			t.Full = true // too many missed rows
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

// noteTroubles notes, after a batch, which members were set aside, which have recovered,
// and which rows were left out.
func (f *Feed) noteTroubles(number uint64, w *work, out outcome) {
	f.mu.Lock()
	var logs []func()
	put := func(v *rowset.Member, err error, rows *backlog.RowFailures, how backlog.Reload, full bool) {
		if _, ok := f.members[v]; !ok {
			return
		}
		known := f.troubles.Waiting[v]
		if f.lags.Has(v) { // it waits for a read in full anyway
			full = true
			f.lags.Drop(v)
		}
		t := f.troubles.Add(v, err, rows, how, full, f.host.Now())
		t.Missed = number // this batch covered what it had missed before
		if known == nil {
			f.stats.SetAside++
		}
		if log := f.troubleLogLocked(v, t); log != nil {
			logs = append(logs, log)
		}
	}
	f.rowsChangedLocked(&out.covered)
	var recovered []*backlog.Trouble
	for v, t := range f.troubles.Waiting {
		if t.Joining && out.failed[v] == nil && w.aside[v] == nil && !out.compared {
			recovered = append(recovered, t)
			logs = append(logs, f.recoveredLocked(v))
		}
	}
	f.rowsMendedLocked(recovered)
	for v, a := range w.aside {
		if a != nil {
			put(v, a.err, nil, a.how, a.full)
		}
	}
	for v, rows := range out.failed {
		how, full := w.howOf(v)
		put(v, f.cannotShow(v, rows), rows, how, full)
	}
	f.journalLocked(number, &out)
	logs = append(logs, f.noteOmittedLocked(out)...)
	f.mu.Unlock()
	for _, log := range logs {
		log()
	}
}

// journalLocked notes the keys and members that a batch has read, or the keys that a
// comparison has found.
func (f *Feed) journalLocked(number uint64, out *outcome) {
	w, oldest := &out.covered, f.oldestLocked()
	for table := range w.Related {
		f.relatedRead[table] = number
	}
	if oldest == 0 {
		f.journal.Add(number, backlog.Read{}, 0)
		return
	}
	r := backlog.Read{Whole: w.Whole, Members: slices.AppendSeq(slices.Collect(maps.Keys(w.reloads)), maps.Keys(w.starts))}
	keys := slices.Collect(maps.Keys(w.Keys))
	if out.compared {
		r.Compared = keys
	} else {
		r.Keys = keys
	}
	for p, more := range w.resolved {
		if r.ByLoader == nil {
			r.ByLoader = make(map[any]backlog.LoaderRead)
		}
		r.ByLoader[p.Loader.Identity()] = backlog.LoaderRead{Keys: slices.Collect(maps.Keys(more.Keys)), Whole: more.Whole}
	}
	f.journal.Add(number, r, oldest)
}

// cannotShow returns the error of a binding that cannot show some rows.
func (f *Feed) cannotShow(v *rowset.Member, rows *backlog.RowFailures) error {
	return fmt.Errorf("core: %s: %w", v.Describe(), rows.Err())
}

// rowsChangedLocked has the members in trouble retried soon whose rows to blame a source has
// reported in what a batch has read. Members that took part in the batch have just been
// tried.
func (f *Feed) rowsChangedLocked(covered *work) {
	for _, t := range f.troubles.Waiting {
		if t.Joining {
			continue
		}
		if covered.Reports(t.Rows) {
			t.Changed(f.troubledPause(covered.Whole))
		}
		for _, more := range covered.resolved {
			if more.Reports(t.Rows) {
				t.Changed(f.troubledPause(more.Whole))
			}
		}
	}
}

// troubledPause returns how long a member in trouble waits after its rows may have changed.
// A report of the whole table may come at any rate, and the read in full may be slow: it then
// takes at most half of the time.
func (f *Feed) troubledPause(whole bool) time.Duration {
	if !whole {
		return 0
	}
	return max(backlog.FirstBackoff, f.troubledTook)
}

// rowsMendedLocked has the members in trouble retried at once that wait because of rows that
// others, which have recovered, can show again.
func (f *Feed) rowsMendedLocked(recovered []*backlog.Trouble) {
	mended := make(map[driver.Key]struct{})
	for _, t := range recovered {
		for _, k := range t.Rows.Keys() {
			mended[k] = struct{}{}
		}
	}
	if len(mended) == 0 {
		return
	}
	for _, t := range f.troubles.Waiting {
		if t.Rows.HasAny(mended) {
			t.Changed(0)
		}
	}
}

// recoveredLocked ends a member's trouble.
func (f *Feed) recoveredLocked(v *rowset.Member) (log func()) {
	f.troubles.Remove(v)
	return func() {
		f.host.Logger.Info("core: a binding that was set aside is current again", slog.String("id", "core-binding-healed"), slog.String("binding", v.ID()))
	}
}

// troubleLogLocked returns a function that logs the trouble, nil if the same error has been
// logged.
func (f *Feed) troubleLogLocked(v *rowset.Member, t *backlog.Trouble) func() {
	text := t.Err.Error()
	if t.Rows == nil {
		for inner := errors.Unwrap(t.Err); inner != nil; inner = errors.Unwrap(inner) {
			text = inner.Error() // the innermost error, without the binding's name
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

// noteOmittedLocked updates which rows bindings leave out, and returns functions that log
// it.
func (f *Feed) noteOmittedLocked(out outcome) (logs []func()) {
	read := func(v *rowset.Member, k driver.Key) bool {
		if _, full := out.inFull[v]; full {
			return true
		}
		return out.covered.covers(f.poolOf(v), k)
	}
	for v, o := range f.omissions {
		for k := range o.rows.Errs {
			if read(v, k) {
				o.rows.Drop(k)
			}
		}
		if _, full := out.inFull[v]; full {
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

// finishTroubled publishes a background read of members in trouble. A member for which
// batches have read further rows stays in trouble until the next batch has read them again.
func (f *Feed) finishTroubled(m *backgroundRead) {
	f.mu.Lock()
	asked := make(map[*rowset.Member]*backlog.Trouble)
	covered := f.reportedLocked()
	type missed struct {
		keys  []driver.Key
		known bool
	}
	since := make(map[*rowset.Member]missed)
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
			keys, known := f.sinceLocked(v, m.number)
			since[v] = missed{keys, known}
		}
	}
	f.mu.Unlock()

	var moves []readyStep
	for _, mv := range m.out.steps {
		if asked[mv.step.Member] != nil {
			moves = append(moves, mv)
		}
	}
	for _, mv := range moves {
		one := covered
		one.Pending = backlog.Pending{MaxKeys: covered.MaxKeys}
		one.Merge(covered.Pending)
		one.Add(since[mv.step.Member].keys, nil)
		f.attribute([]readyStep{mv}, one)
		f.publish(mv)
	}

	f.mu.Lock()
	var logs []func()
	f.stats.Reads++
	f.troubledTook = m.out.took
	var recovered []*backlog.Trouble
	for _, mv := range moves {
		v := mv.step.Member
		t := asked[v]
		t.How, t.Due = backlog.Reload{}, time.Time{}
		switch {
		case t.Again != nil: // read in full once more, in the background
			t.How, t.Again = *t.Again, nil
		case !since[v].known:
		case len(since[v].keys) > 0: // the next batch reads the rows that it missed meanwhile
			t.Full, t.Missed = false, m.number
		default:
			recovered = append(recovered, t)
			logs = append(logs, f.recoveredLocked(v))
		}
	}
	f.rowsMendedLocked(recovered)
	if len(moves) > 0 {
		f.troubles.AtOnce = min(2*f.troubles.AtOnce, backlog.MaxTroubledReads)
	}
	for v, rows := range m.out.failed {
		if t := asked[v]; t != nil {
			f.troubles.Add(v, f.cannotShow(v, rows), rows, backlog.Reload{}, false, f.host.Now())
			t.ReadAgain(f.troubledPause(true))
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
				t.ReadAgain(f.troubledPause(true))
				if log := f.troubleLogLocked(v, t); log != nil {
					logs = append(logs, log)
				}
			}
		}
	}
	f.batches++
	var read []*rowset.Member
	for _, mv := range moves {
		read = append(read, mv.step.Member)
	}
	f.journal.Add(f.batches, backlog.Read{Members: read}, f.oldestLocked())
	m.out.covered = work{}
	m.ended(m.out.result(len(m.out.failed), joinErrors(m.errs)))
	logs = append(logs, f.noteOmittedLocked(m.out)...)
	f.compareAgainLocked(m.opened)
	f.mu.Unlock()
	for _, log := range logs {
		log()
	}
}
