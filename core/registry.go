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
	"github.com/binderyhq/bindery/core/internal/assembly"
	"github.com/binderyhq/bindery/core/internal/authorizing"
	"github.com/binderyhq/bindery/core/internal/lifecycle"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
)

// Registry is what an application assembles at startup: bindings, sources, transports and
// plugins. It owns their life cycle.
//
// Use a registry once: fill it with Add, Watch, Serve and Use, start it with Start, end it
// with Shutdown. Bindings may also be added and removed while it runs. All methods may be
// called from any goroutine.
type Registry struct {
	*shared

	mu         sync.Mutex // guards what follows
	phase      phase
	views      []*binding // in order of registration
	byName     map[string]*binding
	transports []registered[Transport]
	sources    []registered[driver.Source]
	plugins    []registered[Plugin]
	problems   []error    // found at registration, for Start to report
	authorizer Authorizer // fixed at Start; nil: everything is allowed

	mounted  []Transport // those mounted so far
	draining bool        // Drain was called
	removed  []*family   // removed bindings whose OnChange functions may still run

	stage       lifecycle.Stage // what has started
	marks       *markState
	subscribers authorizing.Subscribers[Access] // subscriptions that the authorizer allowed
	questions   authorizing.Questions           // open questions to the authorizer
	resolves    chan struct{}                   // bounds the queries of Grant.Resolve to maxResolves
	startEnded  chan struct{}                   // closed when Start has started everything or given up
	stopped     chan struct{}                   // closed when Shutdown has done its work
	stopErr     error
	stopping    context.Context // done when Shutdown begins
	stop        context.CancelFunc
}

type phase uint8

const (
	collecting phase = iota
	starting
	refused // Start has found problems, and nothing was started
	started
	closing
)

// refusal returns why something allowed only before Start cannot be done, nil when it can.
// doing describes it.
func (p phase) refusal(doing string) error {
	switch p {
	case collecting:
		return nil
	case closing:
		return live.ErrClosed
	case refused:
		return fmt.Errorf("core: %s after Start has returned problems: make a new registry: %w", doing, ErrStarted)
	case starting:
		return fmt.Errorf("core: %s while Start runs: %w", doing, ErrStarted)
	default:
		return fmt.Errorf("core: %s: %w", doing, ErrStarted)
	}
}

// running returns why the registry is not running, nil when it is.
func (p phase) running() error {
	switch p {
	case started:
		return nil
	case closing:
		return live.ErrClosed
	default:
		return ErrNotStarted
	}
}

// registered is a registered part and where it was registered.
type registered[T any] struct {
	it T
	at string // file and line
}

// Bindable is a [*Binding] or a [*Family] of any type.
type Bindable interface{ untyped() *binding }

func newRegistry(cfg Config) *Registry {
	r := &Registry{shared: newShared(cfg.WithDefaults()), byName: make(map[string]*binding), startEnded: make(chan struct{}), stopped: make(chan struct{}), marks: newMarks(), resolves: make(chan struct{}, maxResolves)}
	r.stopping, r.stop = context.WithCancel(context.Background())
	if err := cfg.Validate(); err != nil {
		r.problems = append(r.problems, err)
	}
	return r
}

// Add registers bindings. Before Start it returns nil, and Start reports every problem at
// once. While the registry runs, Add checks the bindings and returns every problem; if
// there is none they are served at once and load in the background, see [live.View.Loaded].
// The error wraps [ErrStarted] while Start runs and after Start has returned problems, and
// [live.ErrClosed] after Shutdown.
func (r *Registry) Add(bindings ...Bindable) error {
	at := assembly.CallSite()
	r.mu.Lock()
	if r.phase == collecting {
		defer r.mu.Unlock()
		for _, b := range bindings {
			if v := untypedOf(b); v != nil {
				r.views = append(r.views, v)
				continue
			}
			r.problems = append(r.problems, fmt.Errorf("core: nil binding added at %s", at))
		}
		return nil
	}
	if r.phase != started {
		defer r.mu.Unlock()
		return r.phase.refusal("adding a binding")
	}
	others := slices.Clone(r.views)
	r.mu.Unlock()
	return r.addRunning(bindings, others)
}

