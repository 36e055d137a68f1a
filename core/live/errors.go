package live

import "errors"

// Why something cannot be had of a binding, for errors.Is.
var (
	// ErrNotLoaded is returned where rows are needed that were not read yet.
	ErrNotLoaded = errors.New("live: binding has not loaded yet")
	// ErrRemoved ends what uses a binding that was removed from its registry.
	ErrRemoved = errors.New("live: binding has been removed")
	// ErrClosed ends what uses a binding whose registry has been shut down.
	ErrClosed = errors.New("live: registry has been shut down")
	// ErrScopeChanged ends a subscription whose subscriber may see other rows
	// from now on.
	ErrScopeChanged = errors.New("live: the scope has changed")
	// ErrSubscriptionClosed is returned by a subscription after its Close.
	ErrSubscriptionClosed = errors.New("live: subscription is closed")
)
