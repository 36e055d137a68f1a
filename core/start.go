package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/engine"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/internal/untyped"
	"github.com/binderyhq/bindery/core/live"
)

// checkBindings makes the bindings' shapes and returns everything wrong with
// them. It calls the loaders, so no lock is held. Names are compared with those of
// the others, which are registered already.
func checkBindings(views, others []*publisher) (errs []error) {
	seen := make(map[string]*publisher)
	for _, v := range others {
		seen[v.Name()] = v
	}
	for _, v := range views {
		switch other := seen[v.Name()]; {
		case other == v:
			errs = append(errs, fmt.Errorf("core: %s is added twice", v.Describe()))
			continue
		case v.family.proto != v:
			errs = append(errs, fmt.Errorf("core: binding %q is a member of a family: add the family", v.ID()))
			continue
		case other != nil:
			errs = append(errs, sameName(other, v))
		}
		seen[v.Name()] = v
		if !v.claim() {
			errs = append(errs, fmt.Errorf("core: %s has been in a registry before: declare it anew", v.Describe()))
			continue
		}
		errs = append(errs, v.checkDeclaration()...)
	}
	for _, v := range views {
		errs = append(errs, checkRelated(v, others, views)...)
	}
	return errs
}

func sameName(one, other *publisher) error {
	return fmt.Errorf("core: two bindings are named %q: one declared at %s, one at %s",
		one.Name(), one.Spec.DeclaredAt, other.Spec.DeclaredAt)
}

// claim makes the binding part of a registry. It returns false when it is part of
// one already.
func (v *publisher) claim() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.registered {
		return false
	}
	v.registered = true
	return true
}

// checkDeclaration makes the binding's shape and returns what is wrong with it.
func (v *publisher) checkDeclaration() (errs []error) {
	type result struct {
		shape    *rowset.Shape
		problems []error
	}
	res, err := untyped.Guard("the loader", func() (res result, err error) {
		res.shape, res.problems = v.Check()
		return res, nil
	})
	if err != nil {
		return []error{fmt.Errorf("core: %s: %w", v.Describe(), err)}
	}
	for _, p := range res.problems {
		errs = append(errs, fmt.Errorf("core: %s: %w", v.Describe(), p))
	}
	if res.shape != nil {
		v.Become(res.shape)
	}
	return errs
}

// check returns everything wrong with what was registered. What it reads does
// not change any more.
func (r *Registry) check() error {
	errs := slices.Clone(r.problems)
	errs = append(errs, checkBindings(r.views, nil)...)
	for _, s := range r.sources {
		problems, err := untyped.Guard("the source", func() ([]error, error) { return r.checkSource(s), nil })
		if err != nil {
			problems = []error{fmt.Errorf("core: source registered at %s: %w", s.place, err)}
		}
		errs = append(errs, problems...)
	}
	if len(errs) == 0 {
		return nil
	}
	return &StartError{Problems: errs}
}

func (r *Registry) checkSource(s placed[driver.Source]) (errs []error) {
	if v, ok := s.it.(driver.Validator); ok {
		if err := v.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("core: source %q (%s): %w", s.it.Name(), s.place, err))
		}
	}
	scoped, ok := s.it.(driver.Scoper)
	if !ok {
		return errs
	}
	for _, named := range scoped.Scope().Tables {
		one := driver.Scope{Tables: []driver.Table{named}}
		bound := slices.ContainsFunc(r.views, func(v *publisher) bool { return slices.ContainsFunc(v.Tables(), one.Covers) })
		if !bound {
			errs = append(errs, fmt.Errorf("core: source %q (%s) watches table %q, which no binding reads", s.it.Name(), s.place, named))
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
// returns when every binding has loaded. A database that is away, or slower
// than Config.LoadWait, does not fail it: its bindings load when they can, see
// [Registry.Ready]. Bindings that a plugin has restored are not waited for.
//
// The context bounds starting alone. When it ends first, or when a transport or a
// plugin fails or panics, Start stops everything that it has started and returns
// the error. Start may be called once: a second call
// returns [ErrStarted], a call after Shutdown [live.ErrClosed]. Shutdown may be called
// while Start runs, which then returns [live.ErrClosed].
func (r *Registry) Start(ctx context.Context) error {
	r.mu.Lock()
	if err := r.phase.refusal("starting again"); err != nil {
		r.mu.Unlock()
		return err
	}
	r.phase = starting
	r.mu.Unlock()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.stopping, func() { cancel(live.ErrClosed) })()
	err := r.assemble(ctx)
	close(r.startEnded)
	var wrong *StartError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		r.mu.Lock()
		if r.phase == starting {
			r.phase = refused
		}
		r.mu.Unlock()
		return err
	case r.stopping.Err() == nil:
		stopping, done := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer done()
		return errors.Join(err, r.Shutdown(stopping))
	}
	// Shutdown has come between, and stops what was recorded.
	select {
	case <-r.stopped:
	case <-time.After(rollbackTimeout):
	}
	if !errors.Is(err, live.ErrClosed) {
		err = fmt.Errorf("%w: %w", live.ErrClosed, err)
	}
	return err
}

// rollbackTimeout bounds the stopping of what a failed Start had started.
const rollbackTimeout = 5 * time.Second