// addRunning checks bindings, calling their loaders, and adds them if there is no problem.
func (r *Registry) addRunning(bindings []Bindable, others []*binding) error {
	var views []*binding
	var errs []error
	for _, b := range bindings {
		if v := untypedOf(b); v != nil {
			views = append(views, v)
			continue
		}
		errs = append(errs, errors.New("core: nil binding"))
	}
	errs = append(errs, assembly.CheckBindings(members(views), members(others))...)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	r.mu.Lock()
	if r.phase == closing {
		r.mu.Unlock()
		return live.ErrClosed
	}
	for _, v := range views { // a concurrent Add may have come first
		if other := r.byName[v.Name()]; other != nil {
			errs = append(errs, assembly.SameName(other.Member, v.Member))
		}
	}
	if err := errors.Join(errs...); err != nil {
		r.mu.Unlock()
		return err
	}
	for _, v := range views {
		r.views = append(r.views, v)
		r.byName[v.Name()] = v
	}
	r.attach(views)
	r.mu.Unlock()
	r.load(views)
	return nil
}

// members returns the rowset members of the bindings.
func members(views []*binding) []*rowset.Member {
	out := make([]*rowset.Member, len(views))
	for i, v := range views {
		out[i] = v.Member
	}
	return out
}

// untypedOf returns the binding without its type, nil for a nil binding of any type.
func untypedOf(b Bindable) *binding {
	if b == nil {
		return nil
	}
	return b.untyped()
}

// Remove ends the binding. Its subscribers are told, and requests no longer find it. When
// no binding has that name, the error wraps [ErrUnknownBinding] and lists the names. Remove
// returns the context's error when a read under way does not end in time; the binding is
// removed all the same.
func (r *Registry) Remove(ctx context.Context, name string) error {
	r.mu.Lock()
	if err := r.phase.running(); err != nil {
		r.mu.Unlock()
		return err
	}
	v := r.byName[name]
	if v == nil {
		err := fmt.Errorf("core: binding %q: %w (there are: %s)", name, ErrUnknownBinding, r.namesLocked())
		r.mu.Unlock()
		return err
	}
	delete(r.byName, name)
	r.views = slices.DeleteFunc(slices.Clone(r.views), func(o *binding) bool { return o == v })
	r.removed = append(slices.DeleteFunc(r.removed, func(f *family) bool { return !f.watchers.Running() }), v.family)
	r.mu.Unlock()
	v.family.end(fmt.Errorf("core: binding %q: %w", name, live.ErrRemoved))
	return v.rows.Left(ctx)
}

// Watch registers sources. It returns nil before Start, and an error that wraps
// [ErrStarted] or [live.ErrClosed] afterwards.
func (r *Registry) Watch(sources ...driver.Source) error {
	return register(r, &r.sources, "source", sources)
}

// Serve registers transports. It returns nil before Start, and an error that wraps
// [ErrStarted] or [live.ErrClosed] afterwards.
func (r *Registry) Serve(transports ...Transport) error {
	return register(r, &r.transports, "transport", transports)
}

// Use registers plugins. It returns nil before Start, and an error that wraps [ErrStarted]
// or [live.ErrClosed] afterwards.
func (r *Registry) Use(plugins ...Plugin) error {
	return register(r, &r.plugins, "plugin", plugins)
}

func register[T any](r *Registry, list *[]registered[T], what string, items []T) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.phase.refusal("registering a " + what); err != nil {
		return err
	}
	at := assembly.CallSite()
	for _, it := range items {
		if any(it) == nil {
			r.problems = append(r.problems, fmt.Errorf("core: nil %s registered at %s", what, at))
			continue
		}
		*list = append(*list, registered[T]{it, at})
	}
	return nil
}

