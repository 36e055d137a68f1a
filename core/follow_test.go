package core_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
)

// round is what an iteration showed.
type round struct {
	rows  []item
	token string
	err   error
}

// followed follows the grant on a goroutine of its own. What it shows is to be taken
// from the channel, which is closed in the end.
func followed(ctx context.Context, g *core.Grant) <-chan round {
	rounds := make(chan round)
	go func() {
		defer close(rounds)
		for r, err := range core.Follow[item](ctx, g) {
			rounds <- round{slices.Collect(r.All()), r.Version().Token, err}
		}
	}()
	return rounds
}

func (r *rig) grant(t fatalTester, name string, args core.Args, filters ...filter.Expr) *core.Grant {
	t.Helper()
	g, err := r.reg.Open(r.ctx, name, args, filters...)
	if err != nil {
		t.Fatalf("Open(%s, %v): %v", name, args, err)
	}
	return g
}

// TestFollowAgainstModel changes rows while followers are slow in ways of their own:
// each version that one is shown is a state that the table was in, later than the
// one before, and the last one is the newest.
func TestFollowAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newItems(t, core.Config{})
		r.start(t, core.Bind("all", r.table))
		defer r.stop(t)
		ctx, cancel := context.WithCancel(r.ctx)
		defer cancel()
		g := r.grant(t, "all", nil)
		defer g.Close()
		type follower struct {
			rounds <-chan round
			at     int // in states, of what was shown last
			token  string
		}
		var followers []*follower
		for range 2 {
			followers = append(followers, &follower{rounds: followed(ctx, g), at: -1})
		}
		states := [][]item{{}}
		take := func(f *follower) {
			got := <-f.rounds
			if got.err != nil || got.token == f.token {
				t.Fatalf("shown %q after %q, %v", got.token, f.token, got.err)
			}
			// A state that comes back looks as it did: any that is not earlier may be meant.
			at := f.at
			for at < len(states) && (at < 0 || !slices.Equal(states[at], got.rows)) {
				at++
			}
			if at == len(states) {
				t.Fatalf("shown %v, after state %d of %v", got.rows, f.at, states)
			}
			f.at, f.token = at, got.token
		}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			for _, f := range followers {
				if last := states[len(states)-1]; (f.at < 0 || !slices.Equal(states[f.at], last)) && rapid.Bool().Draw(t, "take") {
					take(f)
				}
			}
			r.report(t, r.table.Put(item{ID: rapid.IntRange(1, 3).Draw(t, "id"), Price: rapid.IntRange(0, 2).Draw(t, "price")}))
			var state []item
			for _, i := range r.table.Rows() {
				state = append(state, i)
			}
			slices.SortFunc(state, func(a, b item) int { return a.ID - b.ID })
			states = append(states, state)
		}
		for _, f := range followers {
			for f.at < 0 || !slices.Equal(states[f.at], states[len(states)-1]) {
				take(f)
			}
		}
		cancel()
		for _, f := range followers {
			for got := range f.rounds {
				if got.err != nil {
					t.Fatalf("the end of the context is no error: %v", got.err)
				}
			}
		}
	})
}

func TestFollowEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(r *rig, denied *atomic.Bool) error
		want func(error) bool
	}{
		"revocation": {
			func(r *rig, denied *atomic.Bool) error { denied.Store(true); return r.reg.Reauthorize(r.ctx) },
			func(err error) bool { var d *core.DeniedError; return errors.As(err, &d) },
		},
		"shutdown": {
			func(r *rig, _ *atomic.Bool) error { return r.reg.Shutdown(r.ctx) },
			func(err error) bool { return errors.Is(err, live.ErrClosed) },
		},
		"removal": {
			func(r *rig, _ *atomic.Bool) error { return r.reg.Remove(r.ctx, "all") },
			func(err error) bool { return errors.Is(err, live.ErrRemoved) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newItems(t, core.Config{})
			var denied atomic.Bool
			_ = r.reg.Authorize(core.AuthorizerFunc(func(context.Context, core.Access) (core.Decision, error) {
				if denied.Load() {
					return core.Deny(), nil
				}
				return core.Allow(), nil
			}))
			r.start(t, core.Bind("all", r.table))
			defer r.stop(t)
			g := r.grant(t, "all", nil)
			defer g.Close()
			rounds := followed(r.ctx, g)
			if got := <-rounds; got.err != nil {
				t.Fatal(got.err)
			}
			if err := tt.end(r, &denied); err != nil {
				t.Fatal(err)
			}
			if got := <-rounds; !tt.want(got.err) {
				t.Errorf("ended by %v", got.err)
			}
			if _, more := <-rounds; more {
				t.Error("the error was not the last round")
			}
		})
	}
}

