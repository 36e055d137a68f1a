package audit

import (
	"context"
	"sync"
	"time"
)

// Limiter bounds the share of time that the audits of one database take together,
// and how many run at a time. Its methods may be called from any goroutine.
type Limiter struct {
	share float64
	burst time.Duration
	slots chan struct{}

	mu    sync.Mutex    // guards what follows
	level time.Duration // working time left before a rest; below 0: a debt
	at    time.Time     // of level
}

// NewLimiter returns a limiter that lets audits work for share (above 0, at most 1)
// of the time, for at most burst without a rest, and lets at most slots of them
// run at a time.
func NewLimiter(share float64, burst time.Duration, slots int) *Limiter {
	return &Limiter{share: share, burst: burst, level: burst, at: time.Now(), slots: make(chan struct{}, slots)}
}

// Acquire waits for a free slot. [Limiter.Release] gives it back.
func (l *Limiter) Acquire(ctx context.Context) error {
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Release gives back a slot.
func (l *Limiter) Release() { <-l.slots }

// Rest notes that an audit has worked for some time, and sleeps as long as the share
// demands. It returns the context's error if that ends first.
func (l *Limiter) Rest(ctx context.Context, worked time.Duration) error {
	wait := l.take(worked)
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take returns how long to rest.
func (l *Limiter) take(worked time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.level = min(l.burst, l.level+time.Duration(l.share*float64(now.Sub(l.at))))
	l.at = now
	// The level has grown during the work as well; take counts that as rest.
	l.level -= worked
	if l.level >= 0 {
		return 0
	}
	return time.Duration(float64(-l.level) / l.share)
}
