package audit

import (
	"context"
	"sync"
)

// Ticket is a request for a comparison, for one to wait for. Its methods may be
// called from any goroutine.
type Ticket struct {
	// Kind merges tickets: of those that wait with the same Kind the auditor
	// keeps one. It is comparable; nil is merged with none.
	Kind any

	once sync.Once
	done chan struct{}
	err  error
}

// NewTicket returns a ticket of that kind.
func NewTicket(kind any) *Ticket { return &Ticket{Kind: kind, done: make(chan struct{})} }

func (t *Ticket) finish(err error) {
	t.once.Do(func() {
		t.err = err
		close(t.done)
	})
}

// Wait returns nil when the comparison has been made and what it found shows.
// It returns the context's error when that ends first, and the auditor's reason
// when there will be no comparison.
func (t *Ticket) Wait(ctx context.Context) error {
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Done returns a channel that is closed when Wait would return.
func (t *Ticket) Done() <-chan struct{} { return t.done }
