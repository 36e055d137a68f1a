package pollsource

import (
	"slices"
	"time"
)

// maxMarks bounds a history; it is even. Beyond it every second mark is dropped. Then
// lower may return an older watermark, which is as safe.
const maxMarks = 128

// mark is the highest watermark of a table, as it was read once.
type mark struct {
	// The reading took place between start and end.
	start, end time.Time
	// high is nil when the table had no watermark.
	high any
	// oldest and newest are the lowest and the highest id of the transactions
	// that were writing then; only those have ids. If none is known, oldest is
	// above every id and newest below.
	oldest, newest int64
}

// history holds the marks of the last polls, oldest first. From them it finds the
// watermark from which on rows may have been committed since the last poll. Only the
// database compares watermarks, so they may be of any type and format.
type history struct{ marks []mark }

func (h *history) add(m mark) {
	h.marks = append(h.marks, m)
	if len(h.marks) > maxMarks {
		kept := h.marks[:0]
		for i := 0; i < len(h.marks); i += 2 { // the first and the last are among them
			kept = append(kept, h.marks[i])
		}
		h.marks = kept
	}
}

// lower returns a watermark below which no row can have been committed since
// the last poll began. settled is false while the history is too short to be
// certain; lower then returns the oldest known watermark.
//
// A row that was committed since then belongs to a transaction that was writing
// at the last mark or began to write later. In either case it was not writing
// yet at a mark whose transactions are all older than the oldest of the last
// mark. A watermark may be older than the first write of its transaction by the
// overlap (now() is the begin of a transaction), not more; where transactions
// are not known, it may be older by that than the commit. And what was the
// highest watermark at some time cannot be above those that are given later.
//
// Marks that no later call can need are dropped.
func (h *history) lower(overlap time.Duration) (high any, settled bool) {
	last := h.marks[len(h.marks)-1]
	horizon := -1
	for i, m := range slices.Backward(h.marks) {
		if m.newest < last.oldest {
			horizon = i
			break
		}
	}
	if horizon < 0 {
		return h.marks[0].high, false
	}
	latest := h.marks[horizon].start.Add(-overlap)
	for i, m := range slices.Backward(h.marks) {
		if !m.end.After(latest) {
			h.marks = slices.Delete(h.marks, 0, i)
			return m.high, true
		}
	}
	return h.marks[0].high, false
}
