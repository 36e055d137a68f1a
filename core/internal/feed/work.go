package feed

import (
	"maps"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/internal/rowset"
)

// work is what one batch covers.
type work struct {
	backlog.Pending
	reloads     map[*rowset.Member]backlog.Reload
	leaving     []*rowset.Member
	touches     []*rowset.Member
	seq         uint64    // the last report that the batch covers
	since       time.Time // when the first of them came in
	writers     writers
	announces   uint64 // the number of announcements when the batch began
	undisturbed bool   // no commit was announced then, and no source must catch up

	// aside are the members in trouble, which take no part. For those that this batch has
	// put there the value says why, for the others it is nil.
	aside      map[*rowset.Member]*setAside
	frozen     map[*rowset.Member]struct{} // bindings of which no steps are made, unless they are read in full
	unreadable map[driver.Key]error        // rows that cannot be read
	unproven   bool                        // the database may be to blame, and not the members set aside
	repeated   bool                        // a read that had failed was tried again

	following []driver.Follower
	read      bool // something was read

	logs     map[driver.ChangeLog]*backlog.Reporter // to be asked what was changed
	logsRead map[driver.ChangeLog]driver.Position   // up to where that is read

	resolved map[*concern.Pool]backlog.Pending // what related tables add; nil until it is known

	requests map[*rowset.Member]*fullRead      // that the batch answers
	starts   map[*rowset.Member]*startingPoint // bindings that begin from what was read in the background
}

// setAside is why a batch goes on without a member; nil where it has begun so.
type setAside struct {
	err  error
	how  backlog.Reload
	full bool // it was to be read in full
}

// without reports that the member takes no part.
func (w *work) without(v *rowset.Member) bool {
	_, aside := w.aside[v]
	return aside
}

// someTakePart reports whether one of the bindings takes part.
func (w *work) someTakePart(views map[*rowset.Member]struct{}) bool {
	if len(views) > len(w.aside) {
		return true
	}
	for v := range views {
		if !w.without(v) {
			return true
		}
	}
	return false
}

// newAside returns how many members the batch has set aside.
func (w *work) newAside() (n int) {
	for _, a := range w.aside {
		if a != nil {
			n++
		}
	}
	return n
}

// takesPart reports whether one of the pool's bindings takes part.
func (w *work) takesPart(p *concern.Pool) bool {
	return w.someTakePart(p.InMemory) || w.someTakePart(p.Asked)
}

// setAside has the batch go on without the member, because of the error.
func (w *work) setAside(v *rowset.Member, err error, full bool) {
	if w.aside == nil {
		w.aside = make(map[*rowset.Member]*setAside)
	}
	how, asked := w.howOf(v)
	delete(w.reloads, v)
	delete(w.starts, v)
	w.aside[v] = &setAside{err: err, how: how, full: full || asked}
}

// howOf returns how the batch reads the member in full, false when it does not: when it
// reads but the rows that have changed.
func (w *work) howOf(v *rowset.Member) (backlog.Reload, bool) {
	if p := w.starts[v]; p != nil {
		return p.request.how, true
	}
	how, ok := w.reloads[v]
	return how, ok
}

// take begins a batch: it takes all that is to be read, and numbers the batch.
func (f *Feed) take() (work, uint64) {
	// Asked before the reports are taken: a source that loses its sight after
	// having reported is then found to be behind, not left out.
	following := f.host.Following()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.batches++
	f.batchBegun = time.Now()
	f.inBatch = true
	f.leaveWholeLocked()
	f.rejoinLocked()
	starts := f.takeStartingPointsLocked()
	w := work{
		Pending:     f.pending.Take(),
		reloads:     make(map[*rowset.Member]backlog.Reload),
		starts:      starts,
		leaving:     f.leaving,
		touches:     f.touches,
		seq:         f.reported,
		announces:   f.announces,
		undisturbed: len(f.announced) == 0 && len(following) == 0,

		following: following,
		frozen:    f.lags.Frozen(),
	}
	if w.logs = f.logs.Take(); len(w.logs) > 0 {
		w.undisturbed = false
	}
	w.requests = f.takeFullReadsLocked(w.Whole)
	for v, r := range w.requests {
		w.reloads[v] = r.how
	}
	f.postponeLocked(&w)
	for v, r := range w.requests {
		f.underway[v] = r
	}
	for v, p := range starts {
		w.requests[v] = p.request
	}
	f.leaving, f.touches = nil, nil
	f.reading, f.asked = true, false
	w.aside = f.asideLocked()
	w.since, f.reportedAt = f.reportedAt, time.Time{}
	w.writers, f.writers = f.writers, writers{}
	return w, f.batches
}

// putBack returns what a failed batch had taken.
func (f *Feed) putBack(w work) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending.Merge(w.Pending)
	for log, by := range w.logs {
		f.logs.Ask(log, by)
	}
	if !w.since.IsZero() {
		f.reportedAt = w.since
	}
	f.writers = w.writers.join(f.writers)
	f.touches = append(w.touches, f.touches...)
	for v, a := range w.aside {
		if _, member := f.members[v]; member && a != nil && a.full && w.requests[v] == nil {
			f.requestLocked(v, a.how, time.Time{})
		}
	}
	for v, r := range w.requests {
		switch {
		case f.underway[v] != r: // it was removed
		case w.starts[v] != nil:
			f.startingPoints[v] = w.starts[v]
		default:
			delete(f.underway, v)
			if again := f.waiting[v]; again != nil {
				r.how = r.how.And(again.how)
			}
			f.waiting[v] = r
		}
	}
}

// postponeLocked leaves members that have not loaded to later batches, when they are
// many.
func (f *Feed) postponeLocked(w *work) {
	most := max(maxFirstRows, f.lastRows)
	if len(w.reloads) <= 1 {
		return
	}
	rows := 0
	for _, v := range rowset.InOrder(setOf(maps.Keys(w.reloads))) {
		if v.Base == nil || !v.Unread() {
			continue
		}
		if rows += 1 + v.Expected(); rows > most && rows > 1+v.Expected() {
			f.waiting[v] = w.requests[v]
			delete(w.requests, v)
			delete(w.reloads, v)
		}
	}
}
