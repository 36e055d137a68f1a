package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/driver"
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
	parts := r.stage.close()
	if underWay {
		r.waitForStart(ctx)
	}

	errs := r.stopPhase(ctx, stopTransports, parts[stopTransports])
	for _, v := range views {
		v.family.end(live.ErrClosed)
	}
	for _, end := range r.eng.Stop() {
		what := "background work"
		if end.Table != (driver.Table{}) {
			what = fmt.Sprintf("the read of table %q", end.Table)
		}
		parts[stopFeeds] = append(parts[stopFeeds], part{what, waitFor(end.Done)})
	}
	errs = append(errs, r.stopPhase(ctx, stopSources, parts[stopSources])...)
	errs = append(errs, r.stopPhase(ctx, stopFeeds, parts[stopFeeds])...)
	errs = append(errs, r.stopPhase(ctx, stopFunctions, r.functions(views))...)
	errs = append(errs, r.stopPhase(ctx, stopPlugins, parts[stopPlugins])...)
	r.stopErr = errors.Join(errs...)
	return r.stopErr
}

// stopPhase stops the parts of one phase.
func (r *Registry) stopPhase(ctx context.Context, p shutdownPhase, parts []part) []error {
	if len(parts) == 0 {
		return nil
	}
	ctx, cancel := phaseContext(ctx, p)
	defer cancel()
	switch p {
	case stopTransports, stopPlugins:
		return stopInTurn(ctx, parts)
	default:
		return stopTogether(ctx, parts)
	}
}

// functions returns the OnChange functions that may still run, by binding, also
// those of bindings that were removed.
func (r *Registry) functions(views []*publisher) []part {
	r.mu.Lock()
	families := slices.Clone(r.removed)
	r.mu.Unlock()
	for _, v := range views {
		families = append(families, v.family)
	}
	var parts []part
	for _, f := range families {
		if idle := f.watchers.close(); idle != nil {
			parts = append(parts, part{fmt.Sprintf("an OnChange function of binding %q", f.proto.Name()), waitFor(idle)})
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

// waitFor makes a stop of something that has been told to end.
func waitFor(done <-chan struct{}) func(context.Context) error {
	return func(context.Context) error {
		<-done
		return nil
	}
}
