package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/internal/untyped"
)

// phaseWeights divide the time that Shutdown has: a phase may take its weight's
// part of what is left when it begins, so it cannot use up the time of the phases
// after it. Draining clients takes longest.
var phaseWeights = [phases]int{Transports: 4, Sources: 1, Feeds: 1, Functions: 1, Plugins: 1}

// stopGrace is how long something may take to return after its context has
// ended. It lets well-behaved parts report why they are late, and lets a
// Shutdown whose context has ended before it began still stop what stops at once.
const stopGrace = 100 * time.Millisecond

// Stop stops the parts of a phase and returns what went wrong. With a deadline the
// phase has its share of the time that is left. Transports and plugins are stopped one
// after the other, each within an equal share of the phase's; all others at the same
// time. A part that has not stopped by then is named and left behind. A panic counts
// as an error.
func Stop(ctx context.Context, p Phase, parts []Part) []error {
	if len(parts) == 0 {
		return nil
	}
	ctx, cancel := phaseContext(ctx, p)
	defer cancel()
	switch p {
	case Transports, Plugins:
		return stopInTurn(ctx, parts)
	default:
		return stopTogether(ctx, parts)
	}
}

// WaitFor returns a [Part].Stop for something that was told to end: it waits until done
// is closed.
func WaitFor(done <-chan struct{}) func(context.Context) error {
	return func(context.Context) error {
		<-done
		return nil
	}
}

// phaseContext bounds a phase by its share of the time that ctx has left. Without
// a deadline there is nothing to share.
func phaseContext(ctx context.Context, p Phase) (context.Context, context.CancelFunc) {
	left := 0
	for _, w := range phaseWeights[p:] {
		left += w
	}
	return shareOf(ctx, phaseWeights[p], left)
}

// shareOf returns a context with share/of of the time that ctx has left.
func shareOf(ctx context.Context, share, of int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)*time.Duration(share)/time.Duration(of))
}

// stopInTurn stops the parts one after the other, each within an equal share of
// the time that is left, and returns what went wrong.
func stopInTurn(ctx context.Context, parts []Part) (errs []error) {
	for i, one := range parts {
		own, cancel := shareOf(ctx, 1, len(parts)-i)
		errs = append(errs, stopTogether(own, []Part{one})...)
		cancel()
	}
	return errs
}

// stopTogether stops the parts at the same time and returns what went wrong. It
// names each part that has not stopped when the context has ended, and no other.
func stopTogether(ctx context.Context, parts []Part) (errs []error) {
	begun := time.Now()
	results := make([]chan error, len(parts))
	for i, one := range parts {
		result := make(chan error, 1)
		results[i] = result
		go func() {
			_, err := untyped.Guard("Shutdown", func() (struct{}, error) { return struct{}{}, one.Stop(ctx) })
			result <- err
		}()
	}
	expired := make(chan struct{}) // closed stopGrace after ctx has ended
	defer context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(stopGrace, func() { close(expired) })
		_ = timer // it fires once and holds nothing
	})()
	for i, one := range parts {
		var err error
		select {
		case err = <-results[i]:
		case <-expired:
			select {
			case err = <-results[i]: // it came at the last moment
			default:
				err = context.Cause(ctx)
			}
		}
		switch {
		case err == nil:
		case ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))):
			errs = append(errs, fmt.Errorf("core: %s has not stopped within %v: %w", one.Name, time.Since(begun).Round(time.Millisecond), err))
		default:
			errs = append(errs, fmt.Errorf("core: shutting down %s: %w", one.Name, err))
		}
	}
	return errs
}
