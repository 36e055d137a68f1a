package hold

import (
	"context"
	"sync"
)

// Count counts requests under way, bounds their number, and waits for the last one.
// All methods may be called from any goroutine.
type Count struct {
	mu     sync.Mutex // guards what follows
	n, max int
	idle   chan struct{} // made by Drain, closed when n is 0
}

// NewCount returns a count that is bounded by max.
func NewCount(max int) *Count { return &Count{max: max} }

// Begin counts a request. It is false if the bound is reached, and after Drain. The
// caller calls End when the request has ended.
func (c *Count) Begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle != nil || c.n >= c.max {
		return false
	}
	c.n++
	return true
}

// End takes a request out of the count.
func (c *Count) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n--
	if c.n == 0 && c.idle != nil {
		close(c.idle)
	}
}

// Drain lets no more requests begin, and waits until all have ended. It returns the
// context's error if the context ends first. Several calls follow one another.
func (c *Count) Drain(ctx context.Context) error {
	c.mu.Lock()
	if c.idle == nil {
		c.idle = make(chan struct{})
		if c.n == 0 {
			close(c.idle)
		}
	}
	idle := c.idle
	c.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Len returns how many requests are under way.
func (c *Count) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}
