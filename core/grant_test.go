package core_test

import (
	"errors"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
)

// Who was allowed before the rights changed, and subscribes afterwards, is not
// forgotten: Reauthorize could not know of it.
func TestSubscribingAfterReauthorize(t *testing.T) {
	r, a := guarded(t, core.Config{ReauthorizeEvery: -1}, plainItems)
	g := r.open(t, "boss", "items", nil)
	a.set(func(string, core.Access) (core.Decision, error) { return core.Deny(), nil })
	if err := r.reg.Reauthorize(r.ctx); err != nil {
		t.Fatal(err)
	}
	sub := g.Subscribe(as(r.ctx, "boss"), live.SubscribeOptions{})
	defer sub.Close()
	if e, err := sub.Poll(); e != nil || !errors.Is(err, live.ErrScopeChanged) {
		t.Errorf("the boss gets %v, %v", e, err)
	}
	var denied *core.DeniedError
	if _, err := r.reg.Open(as(r.ctx, "boss"), "items", nil); !errors.As(err, &denied) {
		t.Errorf("asking again: %v", err)
	}
}

// Err is what the next Poll says, while an event is still being worked on.
func TestErrOfASubscription(t *testing.T) {
	r, a := guarded(t, core.Config{ReauthorizeEvery: -1}, plainItems)
	sub := r.open(t, "a", "items", nil).Subscribe(as(r.ctx, "a"), live.SubscribeOptions{})
	defer sub.Close()
	if err := sub.Err(); err != nil {
		t.Errorf("at first: %v", err)
	}
	a.set(func(string, core.Access) (core.Decision, error) { return core.Deny(), nil })
	if err := r.reg.Reauthorize(r.ctx); err != nil {
		t.Fatal(err)
	}
	var denied *core.DeniedError
	if err := sub.Err(); !errors.As(err, &denied) {
		t.Errorf("after the leave was withdrawn: %v", err)
	}
	sub.Close()
	if err := sub.Err(); !errors.Is(err, live.ErrSubscriptionClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestWhatGrantsTell(t *testing.T) {
	bindings := func(r *rig) []core.Bindable {
		return []core.Bindable{core.Bind("items", r.table), core.BindFamily("named", r.table, core.Where(filter.Eq("name", filter.Param("name"))))}
	}
	r, _ := guarded(t, core.Config{}, bindings)
	for _, c := range []struct {
		who, binding string
		args         core.Args
		member       bool
	}{
		{"boss", "items", nil, false},
		{"a", "items", nil, true},
		{"boss", "named", core.Args{"name": "a"}, true},
	} {
		g := r.open(t, c.who, c.binding, c.args)
		if !g.Personal() || g.Member() != c.member {
			t.Errorf("%s, %s: personal %t, member %t", c.who, c.binding, g.Personal(), g.Member())
		}
		if id, err := r.reg.MemberID(c.binding, c.args); err != nil || id != g.View().ID() {
			t.Errorf("%s: MemberID %q, %v; want %q", c.binding, id, err, g.View().ID())
		}
	}
	if n := r.reg.Status().Families[1].Alive; n != 1 {
		t.Errorf("%d members alive", n)
	}
	if id, err := r.reg.MemberID("named", core.Args{"name": "x&y"}); err != nil || id != "named?name=x%26y" {
		t.Errorf("MemberID %q, %v", id, err)
	}
	if n := r.reg.Status().Families[1].Alive; n != 1 {
		t.Errorf("MemberID has brought one alive: %d", n)
	}
	if _, err := r.reg.MemberID("none", nil); !errors.Is(err, core.ErrUnknownBinding) {
		t.Errorf("of an unknown binding: %v", err)
	}
	var wrong *core.ArgumentError
	if _, err := r.reg.MemberID("named", nil); !errors.As(err, &wrong) {
		t.Errorf("without arguments: %v", err)
	}

	open := newItems(t, core.Config{})
	open.start(t, bindings(open)...)
	defer open.stop(t)
	first, second := open.open(t, "", "items", nil), open.open(t, "", "items", nil)
	if first.Personal() || first != second {
		t.Errorf("without an authorizer all share one grant, which is nobody's own: %t", first.Personal())
	}
}

// A scope that was forgotten is not everything.
func TestNilScopesShowNothing(t *testing.T) {
	r, a := guarded(t, core.Config{ReauthorizeEvery: -1}, func(r *rig) []core.Bindable {
		return []core.Bindable{core.Bind("items", r.table, core.Writable())}
	})
	boss := r.open(t, "boss", "items", nil)
	var none *filter.Comparison
	for name, scope := range map[string][]filter.Expr{
		"nil":         {nil},
		"nil pointer": {none},
		"one of two":  {filter.Eq("name", "a"), nil},
	} {
		a.set(func(string, core.Access) (core.Decision, error) { return core.AllowWhere(scope...), nil })
		if g, err := r.reg.Open(as(r.ctx, "x"), "items", nil); err == nil {
			t.Errorf("%s: shows %v", name, keysOf(g.View()))
			g.Close()
		}
		if _, err := boss.Write(as(r.ctx, "x"), live.Write{Op: live.Delete, Key: key(2)}); err == nil {
			t.Errorf("%s: deletes a row", name)
		}
	}
}
