package backlog

import (
	"math/rand/v2"
	"time"
)

// Backoff yields growing waits with jitter.
type Backoff struct{ Wait time.Duration }

// The waits after failures: the first, and the longest.
const (
	FirstBackoff = 100 * time.Millisecond
	MaxBackoff   = 30 * time.Second
)

// NewBackoff returns a back-off that begins with FirstBackoff.
func NewBackoff() *Backoff { return &Backoff{Wait: FirstBackoff} }

// Next returns a random wait between half of Wait and Wait, and doubles Wait up to
// MaxBackoff.
func (b *Backoff) Next() time.Duration {
	w := b.Wait
	b.Wait = min(2*b.Wait, MaxBackoff)
	return w/2 + rand.N(w/2+1)
}

// Reset makes the next wait the first again.
func (b *Backoff) Reset() { b.Wait = FirstBackoff }
