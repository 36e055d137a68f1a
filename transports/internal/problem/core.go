package problem

import (
	"errors"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
)

// Of returns the problem for an error of package core about the binding of that name,
// as [core.Registry.Open], a [core.Grant] and its subscriptions return it. It returns
// false for an error that clients must not see: the problem then says that the server
// cannot do this now, and the caller logs the error.
func Of(binding string, err error) (*Problem, bool) {
	var argument *core.ArgumentError
	var denied *core.DeniedError
	switch {
	case errors.As(err, &argument):
		return BadParameter(argument.Param, argument.Detail), true
	case errors.As(err, &denied) && denied.Challenge != "":
		return Unauthorized(denied.Challenge), true
	case errors.As(err, &denied):
		return Forbidden("it is not allowed to " + denied.Access.Action.String() + " this"), true
	case errors.Is(err, core.ErrUnknownBinding), errors.Is(err, live.ErrRemoved):
		return UnknownBinding(binding), true
	case errors.Is(err, live.ErrNotLoaded):
		return NotLoaded(binding), true
	case errors.Is(err, core.ErrTooManyMembers):
		return Unavailable("too many members of this binding are in use"), true
	case errors.Is(err, core.ErrBudget):
		return OverBudget(binding), true
	case errors.Is(err, live.ErrClosed), errors.Is(err, core.ErrNotStarted):
		return ShuttingDown(), true
	default:
		return Unavailable("it cannot be told now whether this is allowed"), false
	}
}
