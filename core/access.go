package core

import (
	"context"
	"fmt"

	"github.com/binderyhq/bindery/core/filter"
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
