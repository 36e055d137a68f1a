package feed

import (
	"testing"
	"time"
)

// TestReadTimes: reads are slow when several in a row are, or one very much, and quick as
// soon as one is.
func TestReadTimes(t *testing.T) {
	const most = 250 * time.Millisecond
	var r readTimes
	for i, step := range []struct {
		took   time.Duration
		within bool
	}{
		{300, true}, {10, true}, {300, true}, {400, true}, {500, false}, {300, false}, {250, true}, {900, true}, {2001, false}, {900, false}, {1, true}, {2500, false}, {1, true},
	} {
		if r.note(step.took * time.Millisecond); r.within(most) != step.within {
			t.Errorf("read %d, %+v: within is %t", i, step, !step.within)
		}
	}
	if r = (readTimes{}); !r.within(most) {
		t.Error("slow before any read")
	}
}
