package live

import "errors"

// Why a binding has no rows or ends a subscription, for errors.Is.
var (
	// ErrNotLoaded means that the rows have not been read yet.
	ErrNotLoaded = errors.New("live: binding has not loaded yet")
	// ErrRemoved means that the binding was removed from its registry.
	ErrRemoved = errors.New("live: binding has been removed")
	// ErrClosed means that the registry was shut down.
	ErrClosed = errors.New("live: registry has been shut down")
	// ErrScopeChanged ends a subscription whose subscriber may see different rows from now
	// on.
	ErrScopeChanged = errors.New("live: the scope has changed")
	// ErrSubscriptionClosed is returned by a subscription after its Close.
	ErrSubscriptionClosed = errors.New("live: subscription is closed")
)
