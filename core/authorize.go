package core

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
)

const (
	// authorizeAtEnd bounds how long a question may go on once Shutdown has
	// begun: long enough for an authorizer that answers at all, and short enough
	// to leave transports time to drain.
	authorizeAtEnd = 500 * time.Millisecond

	// maxQuestions bounds the questions that the authorizer is asked at the same
	// time, those that nobody waits for any more included. Each has a goroutine,
	// and clients can make more.
	maxQuestions = 10_000
)

// Errors of questions that the authorizer has not answered. Transports answer
// them with 503.
var (
	errUnanswered       = errors.New("the authorizer has not answered in time")
	errTooManyQuestions = fmt.Errorf("the authorizer has not answered %d questions yet", maxQuestions)
)

// ask returns the scope within which the access is allowed, nil for no bounds. It
// gives up waiting after [Config.AuthorizeTimeout], even for an authorizer that
// ignores its context.
func (r *Registry) ask(ctx context.Context, authorizer Authorizer, a Access) (filter.Expr, error) {
	d, err := r.decision(ctx, authorizer, a)
	switch {
	case err != nil:
		return nil, fmt.Errorf("core: authorizing to %s binding %q: %w", a.Action, a.Binding, err)
	case !d.allowed:
		return nil, &DeniedError{Access: a, Challenge: d.challenge}
	}
	return d.scope, nil
}

// decision has the authorizer decide, on a goroutine that can be left behind.
func (r *Registry) decision(ctx context.Context, authorizer Authorizer, a Access) (Decision, error) {
	if r.questions.Add(1) > maxQuestions {
		r.questions.Add(-1)
		return Decision{}, errTooManyQuestions
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.cfg.AuthorizeTimeout, errUnanswered)
	defer cancel()
	type answer struct {
		Decision
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		defer r.questions.Add(-1)
		d, err := untyped.Guard("Authorize", func() (Decision, error) { return authorizer.Authorize(ctx, a) })
		answers <- answer{d, err}
	}()
	var over <-chan time.Time
	stopping := r.stopping.Done()
	for {
		select {
		case got := <-answers:
			return got.Decision, got.err
		case <-ctx.Done():
			return Decision{}, context.Cause(ctx)
		case <-over:
			return Decision{}, live.ErrClosed
		case <-stopping:
			stopping = nil
			timer := time.NewTimer(authorizeAtEnd)
			defer timer.Stop()
			over = timer.C
		}
	}
}
