package feed

import (
	"context"
	"time"
)

// maxRest bounds the pause that a feed makes by itself after a long read.
const maxRest = 5 * time.Second

// Mode says how all reads of a feed are made. It follows from what the feed's
// bindings declare.
type Mode struct {
	// Derived: every read is of everything, because a binding depends on other
	// tables. Interval is the shortest time between two such reads.
	Derived  bool
	Interval time.Duration
	// Lagging: writers do not wait for derived bindings, since none asks for that.
	Lagging bool
}

// SetMode has the feed read so from now on.
func (f *Feed) SetMode(m Mode) { f.readMode.Store(&m) }

// mode returns how the feed reads.
func (f *Feed) mode() Mode {
	if m := f.readMode.Load(); m != nil {
		return *m
	}
	return Mode{}
}

// ran notes a read that has ended now.
func (f *Feed) ran(begun time.Time) {
	end, mode := time.Now(), f.mode()
	if !mode.Derived {
		f.notBefore = time.Time{}
		return
	}
	f.notBefore = end.Add(min(end.Sub(begun), maxRest))
	if next := begun.Add(mode.Interval); next.After(f.notBefore) {
		f.notBefore = next
	}
}

// pause waits until the feed may read again; what must be read at once ends the
// wait. It returns when ctx is done.
func (f *Feed) pause(ctx context.Context) {
	for {
		rest := time.Until(f.notBefore)
		if rest <= 0 || f.isUrgent() {
			return
		}
		timer := time.NewTimer(rest)
		select {
		case <-timer.C:
		case <-f.wake: // perhaps by what is urgent
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// isUrgent reports whether a binding is to be read in full by itself: to load
// it, or because somebody asked.
func (f *Feed) isUrgent() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mustReadInBatchLocked() || len(f.startingPoints) > 0
}
