package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/assembly"
	"github.com/binderyhq/bindery/core/internal/authorizing"
	"github.com/binderyhq/bindery/core/live"
)

// Action is what somebody wants to do with a binding.
type Action uint8

// The actions.
const (
	// ActionRead is to see the rows, once or as a stream of changes.
	ActionRead Action = iota
	// ActionInsert, ActionUpdate and ActionDelete are to write them.
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

// Access is what somebody asks for: to do something with a binding.
type Access struct {
	// Binding is the name of the binding or family, Params the parameters of
	// the family's member.
	Binding string
	Params  live.Params
	Action  Action
}

// Authorizer decides who may see what, and write it. Every transport asks it,
// through [Registry.Open] and [Grant.Write]. Who asks is in the context, where the
// application's own middleware has put it: over HTTP it is the request's.
//
// It is asked for each request, and of a stream's subscriber when the stream
// begins and again as long as it lasts; see [Registry.Reauthorize] and
// [Config.ReauthorizeEvery]. So it must be quick, and may be called from any
// number of goroutines. An error is no decision: nothing is shown or written,
// the client is told to try again later, and streams that are open go on.
type Authorizer interface {
	Authorize(ctx context.Context, a Access) (Decision, error)
}

// AuthorizerFunc is a function as an [Authorizer].
type AuthorizerFunc func(ctx context.Context, a Access) (Decision, error)

// Authorize calls the function.
func (f AuthorizerFunc) Authorize(ctx context.Context, a Access) (Decision, error) { return f(ctx, a) }

// Decision is what an [Authorizer] answers. The zero value denies.
type Decision struct {
	allowed   bool
	scope     filter.Expr
	challenge string
}

// Allow allows what was asked.
func Allow() Decision { return Decision{allowed: true} }

// AllowWhere allows what was asked, confined to the rows for which all the
// expressions are true, on top of the binding's own filter. Those who are given
// the same scope share one member of the binding, which lives as the members of a
// family do, see [Tuning]. So give those who have the same rights the same expressions,
// in the same order: an expression with the time of day in it makes a new member for
// each request. A nil expression is a mistake, and denies. AllowWhere without an
// expression is [Allow].
func AllowWhere(exprs ...filter.Expr) Decision {
	d := Allow()
	if len(exprs) > 0 {
		d.scope = filter.And(exprs...)
	}
	return d
}

// Deny denies what was asked.
func Deny() Decision { return Decision{} }

// Unauthenticated denies what was asked of somebody who has not said who they
// are. The challenge says how they may, as in the header WWW-Authenticate (RFC
// 9110, section 11.6.1): `Bearer realm="shop"`, for one.
func Unauthenticated(challenge string) Decision { return Decision{challenge: challenge} }

// DeniedError says that the authorizer has denied something.
type DeniedError struct {
	Access Access
	// Challenge is the challenge of [Unauthenticated]. It is "" when the authorizer
	// knows who asks.
	Challenge string
}

// Error names the binding and the action.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("core: binding %q: the authorizer does not allow to %s", e.Access.Binding, e.Access.Action)
}

// Authorize sets the authorizer; without one everything is allowed. It is called
// once, before Start; a second authorizer is a problem that Start reports.
func (r *Registry) Authorize(a Authorizer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.phase.refusal("setting an authorizer"); err != nil {
		return err
	}
	switch at := assembly.CallSite(); {
	case a == nil:
		r.problems = append(r.problems, fmt.Errorf("core: nil authorizer set at %s", at))
	case r.authorizer != nil:
		r.problems = append(r.problems, fmt.Errorf("core: a second authorizer set at %s", at))
	default:
		r.authorizer = a
	}
	return nil
}

// ask returns the scope within which the authorizer allows the access, nil for no bounds.
// It gives up waiting after [Config.AuthorizeTimeout].
func (r *Registry) ask(ctx context.Context, authorizer Authorizer, a Access) (filter.Expr, error) {
	d, err := authorizing.Ask(&r.questions, ctx, r.stopping, r.cfg.AuthorizeTimeout, func(ctx context.Context) (Decision, error) {
		return authorizer.Authorize(ctx, a)
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("core: authorizing to %s binding %q: %w", a.Action, a.Binding, err)
	case !d.allowed:
		return nil, &DeniedError{Access: a, Challenge: d.challenge}
	}
	return d.scope, nil
}

// recheck asks about every subscription.
func (r *Registry) recheck(ctx context.Context) error {
	return r.subscribers.Recheck(ctx, func(ctx context.Context, right authorizing.Right[Access]) (end, err error) {
		scope, err := r.ask(ctx, r.authorizer, right.Access)
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

// Reauthorize asks the authorizer again about every subscription that it has
// allowed, and ends those that it does not allow any more: what is published
// after Reauthorize has returned does not reach them. Programs call it when
// somebody's rights have changed; it also happens by itself, see
// [Config.ReauthorizeEvery].
//
// It returns the context's error when that ends first, and has then asked about
// some only: a handler whose client may hang up passes a context without
// cancellation, see [context.WithoutCancel]. Where the authorizer fails the
// subscription goes on, and the errors are returned, joined.
func (r *Registry) Reauthorize(ctx context.Context) error {
	if r.authorizer == nil {
		return nil
	}
	r.subscribers.NextRound()
	return r.recheck(ctx)
}

func scopeChanged(a Access) error {
	return fmt.Errorf("core: binding %q: %w", a.Binding, live.ErrScopeChanged)
}

// reauthorize asks again at the interval until ctx is done. A subscription that
// begins meanwhile can wait for the next time.
func (r *Registry) reauthorize(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if err := r.recheck(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Logger.Warn("core: the authorizer failed for streams that are open; they go on", slog.String("id", "core-authorizer-failed"), slog.Any("error", err))
		}
	}
}
