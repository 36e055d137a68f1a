package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/internal/untyped"
)

// shutdownPhase is one step of [Registry.Shutdown]. The steps come in this
// order, whatever the order of the start.
type shutdownPhase uint8

const (
	stopTransports shutdownPhase = iota
	stopSources
	stopFeeds
	stopFunctions
	stopPlugins
	shutdownPhases // their number
)

// phaseWeights divide the time that Shutdown has: a phase may take its weight's
// part of what is left when it begins, so it cannot use up the time of the phases
// after it. Draining clients takes longest.
var phaseWeights = [shutdownPhases]int{stopTransports: 4, stopSources: 1, stopFeeds: 1, stopFunctions: 1, stopPlugins: 1}

// stopGrace is how long something may take to return after its context has
// ended. It lets well-behaved parts report why they are late, and lets a
// Shutdown whose context has ended before it began still stop what stops at once.
const stopGrace = 100 * time.Millisecond

// part is something that has started and has to be stopped.
type part struct {
	what string // names it in errors, for example `plugin "metrics"`
	// stop stops it and waits until it has stopped. The context tells when the
	// waiting ends; a stop that ignores it is left behind.
	stop func(context.Context) error
}

// stage records what has started. Starting and shutting down may happen at the
// same time: a part is either on the record when Shutdown closes it, or push
// refuses the part and the caller stops it at once. So nothing is forgotten.
type stage struct {
	mu     sync.Mutex // guards what follows
	closed bool
	parts  [shutdownPhases][]part
}

// push records a part. It returns false when the stage is closed.
func (s *stage) push(p shutdownPhase, one part) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.parts[p] = append(s.parts[p], one)
	return true
}

// isClosed reports whether the shutdown has begun, so nothing else needs to be
// started.
func (s *stage) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// close refuses further parts and returns those recorded, the last one first.
func (s *stage) close() [shutdownPhases][]part {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for p := range s.parts {
		slices.Reverse(s.parts[p])
	}
	return s.parts
}

// phaseContext bounds a phase by its share of the time that ctx has left. Without
// a deadline there is nothing to share.
func phaseContext(ctx context.Context, p shutdownPhase) (context.Context, context.CancelFunc) {
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
func stopInTurn(ctx context.Context, parts []part) (errs []error) {
	for i, one := range parts {
		own, cancel := shareOf(ctx, 1, len(parts)-i)
		errs = append(errs, stopTogether(own, []part{one})...)
		cancel()
	}
	return errs
}

// stopTogether stops the parts at the same time and returns what went wrong. It
// names each part that has not stopped when the context has ended, and no other.
func stopTogether(ctx context.Context, parts []part) (errs []error) {
	begun := time.Now()
	results := make([]chan error, len(parts))
	for i, one := range parts {
		result := make(chan error, 1)
		results[i] = result
		go func() {
			_, err := untyped.Guard("Shutdown", func() (struct{}, error) { return struct{}{}, one.stop(ctx) })
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
			errs = append(errs, fmt.Errorf("core: %s has not stopped within %v: %w", one.what, time.Since(begun).Round(time.Millisecond), err))
		default:
			errs = append(errs, fmt.Errorf("core: shutting down %s: %w", one.what, err))
		}
	}
	return errs
}
