package feed

import (
	"maps"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/internal/rowset"
)

// work is what one batch has to do.
type work struct {
	backlog.Pending
	reloads     map[*rowset.Member]backlog.Reload
	leaving     []*rowset.Member
	seq         uint64    // the last report that the batch covers
	since       time.Time // when the first report that it covers came
	writers     writers
	announces   uint64 // the number of announcements when the batch began
	undisturbed bool   // no commit was announced then, no source must catch up, and no log is asked

	// aside are the members that take no part. The value says why this batch set the member
	// aside; it is nil for members that were in trouble before.
	aside      map[*rowset.Member]*setAside
	frozen     map[*rowset.Member]struct{} // bindings that make no step before they are read in full
	queried    map[*rowset.Member]struct{} // bindings that follow by their query, see noteSlow
	unreadable map[driver.Key]error        // rows known to be unreadable
	unproven   bool                        // the database may be to blame instead of the members set aside
	repeated   bool                        // a failed keyed read was retried

	following []driver.Follower
	read      bool // a statement was run

	logs     map[driver.ChangeLog]*backlog.Reporter // logs to ask for changes
	logsRead map[driver.ChangeLog]driver.Position   // how far their changes are read

	resolved map[*concern.Pool]backlog.Pending // keys that changes of related tables add; nil: not known yet

	requests map[*rowset.Member]*fullRead      // that the batch answers
	starts   map[*rowset.Member]*startingPoint // bindings whose step begins from a background read
}

// setAside is why a batch goes on without a member. It is nil if the member took no part
// from the start.
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

// newAside returns how many members this batch has set aside.
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

// howOf returns how the batch reads the member in full, false if it reads only its changed
// rows.
func (w *work) howOf(v *rowset.Member) (backlog.Reload, bool) {
	if p := w.starts[v]; p != nil {
		return p.request.how, true
	}
	how, ok := w.reloads[v]
	return how, ok
}

// take begins a batch: it takes the pending work, and returns it with the batch's number.
func (f *Feed) take() (work, uint64) {
	// Must come before the reports are taken. Then a source that stops watching after it
	// has reported is found to be behind, and not left out.
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
		seq:         f.reported,
		announces:   f.announces,
		undisturbed: len(f.announced) == 0 && len(following) == 0,

		following: following,
		frozen:    f.lags.Frozen(),
		queried:   f.followingLocked(),
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
	f.leaving = nil
	f.reading, f.asked = true, false
	w.aside = f.asideLocked()
	w.since, f.reportedAt = f.reportedAt, time.Time{}
	w.writers, f.writers = f.writers, writers{}
	return w, f.batches
}

// putBack puts back the work of a failed batch.
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

// postponeLocked leaves members that have not loaded to later batches if they are expected
// to hold more rows than one batch should load.
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