// TestFollowGoesOnWithOtherRights: what may be seen changes, and the follower is
// shown that, narrowed as it asked.
func TestFollowGoesOnWithOtherRights(t *testing.T) {
	r := newItems(t, core.Config{})
	for i := range 6 {
		r.table.Put(item{ID: i, Name: string(rune('a' + i%2)), Price: i})
	}
	var scope atomic.Value
	scope.Store("a")
	_ = r.reg.Authorize(core.AuthorizerFunc(func(context.Context, core.Access) (core.Decision, error) {
		return core.AllowWhere(filter.Eq("name", scope.Load())), nil
	}))
	fam := core.BindFamily("family", r.table, core.Where(filter.Ge("price", filter.Param("from").Optional())))
	r.start(t, fam)
	defer r.stop(t)
	g := r.grant(t, "family", core.Args{"from": 1}, filter.Ne("price", 2))
	ctx, cancel := context.WithCancel(r.ctx)
	rounds := followed(ctx, g)
	ids := func(got round) (ids []int) {
		for _, i := range got.rows {
			ids = append(ids, i.ID)
		}
		return ids
	}
	if got := <-rounds; !slices.Equal(ids(got), []int{4}) {
		t.Fatalf("shown %+v", got)
	}
	scope.Store("b")
	if err := r.reg.Reauthorize(r.ctx); err != nil {
		t.Fatal(err)
	}
	if got := <-rounds; !slices.Equal(ids(got), []int{1, 3, 5}) {
		t.Fatalf("shown %+v", got)
	}
	if _, err := core.Read[item](r.ctx, g); !errors.Is(err, live.ErrScopeChanged) {
		t.Errorf("reading by a grant from before: %v", err)
	}
	r.report(t, r.table.Put(item{ID: 7, Name: "b", Price: 7}), r.table.Put(item{ID: 8, Name: "a", Price: 8}))
	if got := <-rounds; !slices.Equal(ids(got), []int{1, 3, 5, 7}) {
		t.Fatalf("shown %+v", got)
	}
	cancel()
	if _, more := <-rounds; more {
		t.Error("shown more after the end of the context")
	}
	g.Close()
	if st := r.reg.Status().Families[0]; st.InUse != 0 {
		t.Errorf("%d members are still in use", st.InUse)
	}
	for _, v := range r.reg.Views() {
		if n := v.Counts().Subscribers; n != 0 {
			t.Errorf("%s: %d subscribers are left", v.ID(), n)
		}
	}
}

func TestReadThroughGrants(t *testing.T) {
	r := newItems(t, core.Config{LoadWait: -1})
	r.table.Put(item{ID: 1, Price: 1})
	release := r.table.Hold()
	r.start(t, core.Bind("all", r.table))
	defer r.stop(t)
	g := r.grant(t, "all", nil)
	defer g.Close()
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	if _, err := core.Read[item](ctx, g); !errors.Is(err, context.Canceled) {
		t.Errorf("before the rows have loaded: %v", err)
	}
	release()
	read, err := core.Read[item](r.ctx, g)
	if err != nil || read.Len() != 1 {
		t.Fatalf("%d rows, %v", read.Len(), err)
	}
	pinned := core.WithSnapshots(r.ctx, g.View())
	r.report(t, r.table.Put(item{ID: 2}))
	if again, _ := core.Read[item](pinned, g); again.Version().Token != read.Version().Token {
		t.Error("Read does not go by what is pinned")
	}
	if again, _ := core.Read[item](r.ctx, g); again.Len() != 2 {
		t.Error("Read does not show the newest version")
	}
	if _, err := core.Read[string](r.ctx, g); !errors.Is(err, core.ErrRowType) {
		t.Errorf("rows of another type: %v", err)
	}
	for _, err := range core.Follow[booking](r.ctx, g) {
		if !errors.Is(err, core.ErrRowType) {
			t.Errorf("rows of another type: %v", err)
		}
	}
}
