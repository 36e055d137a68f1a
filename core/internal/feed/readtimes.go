package feed

import (
	"slices"
	"time"
)

// readTimes are how long the last reads of the whole table took. The zero value, without
// reads, is ready to use.
type readTimes struct {
	last [3]time.Duration // the newest first, 0 for none
}

func (r *readTimes) note(took time.Duration) {
	copy(r.last[1:], r.last[:])
	r.last[0] = took
}

// within reports whether reads take no longer than most. One slow read is not enough to deny
// that, unless it took several times as long: on a busy machine any read can be slow once,
// and versions would show parts of what whole-table reports cover.
func (r *readTimes) within(most time.Duration) bool {
	return slices.Min(r.last[:]) <= most && r.last[0] <= 8*most
}
