package core_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
)

type principalKey struct{}

// as returns a context that belongs to somebody.
func as(ctx context.Context, who string) context.Context {
	return context.WithValue(ctx, principalKey{}, who)
}

// rules is an authorizer whose decisions can be changed.
type rules struct {
	mu     sync.Mutex
	decide func(who string, a core.Access) (core.Decision, error)
	asked  []string
}

func (r *rules) Authorize(ctx context.Context, a core.Access) (core.Decision, error) {
	who, _ := ctx.Value(principalKey{}).(string)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, fmt.Sprintf("%s: %s %s", who, a.Action, a.Binding))
	return r.decide(who, a)
}

func (r *rules) set(decide func(who string, a core.Access) (core.Decision, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.decide = decide
}

// byName confines everybody to the rows of their name; the boss sees all, and
// nobody is nobody.
func byName(who string, _ core.Access) (core.Decision, error) {
	switch who {
	case "":
		return core.Unauthenticated("Bearer"), nil
	case "boss":
		return core.Allow(), nil
	case "thief":
		return core.Deny(), nil
	}
	return core.AllowWhere(filter.Eq("name", who)), nil
}

func guarded(t *testing.T, cfg core.Config, bindings func(r *rig) []core.Bindable) (*rig, *rules) {
	t.Helper()
	r := newItems(t, cfg)
	a := &rules{decide: byName}
	if err := r.reg.Authorize(a); err != nil {
		t.Fatal(err)
	}
	r.table.Put(item{ID: 1, Name: "a", Price: 1}, item{ID: 2, Name: "b", Price: 2}, item{ID: 3, Name: "a", Price: 3})
	r.start(t, bindings(r)...)
	t.Cleanup(func() { r.stop(t) })
	return r, a
}

func plainItems(r *rig) []core.Bindable { return []core.Bindable{core.Bind("items", r.table)} }

func (r *rig) open(t *testing.T, who, binding string, args core.Args) *core.Grant {
	t.Helper()
	g, err := r.reg.Open(as(r.ctx, who), binding, args)
	if err != nil {
		t.Fatalf("%s opens %s: %v", who, binding, err)
	}
	t.Cleanup(g.Close)
	select {
	case <-g.View().Loaded():
	case <-r.ctx.Done():
		t.Fatal("not loaded")
	}
	return g
}

func keysOf(v *live.View) (keys []string) {
	for row := range v.Snapshot().Rows() {
		keys = append(keys, row.Key().String())
	}
	return keys
}

func TestScopes(t *testing.T) {
	r, _ := guarded(t, core.Config{}, func(r *rig) []core.Bindable {
		return []core.Bindable{
			core.Bind("items", r.table),
			core.BindFamily("dear", r.table, core.Where(filter.Ge("price", filter.Param("min")))),
		}
	})
	a, b, boss := r.open(t, "a", "items", nil), r.open(t, "b", "items", nil), r.open(t, "boss", "items", nil)
	if got := keysOf(a.View()); !slices.Equal(got, []string{"1", "3"}) {
		t.Errorf("a sees %v", got)
	}
	if got := keysOf(b.View()); !slices.Equal(got, []string{"2"}) {
		t.Errorf("b sees %v", got)
	}
	if items, _ := r.reg.Lookup("items"); boss.View() != items {
		t.Error("who may see all does not see the binding itself")
	}
	if a2 := r.open(t, "a", "items", nil); a2.View() != a.View() {
		t.Error("two of one scope do not share a member")
	}
	if a.View().Version().Token == boss.View().Version().Token {
		t.Error("two scopes share a token")
	}
	if a.View().Name() != "items" || a.View().ID() != "items" {
		t.Errorf("the scope shows: %s", a.View().ID())
	}
	dear := r.open(t, "a", "dear", core.Args{"min": 2})
	if got := keysOf(dear.View()); !slices.Equal(got, []string{"3"}) {
		t.Errorf("a sees %v of the family", got)
	}
	r.report(t, r.table.Put(item{ID: 2, Name: "a", Price: 5}))
	if got := keysOf(dear.View()); !slices.Equal(got, []string{"2", "3"}) {
		t.Errorf("a sees %v of the family after a change", got)
	}
	if got := keysOf(b.View()); len(got) != 0 {
		t.Errorf("b sees %v", got)
	}
}

func TestDenied(t *testing.T) {
	r, a := guarded(t, core.Config{}, plainItems)
	var denied *core.DeniedError
	if _, err := r.reg.Open(as(r.ctx, "thief"), "items", nil); !errors.As(err, &denied) || denied.Challenge != "" {
		t.Errorf("the thief: %v", err)
	}
	if _, err := r.reg.Open(r.ctx, "items", nil); !errors.As(err, &denied) || denied.Challenge != "Bearer" {
		t.Errorf("nobody: %v", err)
	}
	if _, err := r.reg.Open(as(r.ctx, "thief"), "secret", nil); !errors.Is(err, core.ErrUnknownBinding) {
		t.Errorf("a binding that there is not: %v", err)
	}
	a.set(func(string, core.Access) (core.Decision, error) { return core.Decision{}, nil })
	if _, err := r.reg.Open(as(r.ctx, "boss"), "items", nil); !errors.As(err, &denied) {
		t.Errorf("the zero decision: %v", err)
	}
	broken := errors.New("the directory is away")
	a.set(func(string, core.Access) (core.Decision, error) { return core.Allow(), broken })
	if _, err := r.reg.Open(as(r.ctx, "boss"), "items", nil); !errors.Is(err, broken) {
		t.Errorf("an authorizer that fails: %v", err)
	}
	a.set(func(string, core.Access) (core.Decision, error) { panic("oh") })
	if _, err := r.reg.Open(as(r.ctx, "boss"), "items", nil); err == nil || !strings.Contains(err.Error(), "oh") {
		t.Errorf("an authorizer that panics: %v", err)
	}
	a.set(func(string, core.Access) (core.Decision, error) { return core.AllowWhere(filter.Eq("nowhere", 1)), nil })
	if _, err := r.reg.Open(as(r.ctx, "boss"), "items", nil); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a scope on a column that there is not: %v", err)
	}
}

