package core

import (
	"cmp"
	"slices"
	"time"
)

// retries are the members of families, and of scopes, whose first read has
// failed. What they are was chosen by clients, and may be what the database
// refuses, so they hold up nobody: they are read again apart from everything
// else. As long as it is not known whose fault it is they are read together,
// ever fewer of them, in the end one by one. The feed's mutex guards them.
type retries struct {
	waiting map[*publisher]*retry
	atOnce  int       // so many are read together
	next    time.Time // none before
	turn    bool      // theirs is the next batch

	lastError string // that was logged
}

// retry is one of them.
type retry struct {
	how      reload
	err      error
	failures int // by itself
	backoff  *backoff
	due      time.Time
}

// maxRetries is the greatest number of members that are read again together.
const maxRetries = maxLimitedFullReads

// postpone puts off the first read of a member.
func (r *retries) postpone(v *publisher, how reload, err error) {
	if len(r.waiting) == 0 {
		r.waiting, r.atOnce = make(map[*publisher]*retry), maxRetries
	}
	r.waiting[v] = &retry{how: how, err: err, backoff: newBackoff()}
	r.turn = false // the rest goes first
}

// cancel forgets a member, and returns how it was to be read.
func (r *retries) cancel(v *publisher) (how reload) {
	if one := r.waiting[v]; one != nil {
		how = one.how
		delete(r.waiting, v)
	}
	return how
}

// ended notes how the reading of members apart from everything else went.
func (r *retries) ended(views map[*publisher]reload, err error) {
	if err == nil {
		r.atOnce = min(2*r.atOnce, maxRetries)
		for v := range views {
			delete(r.waiting, v)
		}
		return
	}
	now := time.Now()
	r.next = now.Add(firstBackoff)
	r.atOnce = max(1, len(views)/2)
	for v := range views {
		one := r.waiting[v]
		if one == nil {
			continue // removed
		}
		one.err = err
		if len(views) == 1 {
			one.failures++
			one.due = now.Add(one.backoff.next())
		}
	}
}

// take returns those that are to be read now, if it is their turn. idle says
// that there is nothing else to do.
func (r *retries) take(idle bool) map[*publisher]reload {
	theirs := r.turn || idle
	r.turn = true
	if !theirs || !r.due() {
		return nil
	}
	r.turn = false
	now := time.Now()
	var due []*publisher
	for v, one := range r.waiting {
		if !one.due.After(now) {
			due = append(due, v)
		}
	}
	// Those first of whom least is known.
	slices.SortFunc(due, func(a, b *publisher) int {
		return cmp.Or(cmp.Compare(r.waiting[a].failures, r.waiting[b].failures), bySeq(a, b))
	})
	taken := make(map[*publisher]reload)
	for _, v := range due[:min(len(due), r.atOnce)] {
		taken[v] = r.waiting[v].how
	}
	return taken
}

// due reports whether one of them may be read now.
func (r *retries) due() bool {
	wait, waiting := r.wait()
	return waiting && wait <= 0
}

// wait returns how long it is until one of them may be read, false when there is
// none.
func (r *retries) wait() (time.Duration, bool) {
	var due time.Time
	first := true
	for _, one := range r.waiting {
		if first || one.due.Before(due) {
			due, first = one.due, false
		}
	}
	if due.Before(r.next) {
		due = r.next
	}
	return time.Until(due), !first
}
