package authorizing

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
)

const (
	// atShutdown bounds how long a question may go on once the shutdown has begun:
	// long enough for an authorizer that answers at all, and short enough to leave
	// transports time to drain.
	atShutdown = 500 * time.Millisecond

	// MaxQuestions bounds the questions that are open at the same time. Those that
	// nobody waits for any more count too: each has a goroutine, and clients can ask
	// more.
	MaxQuestions = 10_000
)

// Errors of questions that were not answered. Transports answer them with 503.
var (
	ErrUnanswered = errors.New("the authorizer has not answered in time")
	ErrTooMany    = fmt.Errorf("the authorizer has not answered %d questions yet", MaxQuestions)
)

// Questions are those that the authorizer has not answered yet.
type Questions struct {
	open atomic.Int64
}

// Ask calls the authorizer, on a goroutine that can be left behind, and returns its
// answer. It waits until the timeout, or until ctx ends, or for a short time after
// stopping is done, whichever comes first. A panic is an error.
func Ask[A any](q *Questions, ctx, stopping context.Context, timeout time.Duration, authorize func(context.Context) (A, error)) (none A, err error) {
	if q.open.Add(1) > MaxQuestions {
		q.open.Add(-1)
		return none, ErrTooMany
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, ErrUnanswered)
	defer cancel()
	type answer struct {
		it  A
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		defer q.open.Add(-1)
		it, err := untyped.Guard("Authorize", func() (A, error) { return authorize(ctx) })
		answers <- answer{it, err}
	}()
	var over <-chan time.Time
	stopped := stopping.Done()
	for {
		select {
		case got := <-answers:
			return got.it, got.err
		case <-ctx.Done():
			return none, context.Cause(ctx)
		case <-over:
			return none, live.ErrClosed
		case <-stopped:
			stopped = nil
			timer := time.NewTimer(atShutdown)
			defer timer.Stop()
			over = timer.C
		}
	}
}
