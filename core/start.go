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

// checkBindings makes the bindings' shapes and returns everything wrong with
// them. The caller holds r.mu.
func (r *Registry) checkBindings(views []*publisher) (errs []error) {
	seen := make(map[string]*publisher)
	for _, v := range views {
		other := seen[v.Name()]
		if other == nil {
			other = r.byName[v.Name()]
		}
		switch {
		case other == v:
			errs = append(errs, fmt.Errorf("core: %s is added twice", v.describe()))
			continue
		case other != nil:
			errs = append(errs, fmt.Errorf("core: two bindings are named %q: one declared at %s, one at %s",
				v.Name(), other.spec.placeOfBind, v.spec.placeOfBind))
		}
		seen[v.Name()] = v
		v.mu.Lock()
		again := v.registered
		v.registered = true
		v.mu.Unlock()
		if again {
			errs = append(errs, fmt.Errorf("core: %s has been in a registry before: declare it anew", v.describe()))
			continue
		}
		sh, problems := v.check()
		for _, p := range problems {
			errs = append(errs, fmt.Errorf("core: %s: %w", v.describe(), p))
		}
		if sh != nil {
			v.become(sh)
		}
	}
	for _, v := range views {
		errs = append(errs, r.checkRelated(v, views)...)
	}
	return errs
}

// check returns everything wrong with what was registered.
func (r *Registry) check() error {
	errs := slices.Clone(r.problems)
	errs = append(errs, r.checkBindings(r.views)...)
	for _, s := range r.sources {
		errs = append(errs, r.checkSource(s)...)
	}
	if len(errs) == 0 {
		return nil
	}
	return &StartError{Problems: errs}
}

func (r *Registry) checkSource(s placed[driver.Source]) (errs []error) {
	if v, ok := s.it.(driver.Validating); ok {
		if err := v.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("core: source %q (%s): %w", s.it.Name(), s.place, err))
		}
	}
	n, ok := s.it.(driver.Naming)
	if !ok {
		return errs
	}
	for _, t := range n.Tables() {
		bound := slices.ContainsFunc(r.views, func(v *publisher) bool {
			return slices.ContainsFunc(v.tables(), func(b driver.Table) bool {
				return b.Name == t.Name && b.Database == t.Database && (t.Schema == "" || t.Schema == b.Schema)
			})
		})
		if !bound {
			errs = append(errs, fmt.Errorf("core: source %q (%s) watches table %q, which no binding reads", s.it.Name(), s.place, t))
		}
	}
	return errs
}

// StartError holds everything that was found wrong before anything was
// started.
type StartError struct {
	Problems []error
}

// Error lists the problems, one a line.
func (e *StartError) Error() string { return errors.Join(e.Problems...).Error() }

// Unwrap returns the problems.
func (e *StartError) Unwrap() []error { return e.Problems }

// Start checks everything that was registered and returns a [*StartError] with
// all problems at once, before anything runs. Then it mounts the transports,
// starts the plugins, lets the sources watch, and loads the bindings. It
// returns when every binding has loaded; a database that is away, or slower
// than Config.LoadWait, does not fail it: its bindings load when they can, see
// [Registry.Ready].
//
// The context bounds starting alone; when it ends first, everything started is
// stopped again and its error returned. Start may be called once: a second call
// returns [ErrStarted], a call after Shutdown [live.ErrClosed].
func (r *Registry) Start(ctx context.Context) error {
	r.mu.Lock()
	switch r.phase {
	case closing:
		r.mu.Unlock()
		return live.ErrClosed
	case starting, started:
		r.mu.Unlock()
		return ErrStarted
	}
	r.phase = starting
	if err := r.check(); err != nil {
		r.mu.Unlock()
		return err
	}
	for _, v := range r.views {
		r.byName[v.Name()] = v
		r.eng.attach(v)
		v.family.begin(r.eng)
	}
	views := slices.Clone(r.views)
	r.mu.Unlock()

	if err := r.start(ctx, views); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		return errors.Join(err, r.Shutdown(ctx))
	}
	return nil
}

// rollbackTimeout bounds the stopping of what a failed Start had started.
const rollbackTimeout = 5 * time.Second

