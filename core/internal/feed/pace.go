package feed

import (
	"context"
	"time"
)

// maxRest bounds the pause after a long read, apart from [Mode].Interval.
const maxRest = 5 * time.Second

// Mode says how a feed reads. It follows from the feed's declarations.
type Mode struct {
	// Derived: every read is a full read of all bindings, because one depends on other
	// tables. Interval is the shortest time from the start of one such read to the next.
	Derived  bool
	Interval time.Duration
	// Lagging: writers do not wait for derived bindings, because none asks for that.
	Lagging bool
}

// SetMode sets the mode of the reads from now on.
func (f *Feed) SetMode(m Mode) { f.readMode.Store(&m) }

// mode returns the feed's mode.
func (f *Feed) mode() Mode {
	if m := f.readMode.Load(); m != nil {
		return *m
	}
	return Mode{}
}

// ran notes a batch that has just ended, and sets the time before which none may begin.
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

// pause waits until the feed may read again, or has something urgent to read, or ctx is
// done.
func (f *Feed) pause(ctx context.Context) {
	for {
		rest := time.Until(f.notBefore)
		if rest <= 0 || f.isUrgent() {
			return
		}
		timer := time.NewTimer(rest)
		select {
		case <-timer.C:
		case <-f.wake: // perhaps something urgent, or a touch
		case <-ctx.Done():
		}
		timer.Stop()
		f.publishTouches()
		if ctx.Err() != nil {
			return
		}
	}
}

// isUrgent reports whether a batch must read a binding in full: to load it, or because
// somebody asked.
func (f *Feed) isUrgent() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mustReadInBatchLocked() || len(f.startingPoints) > 0
}
