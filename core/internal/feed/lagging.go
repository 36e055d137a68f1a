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
// others, the bindings concerned are read in full beside the batches, and the batch
// goes on without that. Whoever wrote what they lack waits for that read; others do not.

// lag is what a binding lacks until it has been read in full.
type lag struct {
	// from and to are the first and the last report that it lacks; others between
	// them it may have.
	from, to uint64
	// frozen says that batches make no steps of the binding: what it holds is out of
	// date, so that no step can begin from it.
	frozen bool
}

// lagLocked notes that the binding lacks the reports.
func (f *Feed) lagLocked(v *rowset.Member, from, to uint64, frozen bool) {
	l := f.lagging[v]
	if l == nil {
		l = &lag{from: from}
		f.lagging[v] = l
	}
	l.from, l.to, l.frozen = min(l.from, from), max(l.to, to), l.frozen || frozen
}

// caughtUpLocked notes that the binding was read in full.
func (f *Feed) caughtUpLocked(v *rowset.Member) {
	l := f.lagging[v]
	switch {
	case l == nil:
	case f.waiting[v] != nil: // something has come since that the read may lack
		l.frozen = false
	default:
		delete(f.lagging, v)
	}
}

// frozenLocked returns the bindings of which a batch makes no steps.
func (f *Feed) frozenLocked() (frozen map[*rowset.Member]struct{}) {
	for v, l := range f.lagging {
		if !l.frozen {
			continue
		}
		if frozen == nil {
			frozen = make(map[*rowset.Member]struct{})
		}
		frozen[v] = struct{}{}
	}
	return frozen
}

// lacksLocked reports whether a binding lacks the report.
func (f *Feed) lacksLocked(seq uint64) bool {
	for _, l := range f.lagging {
		if l.from <= seq && seq <= l.to {
			return true
		}
	}
	return false
}

// readBesideLocked has a binding read in full beside the batches. One in trouble is read
// as soon as those before it have been.
func (f *Feed) readBesideLocked(v *rowset.Member, how backlog.Reload) {
	if t := f.troubles.Waiting[v]; t != nil {
		t.Ask(how)
		f.troubles.Next = time.Time{}
		return
	}
	f.requestLocked(v, how, time.Time{})
}

// sparesLocked reports whether batches leave reads of the whole table to reads beside
// them. A small table they read themselves: so all its bindings move at once, and no
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
		f.readBesideLocked(v, backlog.Reload{By: by})
		if !v.Unread() && f.troubles.Waiting[v] == nil {
			f.lagLocked(v, f.wholeFrom, f.wholeTo, false)
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
				f.readBesideLocked(v, backlog.Reload{By: by})
				f.lagLocked(v, f.applied+1, w.seq, false)
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
			f.readBesideLocked(v, backlog.Reload{})
		}
		f.lagLocked(v, f.applied+1, w.seq, true)
	}
	for v := range out.skipped {
		if f.lagging[v] != nil {
			f.lagLocked(v, f.applied+1, w.seq, true)
		}
	}
}
