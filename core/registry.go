package core

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/assembly"
	"github.com/binderyhq/bindery/core/internal/lifecycle"
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
	bindings catalog
	rights   authorization
	marks    *marking
	resolves chan struct{} // bounds the queries of Grant.Resolve to maxResolves

	stage      lifecycle.Stage // what has started
	startEnded chan struct{}   // closed when Start has started everything or given up
	stopping   context.Context // done when Shutdown begins
	stop       context.CancelFunc
	stopped    chan struct{} // closed when Shutdown has done its work
	stopErr    error         // set before stopped is closed

	mu       sync.Mutex // guards what follows
	phase    phase
	parts    parts
	mounted  []Transport // those mounted so far
	draining bool        // Drain was called
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

// Bindable is a [*Binding] or a [*Family] of any type.
type Bindable interface{ untyped() *binding }

func newRegistry(cfg Config) *Registry {
	r := &Registry{
		shared: newShared(cfg.WithDefaults()), resolves: make(chan struct{}, maxResolves),
		startEnded: make(chan struct{}), stopped: make(chan struct{}),
	}
	r.stopping, r.stop = context.WithCancel(context.Background())
	r.rights = authorization{timeout: r.cfg.AuthorizeTimeout, stopping: r.stopping}
	r.marks = newMarking(r.eng, r.stopping, r.cfg.Logger)
	if err := cfg.Validate(); err != nil {
		r.parts.problem(err)
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
	phase := r.phase
	if phase != collecting {
		r.mu.Unlock()
		if phase == started {
			return r.addRunning(bindings)
		}
		return phase.refusal("adding a binding")
	}
	defer r.mu.Unlock()
	for _, b := range bindings {
		if v := untypedOf(b); v != nil {
			r.bindings.declare(v)
			continue
		}
		r.parts.problem(fmt.Errorf("core: nil binding added at %s", at))
	}
	return nil
}

// addRunning checks bindings, calling their loaders, and adds them if there is no problem.
func (r *Registry) addRunning(bindings []Bindable) error {
	var added []*binding
	var errs []error
	for _, b := range bindings {
		if v := untypedOf(b); v != nil {
			added = append(added, v)
			continue
		}
		errs = append(errs, errors.New("core: nil binding"))
	}
	errs = append(errs, assembly.CheckBindings(members(added), members(r.bindings.declared()))...)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := r.bindings.add(added, r.attach); err != nil {
		return err
	}
	r.load(added)
	return nil
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
	if err := r.running(); err != nil {
		return err
	}
	v, err := r.bindings.remove(name)
	if err != nil {
		return err
	}
	v.family.end(fmt.Errorf("core: binding %q: %w", name, live.ErrRemoved))
	return v.rows.Left(ctx)
}

// running returns why the registry is not running, nil when it is.
func (r *Registry) running() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.phase.running()
}

// Watch registers sources. It returns nil before Start, and an error that wraps
// [ErrStarted] or [live.ErrClosed] afterwards.
func (r *Registry) Watch(sources ...driver.Source) error {
	return register(r, &r.parts.sources, "source", sources)
}

// Serve registers transports. It returns nil before Start, and an error that wraps
// [ErrStarted] or [live.ErrClosed] afterwards.
func (r *Registry) Serve(transports ...Transport) error {
	return register(r, &r.parts.transports, "transport", transports)
}

// Use registers plugins. It returns nil before Start, and an error that wraps [ErrStarted]
// or [live.ErrClosed] afterwards.
func (r *Registry) Use(plugins ...Plugin) error {
	return register(r, &r.parts.plugins, "plugin", plugins)
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
			r.parts.problem(fmt.Errorf("core: nil %s registered at %s", what, at))
			continue
		}
		*list = append(*list, registered[T]{it, at})
	}
	return nil
}

// Authorize sets the authorizer; without one everything is allowed. Call it once, before
// Start, which reports a nil or second authorizer. Later calls return an error that wraps
// [ErrStarted], or [live.ErrClosed].
func (r *Registry) Authorize(a Authorizer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.phase.refusal("setting an authorizer"); err != nil {
		return err
	}
	switch at := assembly.CallSite(); {
	case a == nil:
		r.parts.problem(fmt.Errorf("core: nil authorizer set at %s", at))
	case r.rights.authorizer != nil:
		r.parts.problem(fmt.Errorf("core: a second authorizer set at %s", at))
	default:
		r.rights.authorizer = a
	}
	return nil
}
