package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/authorizing"
	"github.com/binderyhq/bindery/core/live"
)

// authorization asks the authorizer, and asks it again about subscriptions that go on.
type authorization struct {
	authorizer Authorizer // fixed at Start; nil: everything is allowed
	timeout    time.Duration
	stopping   context.Context // done when Shutdown begins

	questions   authorizing.Questions           // those that are open
	subscribers authorizing.Subscribers[Access] // subscriptions that were allowed
}

// required reports whether there is an authorizer.
func (a *authorization) required() bool { return a.authorizer != nil }

// ask returns the scope within which the authorizer allows the access, nil for no bounds.
// It gives up after [Config.AuthorizeTimeout].
func (a *authorization) ask(ctx context.Context, access Access) (filter.Expr, error) {
	d, err := authorizing.Ask(&a.questions, ctx, a.stopping, a.timeout, func(ctx context.Context) (Decision, error) {
		return a.authorizer.Authorize(ctx, access)
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("core: authorizing to %s binding %q: %w", access.Action, access.Binding, err)
	case !d.allowed:
		return nil, &DeniedError{Access: access, Challenge: d.challenge}
	}
	return d.scope, nil
}

// round returns the number of the current round of answers; outdated reports whether an
// answer of that round may no longer hold, because reask was called after it.
func (a *authorization) round() uint64              { return a.subscribers.Round() }
func (a *authorization) outdated(since uint64) bool { return a.required() && a.round() != since }

// subscribe begins a subscription that lasts while the authorizer allows the access with
// this scope.
func (a *authorization) subscribe(ctx context.Context, view *live.View, access Access, scope filter.Expr, opts live.SubscribeOptions) *live.Subscription {
	return a.subscribers.Subscribe(ctx, view, authorizing.Right[Access]{Access: access, Scope: textOf(scope)}, opts)
}

// reask makes all answers outdated, and asks about every subscription.
func (a *authorization) reask(ctx context.Context) error {
	if !a.required() {
		return nil
	}
	a.subscribers.NextRound()
	return a.recheck(ctx)
}

// recheck asks the authorizer about every subscription.
func (a *authorization) recheck(ctx context.Context) error {
	return a.subscribers.Recheck(ctx, func(ctx context.Context, right authorizing.Right[Access]) (end, err error) {
		scope, err := a.ask(ctx, right.Access)
		var denied *DeniedError
		switch {
		case errors.As(err, &denied):
			return err, nil
		case err != nil:
			return nil, err
		case textOf(scope) != right.Scope:
			return scopeChanged(right.Access), nil
		}
		return nil, nil
	})
}

// recheckEvery rechecks at the interval until ctx is done. It may miss a subscription that
// begins meanwhile, until the next time.
func (a *authorization) recheckEvery(ctx context.Context, every time.Duration, log *slog.Logger) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if err := a.recheck(ctx); err != nil && ctx.Err() == nil {
			log.Warn("core: the authorizer failed for streams that are open; they go on", slog.String("id", "core-authorizer-failed"), slog.Any("error", err))
		}
	}
}

func scopeChanged(a Access) error {
	return fmt.Errorf("core: binding %q: %w", a.Binding, live.ErrScopeChanged)
}

// textOf returns the scope as text, "" for none.
func textOf(scope filter.Expr) string {
	if scope == nil {
		return ""
	}
	return scope.String()
}
