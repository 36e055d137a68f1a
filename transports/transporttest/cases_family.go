package transporttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// owners are the owners of the rows that exist before the start.
var owners = []string{"ann", "bob & co"}

// ofOwner names the member of the family that shows the owner's visible rows.
func ofOwner(owner string) map[string]string {
	return map[string]string{"owner": owner, "visible": "true"}
}

// member returns a client of the owner's member.
func (r *rig) member(owner string) *follower {
	f := r.newFollower(owned)
	f.params = ofOwner(owner)
	f.may = func(it item) bool { return it.Owner == owner && it.Visible }
	return f
}

// start connects the clients and takes their first batches.
func start(ctx context.Context, all ...*follower) error {
	for _, f := range all {
		if err := f.connect(ctx); err != nil {
			return err
		}
		if err := f.untilShows(ctx); err != nil {
			return err
		}
	}
	return nil
}

// show takes batches until each client holds the rows that it may see.
func show(ctx context.Context, all ...*follower) error {
	for _, f := range all {
		if err := f.untilShows(ctx); err != nil {
			return err
		}
	}
	return nil
}

// trade makes transactions that move rows between owners. After each it checks that
// every client holds the rows that it may see, and was shown no others.
func (r *rig) trade(ctx context.Context, seed uint64, all ...*follower) error {
	rnd := randomness(seed)
	for range 12 {
		var rows []item
		for range 1 + rnd.IntN(6) {
			rows = append(rows, item{ID: 1 + rnd.IntN(30), Name: r.name(), Visible: rnd.IntN(4) > 0, Owner: owners[rnd.IntN(len(owners))]})
		}
		if err := r.put(ctx, rows...); err != nil {
			return err
		}
		if err := r.remove(ctx, 1+rnd.IntN(30)); err != nil {
			return err
		}
		if err := show(ctx, all...); err != nil {
			return err
		}
	}
	return nil
}

func familyCases() []rule {
	return []rule{
		{
			name:  "members of a family",
			rule:  "a family's member is a binding of its own: its state, its changes, and nothing of other members",
			setup: setup{rows: 30, families: true},
			run: func(ctx context.Context, r *rig) error {
				all := []*follower{r.member(owners[0]), r.member(owners[1]), r.member(owners[0]), r.member("nobody")}
				return errors.Join(start(ctx, all...), r.trade(ctx, 11, all...))
			},
		},
		{
			name:  "a member that is resumed",
			rule:  "a client of a member that comes back with a version is told what it has missed of that member",
			setup: setup{rows: 30, families: true},
			run: func(ctx context.Context, r *rig) error {
				f, stays, other := r.member(owners[0]), r.member(owners[0]), r.member(owners[1])
				if err := start(ctx, f, stays, other); err != nil {
					return err
				}
				f.drop()
				if err := r.put(ctx, item{ID: 500, Name: r.name(), Visible: true, Owner: owners[1]}); err != nil {
					return err
				}
				if err := errors.Join(f.connect(ctx), f.batch(ctx)); err != nil {
					return err
				}
				if r.can.Resumes && f.current != 1 {
					return errors.New("another member has changed, and the client was not told that it is current: Abilities.Resumes is declared")
				}
				f.drop()
				if err := r.put(ctx, item{ID: 501, Name: r.name(), Visible: true, Owner: owners[0]}); err != nil {
					return err
				}
				// The versions of another member mean nothing to this one.
				other.drop()
				other.version, f.version = f.version, other.version
				other.rows, f.rows, other.at, f.at = nil, nil, -1, -1
				return start(ctx, f, stays, other)
			},
		},
		{
			name:  "arguments that are wrong",
			rule:  "a parameter that is missing, unknown or of the wrong type is named, and nothing is shown",
			setup: setup{rows: 30, families: true},
			run: func(ctx context.Context, r *rig) error {
				for _, c := range []struct {
					binding string
					params  map[string]string
					named   string
				}{
					{owned, map[string]string{"owner": "ann"}, "visible"},
					{owned, map[string]string{"owner": "ann", "visible": "perhaps"}, "visible"},
					{owned, map[string]string{"owner": "ann", "visible": "true", "colour": "red"}, "colour"},
					{items, map[string]string{"owner": "ann"}, "owner"},
				} {
					q := Request{Binding: c.binding, Params: c.params}
					var wrong *ParameterError
					if err := r.refused(ctx, q); !errors.As(err, &wrong) || wrong.Name != c.named {
						return fmt.Errorf("%s with the parameters %v gave %v, which is to name %q", c.binding, c.params, err, c.named)
					}
				}
				if err := r.refuses(ctx, "nothing"); err != nil {
					return err
				}
				err := r.refused(ctx, Request{Binding: "nothing", Params: ofOwner("ann")})
				if !errors.Is(err, ErrRefused) {
					return fmt.Errorf("a member of an unknown family: %v, want ErrRefused", err)
				}
				return nil
			},
		},
		{
			name:  "parameters that need not be given",
			rule:  "a parameter may be left out, have several values in any order, or be a part of a text, where the family says so",
			setup: setup{rows: 30, families: true},
			run: func(ctx context.Context, r *rig) error {
				pick := func(text string, owners ...string) *follower {
					f := r.newFollower(picked)
					if text != "" {
						f.params = map[string]string{"text": text}
					}
					if len(owners) > 0 {
						f.several = map[string][]string{"owner": owners}
					}
					f.may = func(it item) bool {
						return strings.Contains(it.Name, text) && (len(owners) == 0 || slices.Contains(owners, it.Owner))
					}
					return f
				}
				all := []*follower{pick(""), pick("", owners...), pick("", owners[1], owners[0]), pick("", owners[1]), pick("1"), pick("2", "ann", "nobody")}
				for _, f := range all[1:] {
					if err := r.pagesShow(ctx, Request{Binding: picked, Params: f.params, Repeated: f.several}, f.may); err != nil {
						return err
					}
				}
				if err := errors.Join(start(ctx, all...), r.trade(ctx, 13, all...)); err != nil {
					return err
				}
				var wrong *ParameterError
				err := r.refused(ctx, Request{Binding: picked, Repeated: map[string][]string{"text": {"a", "b"}}})
				if !errors.As(err, &wrong) || wrong.Name != "text" {
					return fmt.Errorf("a parameter of one value that is given two gave %v, which is to name it", err)
				}
				return nil
			},
		},
		{
			name:  "pages of a member",
			rule:  "the pages of a member show its rows and no others",
			setup: setup{rows: 250, families: true},
			run: func(ctx context.Context, r *rig) error {
				f := r.member(owners[1])
				return r.pagesShow(ctx, Request{Binding: owned, Params: f.params}, f.may)
			},
		},
	}
}

