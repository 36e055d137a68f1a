package core

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/arguments"
	"github.com/binderyhq/bindery/core/live"
)

// This file has what transports and plugins ask of a registry.

// Open grants the client identified by the context permission to read a binding, or the
// member of a family that the arguments select.
//
// Filters narrow the rows to those for which all of them are true, on top of the binding's
// own filter and of the authorizer's scope. They come from the client, so Open refuses long
// ones, and ones with columns that clients do not see, with an [*ArgumentError]. Clients
// with equal scopes and filters share one member, see [Tuning].MaxMembers.
//
// The error is one of [ErrUnknownBinding], [*ArgumentError], [*DeniedError],
// [ErrTooManyMembers], [ErrBudget], [ErrNotStarted] and [live.ErrClosed], or another when
// the authorizer fails.
func (r *Registry) Open(ctx context.Context, binding string, args Args, filters ...filter.Expr) (*Grant, error) {
	v, err := r.named(binding)
	if err != nil {
		return nil, err
	}
	params, err := v.family.parse(args)
	if err != nil {
		return nil, err
	}
	narrow, err := v.narrow(filters)
	if err != nil {
		return nil, err
	}
	return newGrant(ctx, r, v, params, narrow)
}

// named returns the binding or family with that name. It still finds bindings while
// Shutdown has not ended them, so that transports can drain.
func (r *Registry) named(binding string) (*binding, error) {
	r.mu.Lock()
	phase := r.phase
	r.mu.Unlock()
	v := r.bindings.named(binding)
	var err error
	switch {
	case phase == collecting, phase == refused:
		err = ErrNotStarted
	case phase == closing && (v == nil || v.Err() != nil):
		err = live.ErrClosed
	case v == nil:
		err = ErrUnknownBinding
	default:
		return v, nil
	}
	return nil, fmt.Errorf("core: binding %q: %w", arguments.Clip(binding), err)
}

// MemberID returns the [live.View.ID] of the binding, or of the family's member that the
// arguments select, whether or not that member exists. It does not ask the authorizer and
// creates nothing. The error is one of [ErrUnknownBinding], [*ArgumentError],
// [ErrNotStarted] and [live.ErrClosed].
func (r *Registry) MemberID(binding string, args Args) (string, error) {
	v, err := r.named(binding)
	if err != nil {
		return "", err
	}
	params, err := v.family.parse(args)
	if err != nil {
		return "", err
	}
	return params.ID(v.Name()), nil
}

// Lookup returns the binding with that name. It does not find families; use [Family.Open].
// It does not ask the authorizer: it is for plugins and for the program itself, while
// transports use [Registry.Open].
func (r *Registry) Lookup(name string) (*live.View, bool) {
	v := r.bindings.named(name)
	if v == nil || v.Spec.Family {
		return nil, false
	}
	return v.View, true
}

// Views returns all bindings, in order of registration. In place of a family it returns the
// members that exist. Members created for an authorizer's scopes follow their binding.
func (r *Registry) Views() []*live.View {
	bindings := r.bindings.living()
	views := make([]*live.View, len(bindings))
	for i, v := range bindings {
		views[i] = v.View
	}
	return views
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

// connectionSize is the estimated memory, in bytes, for a connection on which a client
// waits for changes: buffers, goroutines, subscriptions. See BenchmarkFanOut.
const connectionSize = 28 << 10

// Reserve counts memory that a transport is about to use for a client's input, such as the
// body of a request, until release is called. It returns an error that wraps [ErrBudget]
// when there is no room, or when the input of all clients has used up its share of the
// memory: bodies leave room for bindings. Any goroutine may call it. Calling release again
// is harmless.
func (r *Registry) Reserve(bytes int) (release func(), err error) {
	release, err = r.budget.Reserve(int(live.Clients), int64(bytes), &r.requests)
	if err != nil {
		return nil, fmt.Errorf("core: %w: %w", ErrBudget, err)
	}
	return release, nil
}

// Connected counts the memory of a client's connection until closed is called. Connections
// are never refused for memory, since transports bound their number; members and bodies
// make room for them. Transports call it for each connection, or request, that waits for
// changes. Any goroutine may call it.
func (r *Registry) Connected() (closed func()) {
	return r.budget.Keep(int(live.Clients), connectionSize, nil)
}

// Delivered tells plugins that an event was written to a client, see [DeliveryObserver].
// Transports call it, without holding a lock, for events whose [live.Event.Context] is not
// nil.
func (r *Registry) Delivered(transport string, v *live.View, e *live.Event, began time.Time) {
	r.observers.onDelivered(Delivery{Transport: transport, View: v, Event: e, Began: began})
}
