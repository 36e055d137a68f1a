package transporttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
)

// secret is a text that no client may ever read.
const secret = "the authorizer's own words"

// rights is an authorizer that holds the right of each principal. It does not know
// others.
type rights struct {
	mu sync.Mutex
	of map[string]right // guarded by mu
}

// right is the decision for one principal, or the error of asking.
type right struct {
	decision core.Decision
	err      error
}

var _ core.Authorizer = (*rights)(nil)

// Authorize implements [core.Authorizer].
func (a *rights) Authorize(ctx context.Context, _ core.Access) (core.Decision, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, known := a.of[Principal(ctx)]
	if !known {
		return core.Unauthenticated(`Bearer realm="suite"`), nil
	}
	return r.decision, r.err
}

// change gives the principal another right from now on.
func (a *rights) change(principal string, r right) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.of[principal] = r
}

func within(owner string) right {
	return right{decision: core.AllowWhere(filter.Eq("owner", owner))}
}

// usual returns the rights of the principals in these cases.
func usual() *rights {
	return &rights{of: map[string]right{
		"root": {decision: core.Allow()},
		"ann":  within(owners[0]),
		"bob":  within(owners[1]),
		"eve":  {decision: core.Deny()},
		"lost": {err: errors.New(secret)},
	}}
}

// sees says which rows each principal with any rights may see.
var sees = map[string]func(item) bool{
	"root": func(item) bool { return true },
	"ann":  func(it item) bool { return it.Owner == owners[0] },
	"bob":  func(it item) bool { return it.Owner == owners[1] },
}

// as returns a client of the principal, of the member if params are given.
func (r *rig) as(principal, binding string, params map[string]string) *follower {
	f := r.newFollower(binding)
	f.who, f.params = principal, params
	may := sees[principal]
	f.may = func(it item) bool {
		if binding != items && !it.Visible || params != nil && it.Owner != params["owner"] {
			return false
		}
		return may(it)
	}
	return f
}

// guarded is a case that has its own authorizer.
func guarded(name, text string, families bool, run func(ctx context.Context, r *rig, a *rights) error) rule {
	return rule{
		name: name, rule: text,
		setup: setup{rows: 30, families: families},
		guard: func(s *setup) func(context.Context, *rig) error {
			a := usual()
			s.authorizer = a
			return func(ctx context.Context, r *rig) error { return run(ctx, r, a) }
		},
	}
}

