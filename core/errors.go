package core

import (
	"errors"

	"github.com/binderyhq/bindery/core/internal/upkeep"
)

// States that callers test for with errors.Is.
var (
	// ErrStarted means that the registry has been started, so nothing more can be
	// registered, and Start cannot be called again.
	ErrStarted = errors.New("core: registry has been started")
	// ErrNotStarted means that the registry does not run yet.
	ErrNotStarted = upkeep.ErrNotStarted
	// ErrUnknownBinding means that no binding has that name.
	ErrUnknownBinding = errors.New("core: no such binding")
	// ErrTooManyMembers means that the family has as many members in use as
	// [Tuning].MaxMembers allows.
	ErrTooManyMembers = errors.New("core: too many members are in use")
	// ErrBudget means that there is no memory for another member, or that its client
	// or scope has used its share, see [Config].MemoryBudget. It also ends members
	// that turn out to be too large.
	ErrBudget = errors.New("core: no memory is left for another member")
	// ErrMalformedMark means that a text is no mark: [Registry.Mark] has not
	// returned it.
	ErrMalformedMark = errors.New("core: the text is no mark")
	// ErrForeignMark means that the mark was made by another node, and that no
	// source here can tell whether it has been reached.
	ErrForeignMark = errors.New("core: the mark of another node is not understood here")
	// ErrTooManyWait means that as many marks are waited for as may be.
	ErrTooManyWait = errors.New("core: too many marks are waited for")
)