// Lookup returns the binding with that name. It does not find families; use [Family.Open].
// It does not ask the authorizer: it is for plugins and for the program itself, while
// transports use [Registry.Open].
func (r *Registry) Lookup(name string) (*live.View, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.byName[name]
	if !ok || v.Spec.Family {
		return nil, false
	}
	return v.View, true
}

// Views returns all bindings, in order of registration. In place of a family it returns the
// members that exist. Members created for an authorizer's scopes follow their binding.
func (r *Registry) Views() []*live.View {
	bindings := r.bindings()
	views := make([]*live.View, len(bindings))
	for i, v := range bindings {
		views[i] = v.View
	}
	return views
}

func (r *Registry) bindings() []*binding {
	r.mu.Lock()
	declared := slices.Clone(r.views)
	r.mu.Unlock()
	all := make([]*binding, 0, len(declared))
	for _, v := range declared {
		if !v.Spec.Family {
			all = append(all, v)
		}
		all = append(all, v.family.alive()...)
	}
	return all
}

// Monitors returns the URLs of the binding's event streams, one for each transport that
// streams it.
func (r *Registry) Monitors(v *live.View) []string {
	r.mu.Lock()
	transports := r.mounted
	r.mu.Unlock()
	var urls []string
	for _, t := range transports {
		if m, ok := t.(MonitorLinker); ok {
			url := m.MonitorURL(v.Name())
			if url == "" {
				continue
			}
			if len(v.Params()) > 0 {
				url += "?" + v.Params().String()
			}
			urls = append(urls, url)
		}
	}
	return urls
}

// Logger returns the registry's logger.
func (r *Registry) Logger() *slog.Logger { return r.cfg.Logger }

// Now returns the time by the registry's clock.
func (r *Registry) Now() time.Time { return r.cfg.Now() }

// Changed returns a channel that is closed as soon as a binding, or a member of a family or
// scope, is added or removed. To miss nothing, call Changed first and then look at the
// bindings.
func (r *Registry) Changed() <-chan struct{} { return r.came.Next() }

// Stopping returns a context that is done as soon as Shutdown begins.
func (r *Registry) Stopping() context.Context { return r.stopping }

// chosen returns the bindings of the views, or all when the list is empty. The error
// wraps [ErrUnknownBinding] when a view is not in the registry.
func (r *Registry) chosen(views []*live.View) ([]*binding, error) {
	if len(views) == 0 {
		return r.bindings(), nil
	}
	found := make([]*binding, len(views))
	for i, v := range views {
		if found[i] = r.bindingOf(v); found[i] == nil {
			return nil, fmt.Errorf("core: binding %q: %w", v.ID(), ErrUnknownBinding)
		}
	}
	return found, nil
}

func (r *Registry) bindingOf(v *live.View) *binding {
	r.mu.Lock()
	declared := r.byName[v.Name()]
	r.mu.Unlock()
	switch {
	case declared == nil:
		return nil
	case declared.View == v && !declared.Spec.Family:
		return declared
	}
	for _, m := range declared.family.alive() {
		if m.View == v {
			return m
		}
	}
	return nil
}

func (r *Registry) namesLocked() string {
	names := make([]byte, 0, 64)
	for i, v := range r.views {
		if i > 0 {
			names = append(names, ", "...)
		}
		names = append(names, v.Name()...)
	}
	if len(names) == 0 {
		return "none"
	}
	return string(names)
}

// Delivered tells plugins that an event was written to a client, see [DeliveryObserver].
// Transports call it, without holding a lock, for events whose [live.Event.Context] is not
// nil.
func (r *Registry) Delivered(transport string, v *live.View, e *live.Event, began time.Time) {
	r.observers.onDelivered(Delivery{Transport: transport, View: v, Event: e, Began: began})
}