// assemble checks and starts everything.
func (r *Registry) assemble(ctx context.Context) error {
	if err := r.check(); err != nil {
		return err
	}
	r.mu.Lock()
	if r.phase == closing {
		r.mu.Unlock()
		return live.ErrClosed
	}
	for _, v := range r.views {
		r.byName[v.Name()] = v
	}
	views := slices.Clone(r.views)
	r.attach(views)
	r.mu.Unlock()

	if err := r.startTransports(ctx); err != nil {
		return err
	}
	if err := r.startPlugins(ctx); err != nil {
		return err
	}
	if err := r.startSources(ctx, views); err != nil {
		return err
	}
	r.mu.Lock()
	if r.phase == closing {
		r.mu.Unlock()
		return live.ErrClosed
	}
	r.phase = started
	r.mu.Unlock()
	r.eng.Background(r.sweep)
	if r.authorizer != nil && r.cfg.ReauthorizeEvery > 0 {
		r.eng.Background(func(ctx context.Context) { r.reauthorize(ctx, r.cfg.ReauthorizeEvery) })
	}
	r.load(views)
	r.logAssembled(views)
	if err := waitAll(ctx, r.stopping, r.cfg.LoadWait, unrestored(views), func(v *publisher) <-chan struct{} { return v.firstTry() }); err != nil {
		return fmt.Errorf("core: waiting for bindings to load: %w", err)
	}
	return nil
}

// launch starts one part and records it. A part that has started while
// Shutdown began is stopped at once, since Shutdown does not know of it.
func (r *Registry) launch(ctx context.Context, phase shutdownPhase, doing string, p part, start func() error) error {
	if r.stage.isClosed() {
		return live.ErrClosed
	}
	if _, err := untyped.Guard("starting", func() (struct{}, error) { return struct{}{}, start() }); err != nil {
		return fmt.Errorf("core: %s: %w", doing, err)
	}
	if r.stage.push(phase, p) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	return errors.Join(append([]error{live.ErrClosed}, stopTogether(ctx, []part{p})...)...)
}

func (r *Registry) startTransports(ctx context.Context) error {
	for _, t := range r.transports {
		name := t.it.Name()
		err := r.launch(ctx, stopTransports, fmt.Sprintf("mounting transport %q (%s)", name, t.place),
			part{fmt.Sprintf("transport %q", name), t.it.Shutdown}, func() error { return t.it.Mount(r) })
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.mounted = append(r.mounted, t.it)
		r.mu.Unlock()
	}
	return nil
}

func (r *Registry) startPlugins(ctx context.Context) error {
	for _, p := range r.plugins {
		name := p.it.Name()
		r.observers.add(p.it)
		err := r.launch(ctx, stopPlugins, fmt.Sprintf("starting plugin %q (%s)", name, p.place),
			part{fmt.Sprintf("plugin %q", name), p.it.Shutdown}, func() error { return p.it.Start(ctx, r) })
		if err != nil {
			return err
		}
	}
	return nil
}

// startSources lets the sources watch and waits until they do.
func (r *Registry) startSources(ctx context.Context, views []*publisher) error {
	sources := make([]driver.Source, len(r.sources))
	for i, s := range r.sources {
		sources[i] = s.it
	}
	runs := r.eng.Register(sources)
	for _, run := range runs {
		if !r.stage.push(stopSources, part{fmt.Sprintf("source %q", run.Name()), waitFor(run.Ended())}) {
			return live.ErrClosed
		}
		r.eng.Launch(run)
	}
	r.warnUnwatched(views)
	r.warnUnguarded(views)
	if err := waitAll(ctx, r.stopping, r.cfg.WatchWait, awaited(runs, views), func(s *engine.Source) <-chan struct{} { return s.FirstTry() }); err != nil {
		return fmt.Errorf("core: waiting for sources to watch: %w", err)
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
	if v.Spec.Family {
		return closedChannel
	}
	if v.replica != nil {
		return v.replica.tried
	}
	if f := v.feed.Load(); f != nil {
		return f.FirstTry()
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
		if v.Spec.Rules.Writable {
			r.cfg.Logger.Warn("core: no authorizer is set: whoever reaches a transport may write to the binding", slog.String("id", "core-unguarded"),
				slog.String("binding", v.Name()))
		}
	}
}

// warnUnwatched tells of bindings that nothing keeps current.
func (r *Registry) warnUnwatched(views []*publisher) {
	for _, v := range views {
		if v.replica != nil {
			continue // its origin tells of every change
		}
		schema := v.Schema()
		for _, table := range v.Tables() {
			if slices.ContainsFunc(r.eng.Sources(), func(s *engine.Source) bool { return s.Covers(table) }) {
				continue
			}
			what := "core: no source watches the binding's table: it changes only by Resync"
			switch {
			case len(schema.Depends) == 0 && table != schema.Table:
				what = "core: no source watches a table whose rows the binding shows: its changes are not noticed"
			case len(schema.Depends) > 0:
				what = "core: no source watches a table that the binding depends on: its changes are not noticed"
			}
			r.cfg.Logger.Warn(what, slog.String("id", "core-unwatched"), slog.String("binding", v.Name()), slog.String("table", table.String()))
		}
	}
}

// checkRelated returns what is wrong with the related tables of a binding. All
// who read a table must agree on its key, because reports name rows by it.
func checkRelated(v *publisher, others, added []*publisher) (errs []error) {
	for _, rel := range v.RelatedTables() {
		if err := rel.Schema.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("core: %s: related rows: %w", v.Describe(), err))
			continue
		}
		for _, o := range slices.Concat(others, added) {
			if s := o.Schema(); s.Table == rel.Schema.Table && !slices.Equal(s.Key, rel.Schema.Key) {
				errs = append(errs, fmt.Errorf("core: %s shows rows of table %q by the key %q, but %s has them by the key %q: give the table one key",
					v.Describe(), s.Table, rel.Schema.Key, o.Describe(), s.Key))
				break
			}
		}
	}
	return errs
}