func (r *Registry) start(ctx context.Context, views []*publisher) error {
	e := r.eng
	for _, p := range r.plugins {
		if o, ok := p.it.(PublishObserver); ok {
			e.observers = append(e.observers, namedObserver{p.it.Name(), o})
		}
	}
	for _, t := range r.transports {
		if err := t.it.Mount(r); err != nil {
			return fmt.Errorf("core: mounting transport %q (%s): %w", t.it.Name(), t.place, err)
		}
		r.mu.Lock()
		r.mounted = append(r.mounted, t.it)
		r.mu.Unlock()
	}
	for _, p := range r.plugins {
		if err := p.it.Start(ctx, r); err != nil {
			return fmt.Errorf("core: starting plugin %q (%s): %w", p.it.Name(), p.place, err)
		}
		r.mu.Lock()
		r.used = append(r.used, p.it)
		r.mu.Unlock()
	}
	var runs []*sourceRun
	for _, s := range r.sources {
		runs = append(runs, newSourceRun(e, s.it, s.place))
	}
	e.mu.Lock()
	e.sources = runs
	e.mu.Unlock()
	for _, run := range runs {
		go run.run(e.ctx)
	}
	r.warnUnwatched(views)
	r.warnUnguarded(views)
	if err := waitAll(ctx, r.stopping, e.cfg.WatchWait, runs, func(s *sourceRun) <-chan struct{} { return s.settled }); err != nil {
		return fmt.Errorf("core: waiting for sources to watch: %w", err)
	}
	r.mu.Lock()
	if r.phase == closing {
		r.mu.Unlock()
		return live.ErrClosed
	}
	r.phase = started
	r.mu.Unlock()
	if r.authorizer != nil && e.cfg.ReauthorizeEvery > 0 {
		e.wg.Add(1)
		go func() {
			defer e.wg.Done()
			r.reauthorize(e.ctx, e.cfg.ReauthorizeEvery)
		}()
	}
	e.load(views)
	if err := waitAll(ctx, r.stopping, e.cfg.LoadWait, views, func(v *publisher) <-chan struct{} { return v.firstTry() }); err != nil {
		return fmt.Errorf("core: waiting for bindings to load: %w", err)
	}
	return nil
}

// waitAll waits until the channels of all items are closed, for no longer than
// the bound, and returns the error of a context that ends first.
func waitAll[T any](ctx, stopping context.Context, bound time.Duration, items []T, ch func(T) <-chan struct{}) error {
	if bound < 0 {
		return nil
	}
	timer := time.NewTimer(bound)
	defer timer.Stop()
	for _, it := range items {
		select {
		case <-ch(it):
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-stopping.Done():
			return live.ErrClosed
		}
	}
	return nil
}

// firstTry returns a channel that is closed when the binding has loaded or the
// first attempt has failed. A family has nothing to load.
func (v *publisher) firstTry() <-chan struct{} {
	if v.spec.family {
		return closedChannel
	}
	if f := v.feed.Load(); f != nil {
		return f.tried
	}
	return v.Loaded()
}

var closedChannel = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// warnUnguarded tells of bindings that everybody may write to.
func (r *Registry) warnUnguarded(views []*publisher) {
	if r.authorizer != nil {
		return
	}
	for _, v := range views {
		if v.spec.writable {
			r.eng.log.Warn("core: no authorizer is set: whoever reaches a transport may write to the binding",
				slog.String("binding", v.Name()))
		}
	}
}

// warnUnwatched tells of bindings that nothing keeps current.
func (r *Registry) warnUnwatched(views []*publisher) {
	for _, v := range views {
		schema := v.Schema()
		for _, table := range v.tables() {
			if slices.ContainsFunc(r.eng.sources, func(s *sourceRun) bool { return s.covers(table) }) {
				continue
			}
			what := "core: no source watches the binding's table: it changes only by Resync"
			switch {
			case len(schema.Depends) == 0 && table != schema.Table:
				what = "core: no source watches a table whose rows the binding shows: its changes are not noticed"
			case len(schema.Depends) > 0:
				what = "core: no source watches a table that the binding depends on: its changes are not noticed"
			}
			r.eng.log.Warn(what, slog.String("binding", v.Name()), slog.String("table", table.String()))
		}
	}
}
