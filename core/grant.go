package core

import (
	"context"
	"fmt"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/arguments"
	"github.com/binderyhq/bindery/core/internal/authorizing"
	"github.com/binderyhq/bindery/core/internal/onerow"
	"github.com/binderyhq/bindery/core/internal/writing"
	"github.com/binderyhq/bindery/core/live"
)

// Grant is the permission to use a binding, obtained from [Registry.Open]. It keeps the
// binding alive until Close. Its methods may be called from any goroutine, but not after
// Close.
type Grant struct {
	reg    *Registry
	access Access
	round  uint64      // the Reauthorize round before the authorizer was asked
	scope  filter.Expr // from the authorizer's decision, nil for no bounds
	narrow filter.Expr // the client's filters, nil for none
	lease  *memberLease
	view   *binding
}

// View returns the binding, confined to what the client may see. It may not have loaded
// yet. Using it never asks the authorizer again, so only read from it, and prefer
// [Grant.Snapshot] for rows, which reports when another Open is due.
func (g *Grant) View() *live.View { return g.view.View }

// Personal reports whether an authorizer gave the grant. What it shows to one client must
// then not be shown to another, for example by a shared cache.
func (g *Grant) Personal() bool { return g.reg.authorizer != nil }

// Snapshot returns the rows that the grant shows, nil before they have loaded. It returns
// [live.ErrScopeChanged] once [Registry.Reauthorize] has been called since the grant was
// given: the client may no longer see newer rows, so call [Registry.Open] again.
func (g *Grant) Snapshot() (*live.Snapshot, error) {
	s := g.view.Snapshot()
	// Read the snapshot first: the client may see what was published before Reauthorize was
	// called.
	if g.isStale() {
		return nil, scopeChanged(g.access)
	}
	return s, nil
}

// isStale reports whether Reauthorize has been called since the authorizer was asked.
func (g *Grant) isStale() bool {
	return g.reg.authorizer != nil && g.reg.subscribers.Round() != g.round
}

// Member reports whether the binding was made for parameters or for a scope. It may have
// been created just now, so it is worth waiting a moment for its rows.
func (g *Grant) Member() bool { return g.lease.ofMember() }

// Close gives the grant back. Close its subscriptions first. Closing twice is harmless.
func (g *Grant) Close() { g.lease.release() }

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
	return r.open(ctx, v, params, narrow)
}

// open is Open for checked arguments and filters.
func (r *Registry) open(ctx context.Context, v *binding, params live.Params, narrow filter.Expr) (*Grant, error) {
	authorizer := r.authorizer
	access := Access{Binding: v.Name(), Params: params, Action: ActionRead}
	round := r.subscribers.Round()
	var scope filter.Expr
	if authorizer != nil {
		var err error
		if scope, err = r.ask(ctx, authorizer, access); err != nil {
			return nil, err
		}
	}
	confined := allOf(scope, narrow)
	if err := v.family.askAbout(ctx, params, confined); err != nil {
		return nil, err
	}
	l, err := v.family.open(ctx, params, confined, textOf(scope))
	if err != nil {
		return nil, err
	}
	if l.ofMember() || authorizer != nil {
		return &Grant{reg: r, access: access, round: round, scope: scope, narrow: narrow, lease: l, view: l.view}, nil
	}
	// This grant keeps nothing alive and does not depend on the client, so all clients
	// share one.
	if g := v.family.grant.Load(); g != nil {
		return g, nil
	}
	g := &Grant{reg: r, access: access, lease: l, view: l.view}
	v.family.grant.Store(g)
	return g, nil
}

