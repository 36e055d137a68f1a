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
	views      []*publisher // in order of registration
	byName     map[string]*publisher
	transports []placed[Transport]
	sources    []placed[driver.Source]
	plugins    []placed[Plugin]
	problems   []error    // of nil registrations
	authorizer Authorizer // fixed at Start; nil: everything is allowed

	watched  watches // subscriptions that the authorizer has allowed
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

// Bindable is a [Binding] or a [Family] of any type.
type Bindable interface{ view() *publisher }

func (v *View) view() *publisher { return v.owner }

func newRegistry(cfg Config) *Registry {
	r := &Registry{eng: newEngine(cfg.WithDefaults()), byName: make(map[string]*publisher), stopped: make(chan struct{})}
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
	var views []*publisher
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
		v.family.begin(r.eng)
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
	r.views = slices.DeleteFunc(slices.Clone(r.views), func(o *publisher) bool { return o == v })
	r.mu.Unlock()
	v.family.end(fmt.Errorf("core: binding %q: %w", name, ErrRemoved))
	return r.eng.detach(ctx, v)
}

// Watch registers sources of change. It returns nil before Start, and
// [ErrStarted] or [ErrClosed] afterwards.
func (r *Registry) Watch(sources ...driver.Source) error {
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

// Lookup returns the binding of that name; that of a family finds nothing. No
// authorizer is asked: this is for plugins and for the program itself, and
// transports come through [Registry.Open].
func (r *Registry) Lookup(name string) (*View, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.byName[name]
	if !ok || v.spec.family {
		return nil, false
	}
	return v.View, true
}

// Bindings returns all bindings, in order of registration: in the place of a
// family its members that are alive, and after a binding the members that an
// authorizer's scopes have made of it.
func (r *Registry) Bindings() []*View {
	r.mu.Lock()
	declared := slices.Clone(r.views)
	r.mu.Unlock()
	views := make([]*publisher, 0, len(declared))
	for _, v := range declared {
		if !v.spec.family {
			views = append(views, v)
		}
		views = append(views, v.family.alive()...)
	}
	out := make([]*View, len(views))
	for i, v := range views {
		out[i] = v.View
	}
	return out
}

// Families returns what is known about the families, and about the members that
// an authorizer's scopes have made of bindings, in order of registration.
func (r *Registry) Families() []FamilyStatus {
	r.mu.Lock()
	declared := slices.Clone(r.views)
	r.mu.Unlock()
	var out []FamilyStatus
	for _, v := range declared {
		if st := v.family.status(); v.spec.family || st.Opened > 0 {
			out = append(out, st)
		}
	}
	return out
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
func (r *Registry) Monitors(v *View) []string {
	r.mu.Lock()
	transports := r.mounted
	r.mu.Unlock()
	var urls []string
	for _, t := range transports {
		if m, ok := t.(Monitoring); ok {
			url := m.MonitorURL(v.name)
			if url != "" && len(v.params) > 0 {
				url += "?" + v.params.String()
			}
			urls = append(urls, url)
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
	return marks.flush(ctx)
}

// Resync reads all rows of all bindings again, see [View.Resync].
func (r *Registry) Resync(ctx context.Context) error { return r.reloadAll(ctx, false) }

// Clear forgets and reads again all rows of all bindings, see [View.Clear].
func (r *Registry) Clear(ctx context.Context) error { return r.reloadAll(ctx, true) }

func (r *Registry) reloadAll(ctx context.Context, forget bool) error {
	var marks receipt
	for _, v := range r.Bindings() {
		f := v.owner.feed.Load()
		if f == nil {
			return ErrNotStarted
		}
		marks = append(marks, f.reload(v.owner, reload{forget: forget})...)
	}
	return marks.flush(ctx)
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
