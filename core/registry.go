package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Registry is what an application assembles at startup: bindings, sources,
// transports and plugins. It owns their life cycle.
//
// A registry is used once: filled with Add, Watch, Serve and Use, started with
// Start, ended with Shutdown. Bindings may also be added and removed while it
// runs. All methods may be called from any goroutine.
type Registry struct {
	eng *engine

	mu         sync.Mutex // guards what follows
	phase      phase
	views      []*View // in order of registration
	byName     map[string]*View
	transports []placed[Transport]
	sources    []placed[Source]
	plugins    []placed[Plugin]
	problems   []error // of nil registrations

	mounted  []Transport
	used     []Plugin
	stopped  chan struct{} // closed when Shutdown has done its work
	stopErr  error
	stopping context.Context // done when Shutdown begins
	stop     context.CancelFunc
}

type phase uint8

const (
	collecting phase = iota
	starting
	started
	closing
)

// placed remembers where something was registered.
type placed[T any] struct {
	it    T
	place string
}

// Bindable is a [Binding] of any type, or a [View].
type Bindable interface{ view() *View }

func (v *View) view() *View { return v }

func newRegistry(cfg Config) *Registry {
	r := &Registry{eng: newEngine(cfg.WithDefaults()), byName: make(map[string]*View), stopped: make(chan struct{})}
	r.stopping, r.stop = context.WithCancel(context.Background())
	if err := cfg.Validate(); err != nil {
		r.problems = append(r.problems, err)
	}
	return r
}

// Add registers bindings. Before Start it always returns nil: what is wrong is
// reported by Start, all at once. While the registry runs a binding that is
// sound is served at once and loads in the background; see [View.Loaded]. After
// Shutdown it returns [ErrClosed].
func (r *Registry) Add(bindings ...Bindable) error {
	r.mu.Lock()
	switch r.phase {
	case closing:
		r.mu.Unlock()
		return ErrClosed
	case starting:
		r.mu.Unlock()
		return fmt.Errorf("core: adding a binding while Start runs: %w", ErrStarted)
	case collecting:
		defer r.mu.Unlock()
		for _, b := range bindings {
			if b == nil || b.view() == nil {
				r.problems = append(r.problems, fmt.Errorf("core: nil binding added at %s", callerOutside()))
				continue
			}
			r.views = append(r.views, b.view())
		}
		return nil
	}
	var views []*View
	var errs []error
	for _, b := range bindings {
		if b == nil || b.view() == nil {
			errs = append(errs, errors.New("core: nil binding"))
			continue
		}
		views = append(views, b.view())
	}
	errs = append(errs, r.checkBindings(views)...)
	if err := errors.Join(errs...); err != nil {
		r.mu.Unlock()
		return err
	}
	for _, v := range views {
		r.views = append(r.views, v)
		r.byName[v.name] = v
		r.eng.attach(v)
	}
	r.mu.Unlock()
	r.eng.load(views)
	return nil
}

// Remove ends the binding: its subscribers are told, and requests for it find
// nothing. It returns an error that lists the known bindings when there is none
// of that name, and the context's error when a read under way does not end in
// time (the binding is gone all the same).
func (r *Registry) Remove(ctx context.Context, name string) error {
	r.mu.Lock()
	switch r.phase {
	case collecting, starting:
		r.mu.Unlock()
		return ErrNotStarted
	case closing:
		r.mu.Unlock()
		return ErrClosed
	}
	v := r.byName[name]
	if v == nil {
		err := fmt.Errorf("core: no binding %q (there are: %s)", name, r.namesLocked())
		r.mu.Unlock()
		return err
	}
	delete(r.byName, name)
	r.views = slices.DeleteFunc(slices.Clone(r.views), func(o *View) bool { return o == v })
	r.mu.Unlock()
	v.end(fmt.Errorf("core: binding %q: %w", name, ErrRemoved))
	return r.eng.detach(ctx, v)
}

// Watch registers sources of change. It returns nil before Start, and
// [ErrStarted] or [ErrClosed] afterwards.
func (r *Registry) Watch(sources ...Source) error {
	return register(r, &r.sources, "source", sources)
}

