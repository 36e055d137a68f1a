package core

import "errors"

// States that callers test for with errors.Is.
var (
	// ErrStarted is returned by a second Start and by registrations that come
	// too late.
	ErrStarted = errors.New("core: registry has been started")
	// ErrNotStarted is returned by what needs a running registry before Start.
	ErrNotStarted = errors.New("core: registry has not been started")
	// ErrUnknownBinding is returned where a binding is named that there is not.
	ErrUnknownBinding = errors.New("core: no such binding")
	// ErrTooManyMembers is returned when a family's member is asked for, and as
	// many as there may be are in use.
	ErrTooManyMembers = errors.New("core: as many members as there may be are in use")
	// ErrBudget is returned when a family's member is asked for and there is no
	// memory for it, or its client or scope has its share in use, see
	// [Config.MemoryBudget]; it ends members that turn out to be too large.
	ErrBudget = errors.New("core: no memory is left for another member")
)
