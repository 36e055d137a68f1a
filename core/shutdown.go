package core

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/binderyhq/bindery/core/live"
)

// Shutdown ends everything, in order: transports (streams end after the current
// batch), sources, feeds, plugins. It goes on when one of them fails, joins the
// errors, and returns when nothing is running any more or the context ends. It
// may be called at any time, more than once and concurrently: later calls wait
// for the first. The registry cannot be used again.
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
	r.phase = closing
	views := slices.Clone(r.views)
	mounted, used := r.mounted, r.used
	r.mu.Unlock()
	defer close(r.stopped)
	r.stop()

	var errs []error
	for _, t := range slices.Backward(mounted) {
		if err := t.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("core: shutting down transport %q: %w", t.Name(), err))
		}
	}
	for _, v := range views {
		v.family.end(live.ErrClosed)
	}
	r.eng.cancel(live.ErrClosed)
	r.eng.mu.Lock()
	runs := r.eng.sources
	r.eng.mu.Unlock()
	for _, s := range runs {
		if err := await(ctx, s.done); err != nil {
			errs = append(errs, fmt.Errorf("core: source %q has not stopped: %w", s.source.Name(), err))
		}
	}
	if err := await(ctx, waitGroupDone(&r.eng.wg)); err != nil {
		errs = append(errs, fmt.Errorf("core: a read has not stopped: %w", err))
	}
	for _, v := range views {
		if err := await(ctx, waitGroupDone(&v.family.watchers)); err != nil {
			errs = append(errs, fmt.Errorf("core: an OnChange function of binding %q has not returned: %w", v.Name(), err))
		}
	}
	for _, p := range slices.Backward(used) {
		if err := p.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("core: shutting down plugin %q: %w", p.Name(), err))
		}
	}
	r.stopErr = errors.Join(errs...)
	return r.stopErr
}

func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	default:
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// waitGroupDone returns a channel that is closed when the group is done.
func waitGroupDone(wg interface{ Wait() }) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	return done
}
