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
	// ErrSubscriptionClosed is returned by a subscription after its Close.
	ErrSubscriptionClosed = errors.New("core: subscription is closed")
)

// permanentError marks an error that trying again does not mend.
type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Permanent marks err as one that trying again does not mend: a source that
// returns it from Watch is not started again. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// IsPermanent reports whether err, or one that it wraps, was marked by
// [Permanent].
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}
