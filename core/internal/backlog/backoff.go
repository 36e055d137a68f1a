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

func NewBackoff() *Backoff { return &Backoff{Wait: FirstBackoff} }

// Next returns a wait between half of the present step and all of it, and
// doubles the step.
func (b *Backoff) Next() time.Duration {
	w := b.Wait
	b.Wait = min(2*b.Wait, MaxBackoff)
	return w/2 + rand.N(w/2+1)
}

func (b *Backoff) Reset() { b.Wait = FirstBackoff }
