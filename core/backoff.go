package core

import (
	"math/rand/v2"
	"time"
)

// backoff yields growing waits with jitter.
type backoff struct{ wait time.Duration }

// The waits after failures: the first, and the longest.
const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 30 * time.Second
)

func newBackoff() *backoff { return &backoff{wait: firstBackoff} }

// next returns a wait between half of the present step and all of it, and
// doubles the step.
func (b *backoff) next() time.Duration {
	w := b.wait
	b.wait = min(2*b.wait, maxBackoff)
	return w/2 + rand.N(w/2+1)
}

func (b *backoff) reset() { b.wait = firstBackoff }
