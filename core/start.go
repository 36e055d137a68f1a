package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/assembly"
	"github.com/binderyhq/bindery/core/internal/engine"
	"github.com/binderyhq/bindery/core/internal/lifecycle"
	"github.com/binderyhq/bindery/core/live"
)

// StartError holds all problems that Start found before it started anything.
type StartError struct {
	Problems []error
}

// Error lists the problems, one per line.
func (e *StartError) Error() string { return errors.Join(e.Problems...).Error() }

// Unwrap returns the problems.
func (e *StartError) Unwrap() []error { return e.Problems }

// Start checks everything that was registered and returns a [*StartError] with all problems
// at once, before anything runs. Then it mounts the transports, starts the plugins, lets
// the sources watch, and loads the bindings. It returns when every binding has loaded or
// failed its first attempt, but after [Config].LoadWait at the latest. So a database that
// is away or slow does not make it fail: those bindings load when they can, see
// [Registry.Ready]. Start does not wait for bindings that a plugin has restored.
//
// The context is for starting only. When it ends first, or when a transport or a plugin
// fails or panics, Start stops everything that it has started and returns the error. A
// second call returns an error that wraps [ErrStarted], a call after Shutdown
// [live.ErrClosed]. If Shutdown is called while Start runs, Start returns [live.ErrClosed].
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
		stopping, done := context.WithTimeout(context.WithoutCancel(ctx), lifecycle.RollbackTimeout)
		defer done()
		return errors.Join(err, r.Shutdown(stopping))
	}
	// Shutdown was called meanwhile, and stops what was recorded.
	select {
	case <-r.stopped:
	case <-time.After(lifecycle.RollbackTimeout):
	}
	if !errors.Is(err, live.ErrClosed) {
		err = fmt.Errorf("%w: %w", live.ErrClosed, err)
	}
	return err
}

// assemble checks and starts everything.
func (r *Registry) assemble(ctx context.Context) error {
	if err := r.parts.check(r.bindings.declared()); err != nil {
		return err
	}
	if err := r.bindings.open(r.attach); err != nil {
		return err
	}
	if err := r.startTransports(ctx); err != nil {
		return err
	}
	if err := r.startPlugins(ctx); err != nil {
		return err
	}
	declared := r.bindings.declared()
	if err := r.startSources(ctx, declared); err != nil {
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
	if r.rights.required() && r.cfg.ReauthorizeEvery > 0 {
		r.eng.Background(func(ctx context.Context) { r.rights.recheckEvery(ctx, r.cfg.ReauthorizeEvery, r.cfg.Logger) })
	}
	r.load(declared)
	report := r.parts.report(declared, r.eng.Sources())
	report.Authorizer = r.rights.required()
	report.Log(r.cfg.Logger)
	if err := waitAll(ctx, r.stopping, r.cfg.LoadWait, unrestored(declared), func(v *binding) <-chan struct{} { return v.firstTry() }); err != nil {
		return fmt.Errorf("core: waiting for bindings to load: %w", err)
	}
	return nil
}

func (r *Registry) startTransports(ctx context.Context) error {
	for _, t := range r.parts.transports {
		name := t.it.Name()
		err := r.stage.Launch(ctx, lifecycle.Transports, fmt.Sprintf("mounting transport %q (%s)", name, t.at),
			lifecycle.Part{Name: fmt.Sprintf("transport %q", name), Stop: t.it.Shutdown}, func() error { return t.it.Mount(r) })
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
	for _, p := range r.parts.plugins {
		name := p.it.Name()
		r.observers.add(p.it)
		err := r.stage.Launch(ctx, lifecycle.Plugins, fmt.Sprintf("starting plugin %q (%s)", name, p.at),
			lifecycle.Part{Name: fmt.Sprintf("plugin %q", name), Stop: p.it.Shutdown}, func() error { return p.it.Start(ctx, r) })
		if err != nil {
			return err
		}
	}
	return nil
}

// startSources lets the sources watch and waits until they do.
func (r *Registry) startSources(ctx context.Context, views []*binding) error {
	sources := make([]driver.Source, len(r.parts.sources))
	for i, s := range r.parts.sources {
		sources[i] = s.it
	}
	runs := r.eng.Register(sources)
	for _, run := range runs {
		if !r.stage.Push(lifecycle.Sources, lifecycle.Part{Name: fmt.Sprintf("source %q", run.Name()), Stop: lifecycle.WaitFor(run.Ended())}) {
			return live.ErrClosed
		}
		r.eng.Launch(run)
	}
	r.parts.report(views, runs).Warn(r.cfg.Logger)
	if err := waitAll(ctx, r.stopping, r.cfg.WatchWait, awaited(runs, views), func(s *engine.Source) <-chan struct{} { return s.FirstTry() }); err != nil {
		return fmt.Errorf("core: waiting for sources to watch: %w", err)
	}
	return nil
}

// waitAll waits until the channels of all items are closed, but no longer than the bound.
// It returns the error of a context that ends first.
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

// unrestored returns all bindings if none was restored. Otherwise it returns those without
// rows, except families, which load on demand.
func unrestored(views []*binding) []*binding {
	var without []*binding
	restored := false
	for _, v := range views {
		switch {
		case v.Spec.Family:
		case v.Snapshot() != nil:
			restored = true
		default:
			without = append(without, v)
		}
	}
	if !restored {
		return views
	}
	return without
}

// awaited returns the sources that Start waits for: those of bindings that have no rows to
// serve yet.
func awaited(runs []*engine.Source, views []*binding) []*engine.Source {
	without := unrestored(views)
	if len(without) == len(views) {
		return runs
	}
	return slices.DeleteFunc(slices.Clone(runs), func(run *engine.Source) bool {
		return !slices.ContainsFunc(without, func(v *binding) bool { return slices.ContainsFunc(v.rows.Watched(), run.Covers) })
	})
}

// registered is a registered part and where it was registered.
type registered[T any] struct {
	it T
	at string // file and line
}

// parts are what was registered beside bindings. They no longer change once Start has
// begun.
type parts struct {
	transports []registered[Transport]
	sources    []registered[driver.Source]
	plugins    []registered[Plugin]
	problems   []error // found at registration, for Start to report
}

// problem records a problem for Start to report.
func (p *parts) problem(err error) { p.problems = append(p.problems, err) }

// check returns all problems of the parts and the bindings.
func (p *parts) check(bindings []*binding) error {
	declared := members(bindings)
	errs := append(slices.Clone(p.problems), assembly.CheckBindings(declared, nil)...)
	for _, s := range p.sources {
		errs = append(errs, assembly.CheckSource(s.it, s.at, declared)...)
	}
	for _, t := range p.transports {
		errs = append(errs, assembly.CheckPart("transport", t.it, t.at)...)
	}
	for _, one := range p.plugins {
		errs = append(errs, assembly.CheckPart("plugin", one.it, one.at)...)
	}
	if len(errs) == 0 {
		return nil
	}
	return &StartError{Problems: errs}
}

// report describes the parts, the bindings, and what each source sees of them.
func (p *parts) report(bindings []*binding, sources []*engine.Source) *assembly.Report {
	out := &assembly.Report{}
	for _, v := range bindings {
		out.Bindings = append(out.Bindings, assembly.Binding{Member: v.Member, Watched: v.rows.Watched()})
	}
	for _, s := range sources {
		out.Sources = append(out.Sources, s)
	}
	for _, t := range p.transports {
		out.Transports = append(out.Transports, t.it.Name())
	}
	for _, one := range p.plugins {
		out.Plugins = append(out.Plugins, one.it.Name())
	}
	return out
}