func accessCases() []rule {
	return []rule{
		guarded("who is not known", "nothing is shown that the authorizer has not allowed: a transport asks, by core.Registry.Open", false,
			func(ctx context.Context, r *rig, _ *rights) error {
				for _, binding := range []string{items, visible, owned} {
					err := r.refused(ctx, Request{Binding: binding})
					if errors.Is(err, io.EOF) || errors.Is(err, context.DeadlineExceeded) {
						return fmt.Errorf("%q was not refused: %w", binding, err)
					}
					if r.can.Families && binding != owned && !errors.Is(err, ErrUnauthenticated) {
						return fmt.Errorf("%q: %w, want ErrUnauthenticated", binding, err)
					}
				}
				return nil
			}),
		guarded("who may see what", "each sees the rows that the authorizer allows, in states, changes, deletes and pages, and nothing of the others", true,
			func(ctx context.Context, r *rig, _ *rights) error {
				var all []*follower
				for principal := range sees {
					all = append(all, r.as(principal, items, nil), r.as(principal, visible, nil),
						r.as(principal, owned, ofOwner(owners[0])), r.as(principal, owned, ofOwner(owners[1])))
				}
				if err := start(ctx, all...); err != nil {
					return err
				}
				if err := r.trade(ctx, 12, all...); err != nil {
					return err
				}
				for _, f := range all {
					if err := r.pagesShow(ctx, Request{Binding: f.binding, Params: f.params, Principal: f.who}, f.may); err != nil {
						return err
					}
				}
				return nil
			}),
		guarded("who is refused", "who is denied is told so, who is unknown is asked who it is, and why the authorizer fails is told to nobody", true,
			func(ctx context.Context, r *rig, _ *rights) error {
				for principal, want := range map[string]error{"eve": ErrForbidden, "nobody": ErrUnauthenticated, "lost": ErrUnavailable} {
					for binding, params := range map[string]map[string]string{items: nil, visible: nil, owned: ofOwner(owners[0])} {
						err := r.refused(ctx, Request{Binding: binding, Params: params, Principal: principal})
						if !errors.Is(err, want) || strings.Contains(err.Error(), secret) {
							return fmt.Errorf("%q asked for %q: %w; want %w, without %q", principal, binding, err, want, secret)
						}
					}
				}
				return nil
			}),
		guarded("versions of others", "a version that somebody else was given tells nothing: it leads to one's own rows", true,
			func(ctx context.Context, r *rig, _ *rights) error {
				root, bob := r.as("root", items, nil), r.as("bob", items, nil)
				if err := start(ctx, root, bob); err != nil {
					return err
				}
				old := []string{root.version, bob.version}
				if err := r.put(ctx, item{ID: 2, Name: "of bob", Owner: owners[1]}, item{ID: 1, Name: "of ann", Owner: owners[0]}); err != nil {
					return err
				}
				if err := show(ctx, root, bob); err != nil {
					return err
				}
				for _, version := range append(old, root.version, bob.version) {
					ann := r.as("ann", items, nil)
					ann.version, ann.rows, ann.at = version, nil, -1
					if err := errors.Join(ann.connect(ctx), ann.untilShows(ctx)); err != nil {
						return fmt.Errorf("resuming from a version of somebody else: %w", err)
					}
					if ann.syncs != 1 {
						return errors.New("resuming from a version of somebody else: no sync")
					}
				}
				return nil
			}),
		guarded("rights that are withdrawn", "who may not see a binding any more is told so while it is connected, and sees nothing of what comes; others go on", true,
			func(ctx context.Context, r *rig, a *rights) error {
				ann, bob := r.as("ann", items, nil), r.as("bob", items, nil)
				if err := start(ctx, ann, bob); err != nil {
					return err
				}
				a.change("ann", right{decision: core.Deny()})
				if err := r.reg.Reauthorize(ctx); err != nil {
					return fmt.Errorf("the suite: %w", err)
				}
				ann.may = func(item) bool { return false }
				if err := r.put(ctx, item{ID: 1, Name: "later", Owner: owners[0]}, item{ID: 2, Name: "later", Owner: owners[1]}); err != nil {
					return err
				}
				if err := bob.untilShows(ctx); err != nil {
					return err
				}
				_, err := ann.message(ctx)
				if !errors.Is(err, ErrForbidden) && !errors.Is(err, io.EOF) {
					return fmt.Errorf("who may not see it any more: %w; want ErrForbidden, or the end", err)
				}
				if err := r.refused(ctx, Request{Binding: items, Principal: "ann", Version: ann.version}); !errors.Is(err, ErrForbidden) {
					return fmt.Errorf("coming back: %w, want ErrForbidden", err)
				}
				return nil
			}),
		guarded("rights that change", "who may see something else from now on is shown that, beginning with a sync, and nothing of what it may not see any more", true,
			func(ctx context.Context, r *rig, a *rights) error {
				ann := r.as("ann", items, nil)
				if err := start(ctx, ann); err != nil {
					return err
				}
				for _, now := range []string{"bob", "root", "ann"} {
					a.mu.Lock()
					a.of["ann"] = usual().of[now]
					a.mu.Unlock()
					if err := r.reg.Reauthorize(ctx); err != nil {
						return fmt.Errorf("the suite: %w", err)
					}
					ann.may, ann.at = sees[now], -1 // the scope has its own history
					if err := r.put(ctx, item{ID: 1, Name: r.name(), Owner: owners[0]}, item{ID: 2, Name: r.name(), Owner: owners[1]}); err != nil {
						return err
					}
					syncs := ann.syncs
					if err := ann.untilShows(ctx); err != nil {
						return fmt.Errorf("with the rights of %s: %w", now, err)
					}
					if ann.syncs == syncs {
						return fmt.Errorf("with the rights of %s: no sync", now)
					}
				}
				return nil
			}),
		guarded("an authorizer that fails", "what is open goes on while the authorizer fails, and what is new waits", true,
			func(ctx context.Context, r *rig, a *rights) error {
				ann := r.as("ann", items, nil)
				if err := start(ctx, ann); err != nil {
					return err
				}
				a.change("ann", right{err: errors.New(secret)})
				if err := r.reg.Reauthorize(ctx); err == nil && r.can.Streams {
					return errors.New("the suite: Reauthorize hides that the authorizer fails")
				}
				err := r.refused(ctx, Request{Binding: items, Principal: "ann"})
				if !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), secret) {
					return fmt.Errorf("a new client: %w; want ErrUnavailable, without %q", err, secret)
				}
				if !r.can.Streams {
					a.change("ann", within(owners[0])) // each request of such a client is a new one
				}
				if err := r.put(ctx, item{ID: 1, Name: r.name(), Owner: owners[0]}); err != nil {
					return err
				}
				return ann.untilShows(ctx)
			}),
	}
}