// Serve registers transports. It returns nil before Start, and [ErrStarted] or
// [ErrClosed] afterwards.
func (r *Registry) Serve(transports ...Transport) error {
	return register(r, &r.transports, "transport", transports)
}

// Use registers plugins. It returns nil before Start, and [ErrStarted] or
// [ErrClosed] afterwards.
func (r *Registry) Use(plugins ...Plugin) error {
	return register(r, &r.plugins, "plugin", plugins)
}

func register[T any](r *Registry, list *[]placed[T], what string, items []T) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch r.phase {
	case closing:
		return ErrClosed
	case starting, started:
		return fmt.Errorf("core: registering a %s: %w", what, ErrStarted)
	}
	place := callerOutside()
	for _, it := range items {
		if any(it) == nil {
			r.problems = append(r.problems, fmt.Errorf("core: nil %s registered at %s", what, place))
			continue
		}
		*list = append(*list, placed[T]{it, place})
	}
	return nil
}

// checkBindings makes the bindings' shapes and returns everything wrong with
// them. The caller holds r.mu.
func (r *Registry) checkBindings(views []*View) (errs []error) {
	seen := make(map[string]*View)
	for _, v := range views {
		other := seen[v.name]
		if other == nil {
			other = r.byName[v.name]
		}
		switch {
		case other == v:
			errs = append(errs, fmt.Errorf("core: %s is added twice", v.describe()))
			continue
		case other != nil:
			errs = append(errs, fmt.Errorf("core: two bindings are named %q: one declared at %s, one at %s",
				v.name, other.spec.placeOfBind, v.spec.placeOfBind))
		}
		seen[v.name] = v
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
			v.shape.Store(sh)
		}
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

func (r *Registry) checkSource(s placed[Source]) (errs []error) {
	if v, ok := s.it.(Validating); ok {
		if err := v.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("core: source %q (%s): %w", s.it.Name(), s.place, err))
		}
	}
	n, ok := s.it.(Naming)
	if !ok {
		return errs
	}
	for _, t := range n.Tables() {
		bound := slices.ContainsFunc(r.views, func(v *View) bool {
			b := v.Schema().Table
			return b.Name == t.Name && b.Database == t.Database && (t.Schema == "" || t.Schema == b.Schema)
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
// returns [ErrStarted], a call after Shutdown [ErrClosed].
func (r *Registry) Start(ctx context.Context) error {
	r.mu.Lock()
	switch r.phase {
	case closing:
		r.mu.Unlock()
		return ErrClosed
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
		r.byName[v.name] = v
		r.eng.attach(v)
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

func (r *Registry) start(ctx context.Context, views []*View) error {
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
	if err := waitAll(ctx, r.stopping, e.cfg.WatchWait, runs, func(s *sourceRun) <-chan struct{} { return s.settled }); err != nil {
		return fmt.Errorf("core: waiting for sources to watch: %w", err)
	}
	r.mu.Lock()
	if r.phase == closing {
		r.mu.Unlock()
		return ErrClosed
	}
	r.phase = started
	r.mu.Unlock()
	e.load(views)
	if err := waitAll(ctx, r.stopping, e.cfg.LoadWait, views, func(v *View) <-chan struct{} { return v.firstTry() }); err != nil {
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
			return ErrClosed
		}
	}
	return nil
}

// firstTry returns a channel that is closed when the binding has loaded or the
// first attempt has failed.
func (v *View) firstTry() <-chan struct{} {
	if f := v.feed.Load(); f != nil {
		return f.tried
	}
	return v.loaded
}

// warnUnwatched tells of bindings that nothing keeps current.
func (r *Registry) warnUnwatched(views []*View) {
	for _, v := range views {
		table := v.Schema().Table
		if !slices.ContainsFunc(r.eng.sources, func(s *sourceRun) bool { return s.covers(table) }) {
			r.eng.log.Warn("core: no source watches the binding's table: it changes only by Resync",
				slog.String("binding", v.name), slog.String("table", table.String()))
		}
	}
}

// Lookup returns the binding of that name.
func (r *Registry) Lookup(name string) (*View, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.byName[name]
	return v, ok
}

// Bindings returns all bindings, in order of registration.
func (r *Registry) Bindings() []*View {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.views)
}

// Sources returns what is known about the sources, in order of registration.
func (r *Registry) Sources() []SourceStatus {
	r.eng.mu.Lock()
	runs := r.eng.sources
	r.eng.mu.Unlock()
	out := make([]SourceStatus, len(runs))
	for i, s := range runs {
		out[i] = s.status()
	}
	return out
}

// Feeds returns the counters of the feeds, one for each table.
func (r *Registry) Feeds() []FeedStats {
	var out []FeedStats
	for _, f := range r.eng.running() {
		out = append(out, f.snapshotStats())
	}
	return out
}

// Monitors returns the URLs of the binding's event streams, one for each
// transport that streams.
func (r *Registry) Monitors(binding string) []string {
	r.mu.Lock()
	transports := r.mounted
	r.mu.Unlock()
	var urls []string
	for _, t := range transports {
		if m, ok := t.(Monitoring); ok {
			urls = append(urls, m.MonitorURL(binding))
		}
	}
	return urls
}

// Logger returns the registry's logger.
func (r *Registry) Logger() *slog.Logger { return r.eng.log }

// Now returns the time by the registry's clock.
func (r *Registry) Now() time.Time { return r.eng.now() }

// Stopping returns a context that is done as soon as Shutdown begins.
func (r *Registry) Stopping() context.Context { return r.stopping }

// Readiness says whether a registry can serve.
type Readiness struct {
	// Ready is true once every binding has loaded. It does not become false
	// again when a database goes away: rows are then served from memory.
	Ready bool
	// Loading and Stale name the bindings that have not loaded yet, and those
	// whose rows may be out of date.
	Loading, Stale []string
}

// Ready says whether every binding has loaded, and which are stale. It is false
// before Start and after Shutdown.
func (r *Registry) Ready() Readiness {
	r.mu.Lock()
	running := r.phase == started
	views := r.views
	r.mu.Unlock()
	st := Readiness{Ready: running}
	for _, v := range views {
		switch v.Status().State {
		case Loading:
			st.Ready = false
			st.Loading = append(st.Loading, v.name)
		case Stale:
			st.Stale = append(st.Stale, v.name)
		}
	}
	return st
}

// Flush waits until all that has been reported so far shows in every binding.
// It returns the context's error when that ends first, [ErrNotStarted] or
// [ErrClosed].
func (r *Registry) Flush(ctx context.Context) error {
	r.mu.Lock()
	p := r.phase
	r.mu.Unlock()
	switch p {
	case collecting, starting:
		return ErrNotStarted
	case closing:
		return ErrClosed
	}
	var marks receipt
	for _, f := range r.eng.running() {
		marks = append(marks, f.barrier())
	}
	return marks.Wait(ctx)
}

// Resync reads all rows of all bindings again, see [View.Resync].
func (r *Registry) Resync(ctx context.Context) error { return r.reloadAll(ctx, false) }

// Clear forgets and reads again all rows of all bindings, see [View.Clear].
func (r *Registry) Clear(ctx context.Context) error { return r.reloadAll(ctx, true) }

func (r *Registry) reloadAll(ctx context.Context, forget bool) error {
	var marks receipt
	for _, v := range r.Bindings() {
		f := v.feed.Load()
		if f == nil {
			return ErrNotStarted
		}
		marks = append(marks, f.reload(v, reload{forget: forget})...)
	}
	return marks.Wait(ctx)
}

// Touch moves the time of change of all bindings to now, see [View.Touch].
func (r *Registry) Touch() error {
	var errs []error
	for _, v := range r.Bindings() {
		errs = append(errs, v.Touch())
	}
	return errors.Join(errs...)
}

func (r *Registry) namesLocked() string {
	names := make([]byte, 0, 64)
	for i, v := range r.views {
		if i > 0 {
			names = append(names, ", "...)
		}
		names = append(names, v.name...)
	}
	if len(names) == 0 {
		return "none"
	}
	return string(names)
}

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
		v.end(ErrClosed)
	}
	r.eng.cancel(ErrClosed)
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
		if err := await(ctx, waitGroupDone(&v.watchers)); err != nil {
			errs = append(errs, fmt.Errorf("core: an OnChange function of binding %q has not returned: %w", v.name, err))
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
