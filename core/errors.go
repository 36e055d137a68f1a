package core

import "errors"

// States that callers test for with errors.Is.
var (
	// ErrStarted is returned by a second Start and by registrations that come
	// too late.
	ErrStarted = errors.New("core: registry has been started")
	// ErrNotStarted is returned by what needs a running registry before Start.
	ErrNotStarted = errors.New("core: registry has not been started")
	// ErrClosed is returned by everything after Shutdown.
	ErrClosed = errors.New("core: registry has been shut down")
	// ErrNotLoaded is returned where rows are needed that were not read yet.
	ErrNotLoaded = errors.New("core: binding has not loaded yet")
	// ErrRemoved is returned to the subscribers of a binding that was removed
	// from its registry, and by its methods that need one.
	ErrRemoved = errors.New("core: binding has been removed")
	// ErrNotWritable is returned by writes to a binding that was not declared
	// [Writable].
	ErrNotWritable = errors.New("core: binding is not writable")
	// ErrNoRow is returned by writes to a row that the binding does not hold.
	ErrNoRow = errors.New("core: no such row in the binding")
	// ErrPrecondition is returned by writes whose precondition does not hold.
	ErrPrecondition = errors.New("core: the row is not as the precondition demands")
	// ErrUnknownBinding is returned where a binding is named that there is not.
	ErrUnknownBinding = errors.New("core: no such binding")
	// ErrScopeChanged ends a subscription whose subscriber may see other rows
	// from now on.
	ErrScopeChanged = errors.New("core: the scope has changed")
	// ErrTooManyMembers is returned when a family's member is asked for, and as
	// many as there may be are in use.
	ErrTooManyMembers = errors.New("core: as many members as there may be are in use")
	// ErrSubscriptionClosed is returned by a subscription after its Close.
	ErrSubscriptionClosed = errors.New("core: subscription is closed")
)

// MalformedError says that a body is no JSON object.
type MalformedError struct{ Detail string }

// Error says what is wrong, in words that a client may see.
func (e *MalformedError) Error() string { return "core: malformed body: " + e.Detail }
