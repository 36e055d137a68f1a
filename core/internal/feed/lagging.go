package feed

import (
	"time"

	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/rowset"
)

// Bindings that batches leave to background reads.
//
// A batch reads rows by key, and reads bindings in full only where that is quick. When a
// large table is reported as a whole, or a window has run out of rows, the batch leaves the
// bindings concerned to background reads. The writers of the changes that they lack wait for
// these reads; other writers do not.

// readInFullLocked has a binding read in full in the background. A binding in trouble is
// retried without waiting for its back-off.
func (f *Feed) readInFullLocked(v *rowset.Member, how backlog.Reload) {
	if t := f.troubles.Waiting[v]; t != nil {
		t.Ask(how)
		f.troubles.Next = time.Time{}
		return
	}
	f.requestLocked(v, how, time.Time{})
}

// sparesLocked reports whether batches leave reads of the whole table to the background.
// They read a small table themselves, so that all its bindings change at once.
func (f *Feed) sparesLocked() bool { return !f.mode().Derived && !f.isQuickLocked() }

// leaveWholeLocked turns a pending report of the whole table into background reads.
func (f *Feed) leaveWholeLocked() {
	if !f.pending.Whole || !f.sparesLocked() {
		return
	}
	by := f.pending.WholeBy
	f.pending.Whole, f.pending.WholeBy = false, nil
	for v := range f.members {
		f.readInFullLocked(v, backlog.Reload{By: by})
		if !v.Unread() && f.troubles.Waiting[v] == nil {
			f.lags.Note(v, f.wholeFrom, f.wholeTo, false)
		}
	}
	f.wholeFrom, f.wholeTo = 0, 0
}

// leaveResolved does the same for pools of which all rows may show changes of related
// tables.
func (f *Feed) leaveResolved(w *work) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.sparesLocked() {
		return
	}
	for pl, r := range w.resolved {
		if !r.Whole {
			continue
		}
		by := r.WholeBy
		r.Whole, r.WholeBy = false, nil
		w.resolved[pl] = r
		for _, views := range []map[*rowset.Member]struct{}{pl.InMemory, pl.Asked} {
			for v := range views {
				if w.without(v) {
					continue
				}
				f.readInFullLocked(v, backlog.Reload{By: by})
				f.lags.Note(v, f.applied+1, w.seq, false)
			}
		}
	}
}

// leaveUnsettledLocked requests reads in full for windows that have too few rows left.
func (f *Feed) leaveUnsettledLocked(w *work, out *outcome) {
	for _, v := range out.unsettled {
		if _, member := f.members[v]; !member {
			continue
		}
		if r := w.requests[v]; w.starts[v] != nil && f.underway[v] == r {
			f.againLocked(v, r)
		} else {
			f.readInFullLocked(v, backlog.Reload{})
		}
		f.lags.Note(v, f.applied+1, w.seq, true)
	}
	for v := range out.skipped {
		if f.lags.Has(v) {
			f.lags.Note(v, f.applied+1, w.seq, true)
		}
	}
}
