package core

import (
	"context"
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
	awaited   int                   // how many of them want writers to wait
	next      time.Time             // no read before
}

// join notes that a binding with dependencies has come, leave that one has gone.
func (p *pace) join(interval time.Duration, awaited bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if awaited {
		p.awaited++
	}
	if p.intervals == nil {
		p.intervals = make(map[time.Duration]int)
	}
	p.intervals[interval]++
}

func (p *pace) leave(interval time.Duration, awaited bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if awaited {
		p.awaited--
	}
	if p.intervals[interval]--; p.intervals[interval] == 0 {
		delete(p.intervals, interval)
	}
}

// mode reports whether every read must be a full read, because a binding depends
// on other tables. Then writers do not wait for it (lagging), unless such a
// binding asks for that.
func (p *pace) mode() (derived, lagging bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	derived = len(p.intervals) > 0
	return derived, derived && p.awaited == 0
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
func (f *feed) isUrgent() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.reloads) > 0
}
