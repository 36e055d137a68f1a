package audit

import (
	"context"
	"sync"
	"time"
)

// Limiter bounds the share of the time that the audits of one database take,
// together, and how many there are at a time. Its methods may be called from
// any goroutine.
type Limiter struct {
	share float64
	burst time.Duration
	slots chan struct{}

	mu    sync.Mutex    // guards what follows
	level time.Duration // that may be taken without a rest; below 0: a debt
	at    time.Time     // of level
}

// NewLimiter returns a limiter for audits that take the share (0 to 1) of
// the time, measured over periods in which they take burst, and of which
// at most so many hold a snapshot at a time.
func NewLimiter(share float64, burst time.Duration, slots int) *Limiter {
	return &Limiter{share: share, burst: burst, level: burst, at: time.Now(), slots: make(chan struct{}, slots)}
}

// Acquire waits until there may be one audit more. Release ends it.
func (l *Limiter) Acquire(ctx context.Context) error {
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Release lets another audit begin.
func (l *Limiter) Release() { <-l.slots }

// Rest notes that an audit has worked for so long, and makes it rest as long as
// the share demands. It returns the context's error when that ends first.
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
	// The time worked has filled the level too, as if it had been rest.
	l.level -= worked
	if l.level >= 0 {
		return 0
	}
	return time.Duration(float64(-l.level) / l.share)
}
