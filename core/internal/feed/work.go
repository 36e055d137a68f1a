package feed

import (
	"maps"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/internal/rowset"
)

// work is what one batch covers.
type work struct {
	backlog.Pending
	reloads map[*rowset.Member]backlog.Reload
	leaving []*rowset.Member
	touches []*rowset.Member
	seq     uint64    // reports up to this one are covered
	since   time.Time // when the first of them came in
	writers writers
	gen     uint64 // announcements made when it was taken
	calm    bool   // nothing was announced then, and nothing must be caught up with

	// aside are members that take no part, since they are in trouble; those of
	// them that this batch has put there say why.
	aside      map[*rowset.Member]*setAside
	unreadable map[driver.Key]error // rows that cannot be read
	unproven   bool                 // the database may be to blame, and not those set aside
	repeated   bool                 // a read that failed was tried again

	following []driver.Follower
	read      bool // something was read

	resolved map[*concern.Pool]backlog.Pending // what related tables add; nil until it is known
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

// allKeys returns the keys of all rows that are read.
func (w *work) allKeys() []driver.Key {
	keys := slices.Collect(maps.Keys(w.Keys))
	for _, r := range w.resolved {
		keys = slices.AppendSeq(keys, maps.Keys(r.Keys))
	}
	return keys
}

// setAside has the batch go on without the member, because of the error.
func (w *work) setAside(v *rowset.Member, err error, full bool) {
	if w.aside == nil {
		w.aside = make(map[*rowset.Member]*setAside)
	}
	how, asked := w.reloads[v]
	delete(w.reloads, v)
	w.aside[v] = &setAside{err: err, how: how, full: full || asked}
}

func (f *Feed) take() work {
	// Asked before the reports are taken: a source that loses its sight after
	// having reported is then found to be behind, not left out.
	following := f.host.Following()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rejoinLocked()
	w := work{
		Pending: f.pending.Take(),
		reloads: f.reloads,
		leaving: f.leaving,
		touches: f.touches,
		seq:     f.reported,
		gen:     f.announces,
		calm:    len(f.announced) == 0 && len(following) == 0,

		following: following,
	}
	f.reloads = make(map[*rowset.Member]backlog.Reload)
	f.postponeLocked(&w)
	f.leaving, f.touches = nil, nil
	f.reading, f.asked = true, false
	w.aside = f.asideLocked()
	w.since, f.reportedAt = f.reportedAt, time.Time{}
	w.writers, f.writers = f.writers, writers{}
	return w
}

// putBack returns what a failed batch had taken.
func (f *Feed) putBack(w work) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending.Merge(w.Pending)
	if !w.since.IsZero() {
		f.reportedAt = w.since
	}
	f.writers = w.writers.join(f.writers)
	f.touches = append(w.touches, f.touches...)
	back := func(v *rowset.Member, how backlog.Reload) {
		if _, ok := f.members[v]; ok {
			f.reloads[v] = f.reloads[v].And(how)
		}
	}
	for v, how := range w.reloads {
		back(v, how)
	}
	for v, a := range w.aside {
		if a != nil && a.full {
			back(v, a.how)
		}
	}
}

// maxFirstRows bounds the rows that members which one batch reads for the first time
// are expected to hold together. What is reported meanwhile waits for a batch, and not
// for all members that clients ask for at once. Where reading the table brings more
// rows by itself the bound is as many as that.
const maxFirstRows = 24_000

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
			f.reloads[v] = w.reloads[v]
			delete(w.reloads, v)
		}
	}
}
