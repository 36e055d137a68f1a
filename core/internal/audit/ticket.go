package audit

import (
	"context"
	"sync"
)

// Ticket is a request for a comparison. Its methods may be called from any
// goroutine.
type Ticket struct {
	// Kind merges tickets: the auditor keeps one waiting ticket of each Kind. It
	// must be comparable. Tickets with a nil Kind are not merged.
	Kind any

	once sync.Once
	done chan struct{}
	err  error
}

// NewTicket returns a ticket of the kind.
func NewTicket(kind any) *Ticket { return &Ticket{Kind: kind, done: make(chan struct{})} }

func (t *Ticket) finish(err error) {
	t.once.Do(func() {
		t.err = err
		close(t.done)
	})
}

// Wait waits until the comparison has ended and its findings show. It returns the
// context's error if that ends first, and the auditor's reason if there will be
// no comparison.
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
