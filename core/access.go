package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/writing"
	"github.com/binderyhq/bindery/core/live"
)

// Action is what somebody wants to do with a binding.
type Action uint8

// The actions.
const (
	// ActionRead is to see the rows, once or as a stream of changes.
	ActionRead Action = iota
	// ActionInsert, ActionUpdate and ActionDelete are to write them.
	ActionInsert
	ActionUpdate
	ActionDelete
)

// String returns the action's name in lower case.
func (a Action) String() string {
	switch a {
	case ActionRead:
		return "read"
	case ActionInsert:
		return "insert"
	case ActionUpdate:
		return "update"
	case ActionDelete:
		return "delete"
	}
	return "unknown"
}

// Access is what somebody wants.
type Access struct {
	// Binding is the name of the binding or family, Params the parameters of
	// the family's member.
	Binding string
	Params  live.Params
	Action  Action
}

// Authorizer decides who may see what, and write it. Every transport asks it,
// through [Registry.Open] and [Grant.Write]. Who asks is in the context, where the
// application's own middleware has put it: over HTTP it is the request's.
//
// It is asked for each request, and of a stream's subscriber when the stream
// begins and again as long as it lasts; see [Registry.Reauthorize] and
// [Config.ReauthorizeEvery]. So it must be quick, and may be called from any
// number of goroutines. An error is no decision: nothing is shown or written,
// the client is told to try again later, and streams that are open go on.
type Authorizer interface {
	Authorize(ctx context.Context, a Access) (Decision, error)
}

// AuthorizerFunc is a function as an [Authorizer].
type AuthorizerFunc func(ctx context.Context, a Access) (Decision, error)

// Authorize calls the function.
func (f AuthorizerFunc) Authorize(ctx context.Context, a Access) (Decision, error) { return f(ctx, a) }

// Decision is what an [Authorizer] answers. The zero value denies.
type Decision struct {
	allowed   bool
	scope     filter.Expr
	challenge string
}

// Allow allows what was asked.
func Allow() Decision { return Decision{allowed: true} }

// AllowWhere allows what was asked, confined to the rows for which all the
// expressions are true, on top of the binding's own filter. Those who are given
// the same scope share one member of the binding; it is kept as the members of
// a family are, see [Tuning]. So who has the same rights must
// be given the same expressions, in the same order: one in which the time of day
// occurs makes a member of each request. A nil expression is a mistake,
// for which nothing is shown or written; without any AllowWhere is [Allow].
func AllowWhere(exprs ...filter.Expr) Decision {
	d := Allow()
	if len(exprs) > 0 {
		d.scope = filter.And(exprs...)
	}
	return d
}

// Deny denies what was asked.
func Deny() Decision { return Decision{} }

// Unauthenticated denies what was asked of somebody who has not said who they
// are. The challenge says how they may, as in the header WWW-Authenticate (RFC
// 9110, section 11.6.1): `Bearer realm="shop"`, for one.
func Unauthenticated(challenge string) Decision { return Decision{challenge: challenge} }

// DeniedError says that the authorizer has denied something.
type DeniedError struct {
	Access Access
	// Challenge is the challenge of [Unauthenticated]. It is "" when the authorizer
	// knows who asks.
	Challenge string
}

// Error names the binding and the action.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("core: binding %q: the authorizer does not allow to %s", e.Access.Binding, e.Access.Action)
}

// Authorize sets the authorizer; without one everything is allowed. It is called
// once, before Start; a second authorizer is a problem that Start reports.
func (r *Registry) Authorize(a Authorizer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.phase.refusal("setting an authorizer"); err != nil {
		return err
	}
	switch place := callerOutside(); {
	case a == nil:
		r.problems = append(r.problems, fmt.Errorf("core: nil authorizer set at %s", place))
	case r.authorizer != nil:
		r.problems = append(r.problems, fmt.Errorf("core: a second authorizer set at %s", place))
	default:
		r.authorizer = a
	}
	return nil
}

