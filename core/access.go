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

// Action is an operation on a binding.
type Action uint8

// The actions.
const (
	// ActionRead reads the rows, once or as a stream of changes.
	ActionRead Action = iota
	// ActionInsert, ActionUpdate and ActionDelete write rows.
	ActionInsert
	ActionUpdate
	ActionDelete
)

// String returns the action's name in lower case.
func (a Action) String() string {
	switch a {
	case ActionRead:
		return "read"
	case ActionInsert:
		return "insert"
	case ActionUpdate:
		return "update"
	case ActionDelete:
		return "delete"
	}
	return "unknown"
}

// Access is the question to an [Authorizer]: may the client do this with the binding?
type Access struct {
	// Binding is the name of the binding or family. Params are the parameters of the
	// family's member.
	Binding string
	Params  live.Params
	Action  Action
}

// Authorizer decides who may see and write what. Every transport asks it, through
// [Registry.Open] and [Grant.Write]. The context tells who asks, as the application's own
// middleware has recorded it: over HTTP it is the request's.
//
// It is asked for each request. For a stream it is asked when the stream begins and
// repeatedly while it lasts; see [Registry.Reauthorize] and [Config.ReauthorizeEvery]. So
// it must be quick. It may be called concurrently. An error means no decision: nothing is
// shown or written, the client is told to retry later, and open streams go on.
type Authorizer interface {
	Authorize(ctx context.Context, a Access) (Decision, error)
}

// AuthorizerFunc adapts a function to an [Authorizer].
type AuthorizerFunc func(ctx context.Context, a Access) (Decision, error)

// Authorize calls the function.
func (f AuthorizerFunc) Authorize(ctx context.Context, a Access) (Decision, error) { return f(ctx, a) }

// Decision is the answer of an [Authorizer]. The zero value denies.
type Decision struct {
	allowed   bool
	scope     filter.Expr
	challenge string
}

// Allow allows the access.
func Allow() Decision { return Decision{allowed: true} }

// AllowWhere allows the access, confined to the rows for which all the expressions are
// true, on top of the binding's own filter. Clients with the same scope share one member of
// the binding, which lives like a member of a family, see [Tuning]. So give clients with
// the same rights the same expressions in the same order: an expression with the time of
// day in it would make a new member for each request. A nil expression is a mistake, and
// denies. AllowWhere without an expression is [Allow].
func AllowWhere(exprs ...filter.Expr) Decision {
	d := Allow()
	if len(exprs) > 0 {
		d.scope = filter.And(exprs...)
	}
	return d
}

// Deny denies the access.
func Deny() Decision { return Decision{} }

// Unauthenticated denies the access because the client has not identified itself. The
// challenge says how it can, as in the WWW-Authenticate header (RFC 9110, section 11.6.1),
// for example `Bearer realm="shop"`.
func Unauthenticated(challenge string) Decision { return Decision{challenge: challenge} }

// DeniedError reports an access that the authorizer has denied.
type DeniedError struct {
	Access Access
	// Challenge is the challenge given to [Unauthenticated]. It is "" when the authorizer
	// knows who asks.
	Challenge string
}

// Error names the binding and the action.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("core: binding %q: the authorizer does not allow to %s", e.Access.Binding, e.Access.Action)
}

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
