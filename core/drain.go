package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
)

// Drainer is implemented by transports that can end bit by bit what is open.
type Drainer interface {
	// Drain ends what is open at the call as Shutdown would: streams after the
	// current batch, requests that wait by an answer. It spreads that evenly over the
	// time, so that clients do not come back all at once, and returns at the end of
	// it, at once when nothing is open, or with the context's error. Others are let in
	// meanwhile. [Registry.Drain] calls it, at most once at a time, before Shutdown.
	Drain(ctx context.Context, over time.Duration) error
}

// Drain tells [Registry.Ready] that the registry is about to stop, and has the
// transports end what is open, spread over the time; see [Drainer]. A program calls
// it before [Registry.Shutdown], once whoever distributes clients has learned
// that they should go elsewhere. With a time of 0 or less nothing is ended. It returns
// the context's error when that ends first, nil when Shutdown comes first, and
// [ErrNotStarted] or [live.ErrClosed].
func (r *Registry) Drain(ctx context.Context, over time.Duration) error {
	r.mu.Lock()
	if err := r.phase.running(); err != nil {
		r.mu.Unlock()
		return err
	}
	r.draining = true
	transports := slices.Clone(r.mounted)
	r.mu.Unlock()
	if over <= 0 {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.stopping, func() { cancel(live.ErrClosed) })()
	errs := make([]error, len(transports))
	var ending sync.WaitGroup
	for i, t := range transports {
		d, ok := t.(Drainer)
		if !ok {
			continue
		}
		ending.Go(func() {
			_, err := untyped.Guard("Drain", func() (struct{}, error) { return struct{}{}, d.Drain(ctx, over) })
			if err != nil && !errors.Is(context.Cause(ctx), live.ErrClosed) {
				errs[i] = fmt.Errorf("core: draining transport %q: %w", t.Name(), err)
			}
		})
	}
	ending.Wait()
	return errors.Join(errs...)
}