// Grant is the leave to use a binding, as [Registry.Open] gives it. It keeps the
// binding alive until Close. Its methods may be called from any goroutine, but
// not after Close.
type Grant struct {
	reg    *Registry
	access Access
	round  uint64      // of Reauthorize, before the authorizer was asked
	scope  filter.Expr // of the authorizer's decision, nil for no bounds
	narrow filter.Expr // what the client asked for, nil for everything
	lease  *memberLease
	view   *publisher
}

// View returns the binding, confined to what the client may see. It may not have
// loaded yet. No use of it asks the authorizer, so it is for reading alone; and
// for rows [Grant.Snapshot] is better, which knows when to ask again.
func (g *Grant) View() *live.View { return g.view.View }

// Personal reports whether an authorizer has given the grant: what it shows to
// one client must not be shown to another, by a cache that they share for
// instance.
func (g *Grant) Personal() bool { return g.reg.authorizer != nil }

// Snapshot returns the rows that the grant shows, nil before they have loaded. It
// returns [live.ErrScopeChanged] once [Registry.Reauthorize] has been called since the
// grant was given: what has come since then may be for somebody else, and another
// [Registry.Open] tells.
func (g *Grant) Snapshot() (*live.Snapshot, error) {
	s := g.view.Snapshot()
	// In this order: what was published before Reauthorize has been called may
	// be shown.
	if g.isStale() {
		return nil, scopeChanged(g.access)
	}
	return s, nil
}

// isStale reports whether Reauthorize has been called since the authorizer was
// asked.
func (g *Grant) isStale() bool {
	return g.reg.authorizer != nil && g.reg.watched.round.Load() != g.round
}

// Member reports whether the binding was made for parameters or for a scope: it
// may have come alive just now, so it is worth waiting a moment for its rows.
func (g *Grant) Member() bool { return g.lease.ofMember() }

// Close gives the grant back. Subscriptions that it made are closed before.
// Closing twice is harmless.
func (g *Grant) Close() { g.lease.release() }

// Open gives leave to read a binding, or the member of a family that the
// arguments name, for the client to whom the context belongs.
//
// Filters narrow what is shown to the rows for which all of them are true, on top
// of the binding's own filter and of the authorizer's scope. They come from the client:
// those that are long, or name columns that clients do not see, are refused with an
// [*ArgumentError]. Clients with equal scopes and filters share one member, see
// [Tuning].MaxMembers.
//
// The error is one of [ErrUnknownBinding], [*ArgumentError], [*DeniedError],
// [ErrTooManyMembers], [ErrBudget], [ErrNotStarted] and [live.ErrClosed], or another when the
// authorizer fails.
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

// open is Open for arguments and filters that were checked.
func (r *Registry) open(ctx context.Context, v *publisher, params live.Params, narrow filter.Expr) (*Grant, error) {
	authorizer := r.authorizer
	access := Access{Binding: v.Name(), Params: params, Action: ActionRead}
	round := r.watched.round.Load()
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
	// Such a grant keeps nothing alive and says nothing about who asks, so all
	// share one.
	if g := v.family.grant.Load(); g != nil {
		return g, nil
	}
	g := &Grant{reg: r, access: access, lease: l, view: l.view}
	v.family.grant.Store(g)
	return g, nil
}

// named returns the binding or family with that name. Until Shutdown has ended
// the bindings they are still found, so that transports can drain.
func (r *Registry) named(binding string) (*publisher, error) {
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
	return nil, fmt.Errorf("core: binding %q: %w", clipName(binding), err)
}

// MemberID returns what [live.View.ID] is, or would be, of the binding, or of the
// member of a family that the arguments name. It asks no authorizer, and brings
// nothing alive. The error is one of [ErrUnknownBinding], [*ArgumentError],
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

// Write carries out a client's write, as [Binding.Write] does, if the authorizer
// allows it: in addition to the errors of that it returns a [*DeniedError], and
// [live.ErrScopeChanged] as [Grant.Snapshot] does. Where the authorizer's decision
// has a scope of its own, the row must be within it before and afterwards. The row
// of a write during which [Registry.Reauthorize] was called is not shown: it is
// the zero Row.
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

