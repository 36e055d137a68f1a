package feed

import (
	"time"

	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/rowset"
)

// Bindings that batches leave behind.
//
// A batch reads rows by key, and bindings in full only where that is quick. When the
// whole of a large table was reported, or a window has no rows left to show in place of
// others, the bindings concerned are read in full in the background, and the batch
// goes on without that. Whoever wrote what they lack waits for that read; others do not.

// readInFullLocked has a binding read in full in the background. One in trouble is read
// as soon as those before it have been.
func (f *Feed) readInFullLocked(v *rowset.Member, how backlog.Reload) {
	if t := f.troubles.Waiting[v]; t != nil {
		t.Ask(how)
		f.troubles.Next = time.Time{}
		return
	}
	f.requestLocked(v, how, time.Time{})
}

// sparesLocked reports whether batches leave the whole table to reads in the
// background. A small table they read themselves: so all its bindings move at once, and no
// version shows a part of what was written to rows that nobody has named.
func (f *Feed) sparesLocked() bool { return !f.mode().Derived && !f.isQuickLocked() }

// leaveWholeLocked takes a report of the whole table out of what the next batch reads.
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

// leaveResolved does the same for bindings all of whose rows may show what has changed in
// related tables.
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

// leaveUnsettledLocked has windows read in full that have too few rows left to show.
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
