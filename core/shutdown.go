package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/lifecycle"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
)

// startPatience bounds how long Shutdown waits for a Start under way to notice
// that it has to end.
const startPatience = time.Second

// Shutdown ends everything, in phases: transports (streams end after the current
// batch), sources, reads, OnChange functions, plugins.
//
// When the context has a deadline, each phase may use its share of the time that
// is left: half of it the transports, and later phases keep theirs when an earlier
// one is late. Within the phases of transports and plugins, which are stopped one
// after the other, each has an equal share. What has not stopped by then is left
// behind and the next is stopped. The error joins what went wrong and
// names everything that was late. A panic counts as an error.
//
// When Start is under way its context ends, and what it has started is stopped.
// Start stops what it was just starting and returns [live.ErrClosed].
//
// Shutdown may be called at any time, more than once and concurrently: later
// calls wait for the first. The registry cannot be used again.
func (r *Registry) Shutdown(ctx context.Context) error {
	r.mu.Lock()
	if r.phase == closing {
		r.mu.Unlock()
		select {
		case <-r.stopped:
			return r.stopErr
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	underWay := r.phase == starting
	r.phase = closing
	views := slices.Clone(r.views)
	r.mu.Unlock()
	defer close(r.stopped)
	r.stop()
	parts := r.stage.Close()
	if underWay {
		r.waitForStart(ctx)
	}

	errs := lifecycle.Stop(ctx, lifecycle.Transports, parts[lifecycle.Transports])
	for _, v := range views {
		v.family.end(live.ErrClosed)
	}
	for _, end := range r.eng.Stop() {
		what := "background work"
		if end.Table != (driver.Table{}) {
			what = fmt.Sprintf("the read of table %q", end.Table)
		}
		parts[lifecycle.Feeds] = append(parts[lifecycle.Feeds], lifecycle.Part{Name: what, Stop: lifecycle.WaitFor(end.Done)})
	}
	errs = append(errs, lifecycle.Stop(ctx, lifecycle.Sources, parts[lifecycle.Sources])...)
	errs = append(errs, lifecycle.Stop(ctx, lifecycle.Feeds, parts[lifecycle.Feeds])...)
	errs = append(errs, lifecycle.Stop(ctx, lifecycle.Functions, r.functions(views))...)
	errs = append(errs, lifecycle.Stop(ctx, lifecycle.Plugins, parts[lifecycle.Plugins])...)
	r.stopErr = errors.Join(errs...)
	return r.stopErr
}

// functions returns the OnChange functions that may still run, by binding, also
// those of bindings that were removed.
func (r *Registry) functions(views []*publisher) []lifecycle.Part {
	r.mu.Lock()
	families := slices.Clone(r.removed)
	r.mu.Unlock()
	for _, v := range views {
		families = append(families, v.family)
	}
	var parts []lifecycle.Part
	for _, f := range families {
		if idle := f.watchers.Close(); idle != nil {
			parts = append(parts, lifecycle.Part{Name: fmt.Sprintf("an OnChange function of binding %q", f.proto.Name()), Stop: lifecycle.WaitFor(idle)})
		}
	}
	return parts
}

// waitForStart lets a Start under way end by itself. One that does not, because
// a plugin or a transport ignores its context, is not waited for any longer: it
// finds the stage closed whenever it goes on.
func (r *Registry) waitForStart(ctx context.Context) {
	timer := time.NewTimer(startPatience)
	defer timer.Stop()
	select {
	case <-r.startEnded:
		return
	case <-ctx.Done():
	case <-timer.C:
	}
	r.cfg.Logger.Warn("core: Start has not ended since Shutdown was called; it stops what it is starting by itself", slog.String("id", "core-start-late"),
		slog.Duration("waited", startPatience))
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
