package feed

import (
	"time"

	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/rowset"
)

// fullRead is a request to read a binding in full: to load it, because of Resync or Clear,
// or because only the database can tell which rows it holds after a change.
type fullRead struct {
	how   backlog.Reload
	asked uint64    // number of the first request that it answers
	due   time.Time // earliest time of a background read
	// tries counts background reads that could not be used, mostly because batches had
	// read too much since. After maxTries a batch reads the binding itself.
	tries int
}

// maxTries bounds the background reads of one request.
const maxTries = 3

// requestLocked requests that the member be read in full, not before due, and returns the
// number of the request.
func (f *Feed) requestLocked(v *rowset.Member, how backlog.Reload, due time.Time) uint64 {
	f.requests++
	r := f.waiting[v]
	if r == nil {
		f.waiting[v] = &fullRead{how: how, asked: f.requests, due: due}
		return f.requests
	}
	r.how = r.how.And(how)
	if due.Before(r.due) {
		r.due = due
	}
	return f.requests
}

// requeryLocked has a binding run its query again, even if it is running: that read may
// have begun before the change.
func (f *Feed) requeryLocked(v *rowset.Member) {
	if _, member := f.members[v]; member && f.waiting[v] == nil && f.troubles.Waiting[v] == nil {
		f.requestLocked(v, backlog.Reload{}, f.queryAfter[v])
	}
}

// answeredLocked reports whether all requests up to the number are answered, for the members
// that pass the test (nil: all).
func (f *Feed) answeredLocked(number uint64, concerns func(*rowset.Member) bool) bool {
	for _, open := range []map[*rowset.Member]*fullRead{f.waiting, f.underway} {
		for v, r := range open {
			if r.asked <= number && (concerns == nil || concerns(v)) {
				return false
			}
		}
	}
	return true
}

// takeFullReadsLocked takes the requests that the batch itself answers: those with maxTries
// background reads, and, if the batch reads the whole table, all that have no read under way.
func (f *Feed) takeFullReadsLocked(whole bool) map[*rowset.Member]*fullRead {
	all := f.mode().Derived || whole
	taken := make(map[*rowset.Member]*fullRead)
	for v, r := range f.waiting {
		if all && f.underway[v] == nil || r.tries >= maxTries {
			taken[v] = r
			delete(f.waiting, v)
		}
	}
	return taken
}

// mustReadInBatchLocked reports whether a request to read in full needs a batch.
func (f *Feed) mustReadInBatchLocked() bool {
	if f.mode().Derived {
		return len(f.waiting) > 0
	}
	for _, r := range f.waiting {
		if r.tries >= maxTries {
			return true
		}
	}
	return false
}