func TestGuardedWrites(t *testing.T) {
	r, a := guarded(t, core.Config{}, func(r *rig) []core.Bindable {
		return []core.Bindable{core.Bind("items", r.table, core.Writable(core.WriteRules{RowsMayLeave: true}), core.Where(filter.Lt("price", 10)))}
	})
	g := r.open(t, "a", "items", nil)
	var invalid *driver.InvalidError
	var denied *core.DeniedError
	update := func(id int, body string) error {
		_, err := g.Write(as(r.ctx, "a"), live.Write{Op: live.Merge, Key: driver.KeyOf(id), Body: []byte(body)})
		return err
	}
	if err := update(1, `{"price":5}`); err != nil {
		t.Errorf("a writes its own row: %v", err)
	}
	if err := update(2, `{"price":5}`); !errors.Is(err, live.ErrNoRow) {
		t.Errorf("a writes the row of b: %v", err)
	}
	if err := update(1, `{"price":50}`); err != nil { // rows may leave the binding
		t.Errorf("a row leaves: %v", err)
	}
	if err := update(3, `{"name":"b"}`); !errors.As(err, &invalid) { // but not the scope
		t.Errorf("a gives its row away: %v", err)
	}
	_, err := g.Write(as(r.ctx, "a"), live.Write{Op: live.Insert, Body: []byte(`{"id":9,"name":"b","price":1,"live":true}`)})
	if !errors.As(err, &invalid) {
		t.Errorf("a inserts a row for b: %v", err)
	}
	if row, ok := r.table.Rows()[driver.KeyOf(9)]; ok {
		t.Errorf("the row is there: %+v", row)
	}
	if _, err := g.Write(as(r.ctx, "a"), live.Write{Op: live.Delete, Key: driver.KeyOf(2)}); !errors.Is(err, live.ErrNoRow) {
		t.Errorf("a deletes the row of b: %v", err)
	}

	// A scope of the action's own: only dear rows may be changed, none deleted.
	a.set(func(who string, acc core.Access) (core.Decision, error) {
		switch acc.Action {
		case core.ActionUpdate:
			return core.AllowWhere(filter.Ge("price", 3)), nil
		case core.ActionDelete:
			return core.Deny(), nil
		}
		return byName(who, acc)
	})
	r.report(t, r.table.Put(item{ID: 1, Name: "a", Price: 1}))
	if err := update(1, `{"live":true}`); !errors.As(err, &denied) || denied.Access.Action != core.ActionUpdate {
		t.Errorf("a row outside of the action's scope: %v", err)
	}
	if err := update(3, `{"live":true}`); err != nil {
		t.Errorf("a row within the action's scope: %v", err)
	}
	if err := update(3, `{"price":1}`); !errors.As(err, &denied) {
		t.Errorf("a row that leaves the action's scope: %v", err)
	}
	if got := r.table.Rows()[driver.KeyOf(3)]; got.Price != 3 || !got.Live {
		t.Errorf("the row is %+v", got)
	}
	if _, err := g.Write(as(r.ctx, "a"), live.Write{Op: live.Delete, Key: driver.KeyOf(3)}); !errors.As(err, &denied) {
		t.Errorf("a delete that is denied: %v", err)
	}
}

