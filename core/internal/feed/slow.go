package feed

import (
	"log/slog"
	"time"

	"github.com/binderyhq/bindery/core/internal/rowset"
)

// Bindings with slow conditions.
//
// A batch asks the database which of its keys belong to a binding whose condition Go cannot
// evaluate. All bindings of the table wait for the answer. If it takes slowWait twice within a
// minute, or does not come in time, the binding follows by its query from then on, like a
// limited one: it is read in full in the background after each batch that may concern it,
// and neither writers nor comparisons wait for that. After a while batches ask again.

// How long a binding follows by its query: for firstFollow at first, and twice as long
// whenever the database is slow to answer again, up to lastFollow.
const (
	firstFollow = time.Minute
	lastFollow  = time.Hour
)

// slowFactor is how many times longer than the batch's other reads by key a slow answer
// takes. Otherwise the database is slow altogether.
const slowFactor = 4

// slowAnswer says that the database was slow to answer about a binding.
type slowAnswer struct {
	following bool          // it follows by its query
	batch     uint64        // the last batch that was answered slowly
	wait      time.Duration // how long it follows; zero: it has never done so
	// until is when batches ask again, while it follows. Otherwise another slow answer
	// before that time has it follow.
	until time.Time
}

// follows reports whether the binding follows by its query. The receiver may be nil.
func (s *slowAnswer) follows() bool { return s != nil && s.following }

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

// slowAnswers returns the bindings about whose keys the database was slow to answer.
func (s *delivery) slowAnswers() (slow []*rowset.Member) {
	for v, took := range s.slow {
		if took >= slowFactor*s.keyed {
			slow = append(slow, v)
		}
	}
	return slow
}

// noteSlow notes that the database was slow to answer the batch with the number about
// bindings. late says that the answer did not come at all.
func (f *Feed) noteSlow(number uint64, slow []*rowset.Member, late bool) {
	for _, v := range slow {
		if !f.noteSlowAnswer(number, v, late) {
			continue
		}
		f.host.Logger.Info("core: the database takes long to evaluate a binding's condition; the binding follows by its query for a while, and nobody waits for it", slog.String("id", "core-slow-condition"),
			slog.String("binding", v.ID()), slog.String("table", f.Table.String()))
	}
}

// noteSlowAnswer reports whether the binding follows by its query now, for the first time.
func (f *Feed) noteSlowAnswer(number uint64, v *rowset.Member, late bool) (first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, member := f.members[v]; !member {
		return false
	}
	s := f.slowAsked[v]
	if s == nil {
		s = &slowAnswer{}
		f.slowAsked[v] = s
	}
	now := time.Now()
	again := now.Before(s.until)
	if s.batch, s.until = number, now.Add(firstFollow); !again && !late {
		return false
	}
	first = s.wait == 0
	s.wait = min(max(2*s.wait, firstFollow), lastFollow)
	s.following, s.until = true, now.Add(s.wait)
	f.slowQueries[v] = true
	if p := f.startingPoints[v]; p != nil { // only a batch that asks could publish it
		delete(f.startingPoints, v)
		f.againLocked(v, p.request)
	}
	return first
}

// askedSinceLocked reports whether a batch from the number on was the last to ask about the
// binding's rows, so that a read in full that began before the batch may be older.
func (f *Feed) askedSinceLocked(v *rowset.Member, number uint64) bool {
	s := f.slowAsked[v]
	return s.follows() && s.batch >= number
}

// askAgainLocked has batches ask about the binding's keys again if it is time. The caller
// has read the binding in full, and goes on as for any other that batches ask about.
func (f *Feed) askAgainLocked(v *rowset.Member) (again bool) {
	s := f.slowAsked[v]
	if !s.follows() || time.Now().Before(s.until) {
		return false
	}
	s.following, s.until = false, time.Now().Add(s.wait) // one slow answer is enough until then
	return true
}
