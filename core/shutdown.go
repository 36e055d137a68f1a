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

// startPatience bounds how long Shutdown waits for a Start under way to stop.
const startPatience = time.Second

// Shutdown stops everything, in phases: transports (streams end after the current batch),
// sources, reads, OnChange functions, plugins.
//
// When the context has a deadline, each phase gets a share of the remaining time:
// transports get half, and a late phase does not use up the shares of later ones.
// Transports are stopped one after the other with equal shares of their phase, and so are
// plugins. Shutdown leaves behind whatever has not stopped by then and goes on. The error
// joins all failures and names everything that was late. A panic counts as an error.
//
// If Start is under way, its context ends, and Shutdown stops what it has started. Start
// itself stops the part that it was just starting and returns [live.ErrClosed].
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
	r.mu.Unlock()
	r.bindings.close()
	defer close(r.stopped)
	r.stop()
	parts := r.stage.Close()
	if underWay {
		r.waitForStart(ctx)
	}

	errs := lifecycle.Stop(ctx, lifecycle.Transports, parts[lifecycle.Transports])
	for _, v := range r.bindings.declared() {
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
	errs = append(errs, lifecycle.Stop(ctx, lifecycle.Functions, functions(&r.bindings))...)
	errs = append(errs, lifecycle.Stop(ctx, lifecycle.Plugins, parts[lifecycle.Plugins])...)
	r.stopErr = errors.Join(errs...)
	return r.stopErr
}

// functions returns the OnChange functions that may still run, by binding, including those
// of removed bindings.
func functions(c *catalog) []lifecycle.Part {
	families := c.left()
	for _, v := range c.declared() {
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

// waitForStart waits for a Start under way to end. It gives up when a plugin or a transport
// ignores its context: Start will find the stage closed when it goes on.
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

// Drain makes [Registry.Ready] report that the registry is about to stop, and has the
// transports close open streams and requests gradually over the given time; see [Drainer].
// Call it before [Registry.Shutdown], once the load balancer has learned to send clients
// elsewhere. With a time of 0 or less nothing is closed. It returns the context's error
// when that ends first, nil when Shutdown comes first, and [ErrNotStarted] or
// [live.ErrClosed].
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
