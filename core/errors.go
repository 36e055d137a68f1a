package core

import (
	"errors"

	"github.com/binderyhq/bindery/core/internal/upkeep"
)

// Errors for errors.Is.
var (
	// ErrStarted means that Start was called already, so nothing more can be registered,
	// and Start cannot be called again.
	ErrStarted = errors.New("core: registry has been started")
	// ErrNotStarted means that the registry is not running yet.
	ErrNotStarted = upkeep.ErrNotStarted
	// ErrUnknownBinding means that no binding has that name.
	ErrUnknownBinding = errors.New("core: no such binding")
	// ErrTooManyMembers means that as many members of the family are in use as
	// [Tuning].MaxMembers allows, or as one authorizer's scope may have.
	ErrTooManyMembers = errors.New("core: too many members are in use")
	// ErrBudget means that there is no memory for another member or request body, or that
	// the client or scope has used up its share, see [Config].MemoryBudget. A member that
	// turns out too large ends with it as well.
	ErrBudget = errors.New("core: no memory is left for another member")
	// ErrMalformedMark means that a text is not a mark made by [Registry.Mark].
	ErrMalformedMark = errors.New("core: the text is no mark")
	// ErrForeignMark means that another node made the mark, and that no source here can
	// tell whether it has been reached.
	ErrForeignMark = errors.New("core: the mark of another node is not understood here")
	// ErrTooManyWait means that the maximum number of calls are waiting for marks already.
	ErrTooManyWait = errors.New("core: too many marks are waited for")
)