// Subscribe begins a subscription that lasts as long as the authorizer allows
// to read: it then ends with a [*DeniedError], or with [live.ErrScopeChanged] when
// something else may be seen from now on, which another [Registry.Open] tells.
// It asks nobody; a grant from before the last [Registry.Reauthorize] gives a
// subscription that ends at once with [live.ErrScopeChanged].
func (g *Grant) Subscribe(ctx context.Context, opts live.SubscribeOptions) *live.Subscription {
	if g.reg.authorizer == nil {
		return g.view.Subscribe(opts)
	}
	w := &watch{ctx: context.WithoutCancel(ctx), access: g.access, scope: textOf(g.scope)}
	closed := opts.OnClose
	opts.OnClose = func() {
		g.reg.watched.remove(w)
		if closed != nil {
			closed()
		}
	}
	s := g.view.Subscribe(opts)
	w.sub = s
	g.reg.watched.add(w)
	if g.isStale() {
		// Reauthorize did not know of this subscription.
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

// watch is a subscription that is asked about again.
type watch struct {
	ctx    context.Context
	access Access
	scope  string
	sub    *live.Subscription
}

// watches are all of them.
type watches struct {
	round atomic.Uint64 // counts the calls of Reauthorize

	mu  sync.Mutex
	all map[*watch]struct{} // guarded by mu
}

func (w *watches) add(one *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = make(map[*watch]struct{})
	}
	w.all[one] = struct{}{}
}

func (w *watches) remove(one *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, one)
}

func (w *watches) list() []*watch {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]*watch, 0, len(w.all))
	for one := range w.all {
		all = append(all, one)
	}
	return all
}

// Reauthorize asks the authorizer again about every subscription that it has
// allowed, and ends those that it does not allow any more: what is published
// after Reauthorize has returned does not reach them. Programs call it when
// somebody's rights have changed; it also happens by itself, see
// [Config.ReauthorizeEvery].
//
// It returns the context's error when that ends first, and has then asked about
// some only: a handler whose client may hang up passes a context without
// cancellation, see [context.WithoutCancel]. Where the authorizer fails the
// subscription goes on, and the errors are returned, joined.
func (r *Registry) Reauthorize(ctx context.Context) error {
	if r.authorizer == nil {
		return nil
	}
	r.watched.round.Add(1)
	return r.recheck(ctx)
}

// maxAsking bounds how many questions a recheck asks at a time.
const maxAsking = 16

// recheck asks about every subscription.
func (r *Registry) recheck(ctx context.Context) error {
	var (
		asking sync.WaitGroup
		mu     sync.Mutex
		errs   []error // guarded by mu
	)
	places := make(chan struct{}, maxAsking)
	for _, w := range r.watched.list() {
		if ctx.Err() != nil {
			break
		}
		places <- struct{}{}
		asking.Go(func() {
			defer func() { <-places }()
			if err := r.recheckOne(ctx, w); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	asking.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(errs...)
}

// recheckOne asks about one subscription, and ends it when that is the answer.
func (r *Registry) recheckOne(ctx context.Context, w *watch) error {
	asking, cancel := context.WithCancel(w.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	scope, err := r.ask(asking, r.authorizer, w.access)
	var denied *DeniedError
	switch {
	case errors.As(err, &denied):
		w.sub.End(err)
	case err != nil:
		return err
	case textOf(scope) != w.scope:
		w.sub.End(scopeChanged(w.access))
	}
	return nil
}

func scopeChanged(a Access) error {
	return fmt.Errorf("core: binding %q: %w", a.Binding, live.ErrScopeChanged)
}

// reauthorize asks again at the interval until ctx is done. A subscription that
// begins meanwhile can wait for the next time.
func (r *Registry) reauthorize(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if err := r.recheck(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Logger.Warn("core: the authorizer failed for streams that are open; they go on", slog.String("id", "core-authorizer-failed"), slog.Any("error", err))
		}
	}
}
