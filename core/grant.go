package core

import (
	"context"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
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
func (g *Grant) Personal() bool { return g.reg.rights.required() }

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
	return g.reg.rights.outdated(g.round)
}

// Member reports whether the binding was made for parameters or for a scope. It may have
// been created just now, so it is worth waiting a moment for its rows.
func (g *Grant) Member() bool { return g.lease.ofMember() }

// Close gives the grant back. Close its subscriptions first. Closing twice is harmless.
func (g *Grant) Close() { g.lease.release() }

// newGrant is [Registry.Open] for checked arguments and filters.
func newGrant(ctx context.Context, r *Registry, v *binding, params live.Params, narrow filter.Expr) (*Grant, error) {
	access := Access{Binding: v.Name(), Params: params, Action: ActionRead}
	round := r.rights.round()
	var scope filter.Expr
	if r.rights.required() {
		var err error
		if scope, err = r.rights.ask(ctx, access); err != nil {
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
	if l.ofMember() || r.rights.required() {
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

// Write carries out a client's write as [Binding.Write] does, if the authorizer allows it.
// Beside that method's errors it returns a [*DeniedError], and [live.ErrScopeChanged] as
// [Grant.Snapshot] does. When the authorizer's decision has a scope, the row must be within
// it before and after the write. If [Registry.Reauthorize] is called during the write,
// Write returns the zero Row, since the client may no longer see the row.
func (g *Grant) Write(ctx context.Context, w live.Write) (live.Row, error) {
	if !g.reg.rights.required() {
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
	scope, err := g.reg.rights.ask(ctx, a)
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
	if !g.reg.rights.required() {
		return g.view.Subscribe(opts)
	}
	s := g.reg.rights.subscribe(ctx, g.view.View, g.access, g.scope, opts)
	if g.isStale() {
		// Reauthorize may have missed this subscription.
		s.End(scopeChanged(g.access))
	}
	return s
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

// HasReached reports whether the binding is known to show everything that the mark covers.
// It asks no source and does not wait; after false, call [Grant.Reach]. The error is
// [ErrMalformedMark].
func (g *Grant) HasReached(text string) (bool, error) {
	return g.reg.marks.has(g.view, text)
}

// Reach waits until the binding shows everything that the mark covers, as [Registry.Reach]
// does. Call it before Close; a call under way goes on after Close.
func (g *Grant) Reach(ctx context.Context, mark string) error {
	return g.reg.marks.reach(ctx, g.view, mark)
}

// Lineage names the run of versions that the binding shows, with letters, digits, "-", "_"
// and dots. While it stays the same, what is shown later is newer. Another text means that
// the rows may be older than those before it: the registry is another one, or the binding
// follows another node than before.
func (g *Grant) Lineage() string { return g.reg.marks.lineage(g.view) }