// refused returns the error of a request that is refused, at whichever step, and for
// every way to make the request.
func (r *rig) refused(ctx context.Context, q Request) error {
	c, err := r.connectTo(ctx, q)
	if err == nil {
		var m Message
		m, err = c.Next(ctx)
		c.Close()
		if err == nil {
			return fmt.Errorf("a %s of %d rows was sent", m.Action, len(m.Rows))
		}
	}
	if !r.can.Pages {
		return err
	}
	if p, other := r.pageOf(ctx, q, 1); other == nil {
		return fmt.Errorf("it was refused (%w), but a page of %d rows was shown", err, len(p.Rows))
	}
	return err
}

func (r *rig) pageOf(ctx context.Context, q Request, page int) (Page, error) {
	if q.Params == nil && q.Repeated == nil && q.Principal == "" {
		return r.Page(ctx, q.Binding, page)
	}
	return r.Harness.(Asker).PageOf(ctx, q, page)
}

// pagesShow checks that the pages show all rows that may be shown, and no others.
func (r *rig) pagesShow(ctx context.Context, q Request, may func(item) bool) error {
	if !r.can.Pages {
		return nil
	}
	f := &follower{binding: q.Binding, who: q.Principal, may: may}
	got, want := 0, 0
	for page, pages := 1, 1; page <= pages; page++ {
		p, err := r.pageOf(ctx, q, page)
		if err != nil {
			return fmt.Errorf("page %d of %q: %w", page, q.Binding, err)
		}
		pages = p.Pages
		got += len(p.Rows)
		for _, raw := range p.Rows {
			if err := f.mayBeShown(Sync, raw); err != nil {
				return err
			}
		}
	}
	for _, it := range r.table.Rows() {
		if may(it) {
			want++
		}
	}
	if got != want {
		return fmt.Errorf("the pages of %q show %d rows to %q, want %d", q.Binding, got, q.Principal, want)
	}
	return nil
}
