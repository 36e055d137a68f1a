package rest

import (
	"context"
	"sync"
)

// holds counts the requests that wait for a change, and bounds them.
type holds struct {
	mu     sync.Mutex // guards what follows
	n, max int
	idle   chan struct{} // closed when n is 0 after drain; nil before
}

// begin reports whether one more request may wait. The caller calls end when
// it has.
func (h *holds) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.idle != nil || h.n >= h.max {
		return false
	}
	h.n++
	return true
}

func (h *holds) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n--
	if h.n == 0 && h.idle != nil {
		close(h.idle)
	}
}

// drain lets no more requests wait, and returns when none does, or with the
// context's error when that ends first. Calls of it follow one another.
func (h *holds) drain(ctx context.Context) error {
	h.mu.Lock()
	if h.idle == nil {
		h.idle = make(chan struct{})
		if h.n == 0 {
			close(h.idle)
		}
	}
	idle := h.idle
	h.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// len returns how many wait.
func (h *holds) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}
