package core

import (
	"context"
	"math"
	"sync"
	"time"
)

// maxRest bounds the pause that a feed makes by itself after a long read.
const maxRest = 5 * time.Second

// pace spaces out the reads of a feed whose every read is of everything. The zero
// value lets all reads go at once.
type pace struct {
	mu        sync.Mutex            // guards what follows
	intervals map[time.Duration]int // how many bindings with dependencies declare which
	next      time.Time             // no read before
}

// join notes that a binding with dependencies has come, leave that one has gone.
func (p *pace) join(interval time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.intervals == nil {
		p.intervals = make(map[time.Duration]int)
	}
	p.intervals[interval]++
}

func (p *pace) leave(interval time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.intervals[interval]--; p.intervals[interval] == 0 {
		delete(p.intervals, interval)
	}
}

// now reports whether the feed is read in full whenever it is read, because
// bindings with dependencies are among its own, and the longest interval that
// they declare.
func (p *pace) now() (derived bool, interval time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.intervals) > 0, p.longestLocked()
}

func (p *pace) longestLocked() (longest time.Duration) {
	for d := range p.intervals {
		longest = max(longest, d)
	}
	return longest
}

// ran notes a read that has ended now.
func (p *pace) ran(begun time.Time) {
	end := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.intervals) == 0 {
		p.next = time.Time{}
		return
	}
	p.next = end.Add(min(end.Sub(begun), maxRest))
	if next := begun.Add(p.longestLocked()); next.After(p.next) {
		p.next = next
	}
}

// rest returns how long the next read must wait.
func (p *pace) rest() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Until(p.next)
}

// pause waits until the feed may read again; what must be read at once ends the
// wait. It returns when ctx is done.
func (f *feed) pause(ctx context.Context) {
	for {
		rest := f.pace.rest()
		urgent, again := f.isUrgent()
		if rest <= 0 || urgent {
			return
		}
		timer := time.NewTimer(min(rest, again))
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
// it, or because somebody asked; and how long it may take until that is so by
// itself.
func (f *feed) isUrgent() (urgent bool, again time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	again, waiting := f.retries.wait()
	if !waiting {
		again = math.MaxInt64
	}
	return len(f.reloads) > 0 || f.retries.due(), again
}
