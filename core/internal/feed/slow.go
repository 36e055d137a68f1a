package feed

import (
	"log/slog"
	"time"

	"github.com/binderyhq/bindery/core/internal/rowset"
)

// Bindings with slow conditions.
//
// A batch asks the database which of its keys belong to a binding whose condition Go cannot
// evaluate. All bindings of the table wait for the answer. If it takes slowWait, the binding
// follows by its query from then on, like a limited one: it is read in full in the
// background after each batch that may concern it, and neither writers nor comparisons wait
// for that. After a while, if such a read was quick and shows everything, batches ask again.

// How long a binding follows by its query: for firstFollow at first, and twice as long
// whenever the database is slow to answer again, up to lastFollow.
const (
	firstFollow = time.Minute
	lastFollow  = time.Hour
)

// slowAnswer says that a binding follows by its query, or has done so.
type slowAnswer struct {
	ended bool          // batches ask again
	batch uint64        // the last batch that has asked slowly
	until time.Time     // batches do not ask before
	wait  time.Duration // how long it follows
}

// follows reports whether the binding follows by its query. The receiver may be nil.
func (s *slowAnswer) follows() bool { return s != nil && !s.ended }

// isQuery reports whether only the binding's own query tells which rows it holds: it has a
// limit, and the database must evaluate its condition.
func isQuery(v *rowset.Member) bool { return v.Spec.Limit > 0 && !v.ByRow() }

// isQueriedLocked reports whether the binding follows by its query, because only that tells
// which rows it holds or because its condition is slow.
func (f *Feed) isQueriedLocked(v *rowset.Member) bool {
	return isQuery(v) || f.slowAsked[v].follows()
}

func (f *Feed) isQueried(v *rowset.Member) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.isQueriedLocked(v)
}

// followingLocked returns the bindings that follow by their query because of their
// conditions, nil for none.
func (f *Feed) followingLocked() (following map[*rowset.Member]struct{}) {
	for v, s := range f.slowAsked {
		if !s.follows() {
			continue
		}
		if following == nil {
			following = make(map[*rowset.Member]struct{})
		}
		following[v] = struct{}{}
	}
	return following
}

// askedSinceLocked reports whether a batch from the number on was the last to ask about the
// binding's rows, so that a read in full that began before the batch may be older.
func (f *Feed) askedSinceLocked(v *rowset.Member, number uint64) bool {
	s := f.slowAsked[v]
	return s.follows() && s.batch >= number
}

// noteSlow has bindings follow by their query that were slow to answer the batch with the
// number.
func (f *Feed) noteSlow(number uint64, slow []*rowset.Member) {
	for _, v := range slow {
		if !f.followByQuery(v, number) {
			continue
		}
		f.host.Logger.Info("core: the database takes long to evaluate a binding's condition; the binding follows by its query until that is quick, and nobody waits for it", slog.String("id", "core-slow-condition"),
			slog.String("binding", v.ID()), slog.String("table", f.Table.String()))
	}
}

// followByQuery reports whether it is the first time that the binding does so.
func (f *Feed) followByQuery(v *rowset.Member, number uint64) (first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, member := f.members[v]; !member {
		return false
	}
	s := f.slowAsked[v]
	if first = s == nil; first {
		s = &slowAnswer{wait: firstFollow}
		f.slowAsked[v] = s
	} else if s.ended {
		s.wait = min(2*s.wait, lastFollow)
	}
	s.ended, s.batch, s.until = false, number, time.Now().Add(s.wait)
	f.slowQueries[v] = true
	if p := f.startingPoints[v]; p != nil { // only a batch that asks could publish it
		delete(f.startingPoints, v)
		f.againLocked(v, p.request)
	}
	return first
}

// noteQuickLocked notes that a read of the binding in full was quick. It has batches ask
// about the binding's keys again, if it is time and the binding lacks none.
func (f *Feed) noteQuickLocked(v *rowset.Member) {
	if s := f.slowAsked[v]; s.follows() && f.waiting[v] == nil && !time.Now().Before(s.until) {
		s.ended = true
	}
}