func TestRevocation(t *testing.T) {
	r, a := guarded(t, core.Config{ReauthorizeEvery: -1}, plainItems)
	g := r.open(t, "a", "items", nil)
	sub := g.Subscribe(as(r.ctx, "a"), live.SubscribeOptions{})
	defer sub.Close()
	other := r.open(t, "b", "items", nil)
	stays := other.Subscribe(as(r.ctx, "b"), live.SubscribeOptions{})
	defer stays.Close()
	for _, s := range []*live.Subscription{sub, stays} {
		if _, err := s.Next(r.ctx); err != nil {
			t.Fatal(err)
		}
	}
	// A failing authorizer ends nothing.
	a.set(func(string, core.Access) (core.Decision, error) { return core.Decision{}, errors.New("away") })
	if err := r.reg.Reauthorize(r.ctx); err == nil {
		t.Error("Reauthorize does not tell that the authorizer failed")
	}
	a.set(func(who string, acc core.Access) (core.Decision, error) {
		if who == "a" {
			return core.Deny(), nil
		}
		return byName(who, acc)
	})
	waiting := make(chan error, 1)
	go func() {
		_, err := sub.Next(r.ctx) // it waits when it is revoked
		waiting <- err
	}()
	if err := r.reg.Reauthorize(r.ctx); err != nil {
		t.Error(err)
	}
	var denied *core.DeniedError
	if err := <-waiting; !errors.As(err, &denied) {
		t.Errorf("a is told: %v", err)
	}
	r.report(t, r.table.Put(item{ID: 1, Name: "a", Price: 100}, item{ID: 2, Name: "b", Price: 100}))
	if e, err := sub.Poll(); e != nil || !errors.As(err, &denied) {
		t.Errorf("a still gets %v, %v", e, err)
	}
	if e, err := stays.Next(r.ctx); err != nil || len(e.Updated) != 1 {
		t.Errorf("b gets %v, %v", e, err)
	}
	// The scope of b changes.
	a.set(func(string, core.Access) (core.Decision, error) { return core.AllowWhere(filter.Gt("price", 50)), nil })
	if err := r.reg.Reauthorize(r.ctx); err != nil {
		t.Error(err)
	}
	if e, err := stays.Poll(); e != nil || !errors.Is(err, live.ErrScopeChanged) {
		t.Errorf("b gets %v, %v", e, err)
	}
}

func TestReauthorizesByItself(t *testing.T) {
	r, a := guarded(t, core.Config{ReauthorizeEvery: time.Millisecond}, plainItems)
	g := r.open(t, "a", "items", nil)
	sub := g.Subscribe(as(r.ctx, "a"), live.SubscribeOptions{})
	defer sub.Close()
	if _, err := sub.Next(r.ctx); err != nil {
		t.Fatal(err)
	}
	a.set(func(string, core.Access) (core.Decision, error) { return core.Deny(), nil })
	var denied *core.DeniedError
	if _, err := sub.Next(r.ctx); !errors.As(err, &denied) {
		t.Errorf("got %v", err)
	}
}

func TestAuthorizerIsSetOnce(t *testing.T) {
	r := newItems(t, core.Config{})
	_ = r.reg.Authorize(nil)
	_ = r.reg.Authorize(&rules{decide: byName})
	_ = r.reg.Authorize(&rules{decide: byName})
	err := r.reg.Start(r.ctx)
	if err == nil || !strings.Contains(err.Error(), "nil authorizer") || !strings.Contains(err.Error(), "a second authorizer") {
		t.Errorf("Start: %v", err)
	}
	_ = r.reg.Shutdown(r.ctx)
}

// TestAuthorizerThatIgnoresItsContext is answered for: the question ends with an
// error within Config.AuthorizeTimeout, and sooner when Shutdown begins.
func TestAuthorizerThatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newItems(t, core.Config{AuthorizeTimeout: 3 * time.Second, ReauthorizeEvery: -1})
		let := make(chan struct{})
		_ = r.reg.Authorize(core.AuthorizerFunc(func(context.Context, core.Access) (core.Decision, error) {
			<-let
			return core.Allow(), nil
		}))
		r.start(t, core.Bind("items", r.table))
		begun := time.Now()
		_, err := r.reg.Open(t.Context(), "items", nil)
		wantErr(t, err, `"items"`, "not answered in time")
		if took := time.Since(begun); took != 3*time.Second {
			t.Errorf("it took %v", took)
		}
		opened := make(chan error, 1)
		go func() {
			_, err := r.reg.Open(t.Context(), "items", nil)
			opened <- err
		}()
		synctest.Wait()
		begun = time.Now()
		r.stop(t)
		if err := <-opened; !errors.Is(err, live.ErrClosed) {
			t.Errorf("Open during Shutdown: %v", err)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("it took %v", took)
		}
		close(let)
	})
}

// TestQuestionsAreBounded: an authorizer that never answers costs no more than a
// number of goroutines, and recovers.
func TestQuestionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newItems(t, core.Config{AuthorizeTimeout: time.Second, ReauthorizeEvery: -1})
		let := make(chan struct{})
		_ = r.reg.Authorize(core.AuthorizerFunc(func(context.Context, core.Access) (core.Decision, error) {
			<-let
			return core.Allow(), nil
		}))
		r.start(t, core.Bind("items", r.table))
		defer r.stop(t)
		var asking sync.WaitGroup
		for range core.MaxQuestions {
			asking.Go(func() { _, _ = r.reg.Open(t.Context(), "items", nil) })
		}
		asking.Wait()
		begun := time.Now()
		_, err := r.reg.Open(t.Context(), "items", nil)
		wantErr(t, err, "has not answered 10000 questions")
		if took := time.Since(begun); took > 0 {
			t.Errorf("it was asked for %v", took)
		}
		close(let)
		synctest.Wait()
		g, err := r.reg.Open(t.Context(), "items", nil)
		if err != nil {
			t.Fatal(err)
		}
		g.Close()
	})
}