// named returns the binding or family with that name. It still finds bindings while
// Shutdown has not ended them, so that transports can drain.
func (r *Registry) named(binding string) (*binding, error) {
	r.mu.Lock()
	v, phase := r.byName[binding], r.phase
	r.mu.Unlock()
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

// Hold returns the binding, or the member of a family that the arguments select, once it
// has loaded. It creates the member if necessary, and keeps it alive until release is
// called; calling release twice is harmless.
//
// Hold does not ask the authorizer: it is for the program itself and for its operators.
// Clients come through [Registry.Open]. The error is one of [ErrUnknownBinding],
// [*ArgumentError], [ErrTooManyMembers], [ErrBudget], [ErrNotStarted], [live.ErrRemoved]
// and [live.ErrClosed], or the context's. While the database is away Hold waits, so give
// the context a deadline.
func (r *Registry) Hold(ctx context.Context, binding string, args Args) (view *live.View, release func(), err error) {
	v, err := r.named(binding)
	if err != nil {
		return nil, nil, err
	}
	params, err := v.family.parse(args)
	if err != nil {
		return nil, nil, err
	}
	if err := v.family.askAbout(ctx, params, nil); err != nil {
		return nil, nil, err
	}
	l, err := v.family.open(ctx, params, nil, "")
	if err != nil {
		return nil, nil, err
	}
	select {
	case <-l.view.Loaded():
		return l.view.View, l.release, nil
	case <-l.view.Done():
		err = l.view.Err()
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.release()
	return nil, nil, fmt.Errorf("core: loading binding %q: %w", l.view.ID(), err)
}

// Write carries out a client's write as [Binding.Write] does, if the authorizer allows it.
// Beside that method's errors it returns a [*DeniedError], and [live.ErrScopeChanged] as
// [Grant.Snapshot] does. When the authorizer's decision has a scope, the row must be within
// it before and after the write. If [Registry.Reauthorize] is called during the write,
// Write returns the zero Row, since the client may no longer see the row.
func (g *Grant) Write(ctx context.Context, w live.Write) (live.Row, error) {
	authorizer := g.reg.authorizer
	if authorizer == nil {
		return g.view.write(ctx, w, writing.Bounds{})
	}
	a := g.access
	switch w.Op {
	case live.Insert:
		a.Action = ActionInsert
	case live.Delete:
		a.Action = ActionDelete
	default:
		a.Action = ActionUpdate
	}
	scope, err := g.reg.ask(ctx, authorizer, a)
	if err != nil {
		return live.Row{}, err
	}
	if g.isStale() {
		return live.Row{}, scopeChanged(g.access)
	}
	row, err := g.view.write(ctx, w, writing.Bounds{Scope: scope, Denied: &DeniedError{Access: a}})
	if err == nil && g.isStale() {
		row = live.Row{}
	}
	return row, err
}

// Subscribe begins a subscription that lasts as long as the authorizer allows reading. It
// then ends with a [*DeniedError], or with [live.ErrScopeChanged] when the client may see
// something else from now on: call [Registry.Open] again. Subscribe itself does not ask the
// authorizer. If [Registry.Reauthorize] was called after the grant was given, the
// subscription ends at once with [live.ErrScopeChanged].
func (g *Grant) Subscribe(ctx context.Context, opts live.SubscribeOptions) *live.Subscription {
	if g.reg.authorizer == nil {
		return g.view.Subscribe(opts)
	}
	s := g.reg.subscribers.Subscribe(ctx, g.view.View, authorizing.Right[Access]{Access: g.access, Scope: textOf(g.scope)}, opts)
	if g.isStale() {
		// Reauthorize may have missed this subscription.
		s.End(scopeChanged(g.access))
	}
	return s
}

func textOf(e filter.Expr) string {
	if e == nil {
		return ""
	}
	return e.String()
}

// maxResolves bounds the concurrent database queries of [Grant.Resolve]. Further calls
// wait, and give up after askTimeout as for a slow answer.
const maxResolves = 4

// Resolve returns the key of the row that the database finds by the given key, which may be
// spelled differently: a citext key in another case, for example. It returns the given key
// when no key column compares that way, when the binding has no such row, and when the
// database does not answer within a second. Transports call it with keys from clients. It
// reveals nothing about rows outside the grant.
func (g *Grant) Resolve(ctx context.Context, key driver.Key) driver.Key {
	if !onerow.NeedsResolve(g.view.Member, key) {
		return key
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	select {
	case g.reg.resolves <- struct{}{}:
		defer func() { <-g.reg.resolves }()
		return onerow.Resolve(ctx, g.view.Member, key)
	case <-ctx.Done():
		return key
	}
}
