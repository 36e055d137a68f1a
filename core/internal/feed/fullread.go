package feed

import (
	"time"

	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/rowset"
)

// fullRead is a binding that is to be read in full: to load it, because somebody asked
// (Resync, Clear), or because only the database knows which rows it holds after some
// have changed.
type fullRead struct {
	how   backlog.Reload
	asked uint64    // the number of the first request that it answers
	due   time.Time // it is not read before
	// tries counts reads in the background that were of no use, because batches
	// have read too much since. After maxTries the batch itself reads the binding.
	tries int
}

// maxTries is how often a binding is read in the background in vain.
const maxTries = 3

// requestLocked has the member read in full, and returns the number of the request.
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

// requeryLocked has a binding run its query again after a batch has read rows that it
// may hold. A read under way may have come too early.
func (f *Feed) requeryLocked(v *rowset.Member) {
	if _, member := f.members[v]; member && f.waiting[v] == nil && f.troubles.Waiting[v] == nil {
		f.requestLocked(v, backlog.Reload{}, f.queryAfter[v])
	}
}

// answeredLocked reports whether all requests up to the number are answered: for all
// members that pass the test, which may be nil for all.
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

// takeFullReadsLocked returns the members that the batch itself reads in full: all,
// where every read is of everything; those that were read in the background in vain;
// and those that have not begun to be read, where the batch reads the whole table anyway.
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

// mustReadInBatchLocked reports whether a batch is needed for the sake of bindings that
// are to be read in full.
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

// isQuery reports whether only a query of the binding's own tells which rows it holds:
// one with a limit, whose condition the database must decide.
func isQuery(v *rowset.Member) bool { return v.Spec.Limit > 0 && !v.ByRow() }
