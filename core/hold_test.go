package core_test

import (
	"context"
	"errors"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
)

// TestHold: operators reach bindings and members that an authorizer denies to
// clients; a member lives until it is released.
func TestHold(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1, Name: "a"}, item{ID: 2, Name: "b"})
	all := core.Bind("all", r.table)
	named := core.BindFamily("named", r.table, core.Where(filter.Eq("name", filter.Param("name"))))
	_ = r.reg.Authorize(core.AuthorizerFunc(func(context.Context, core.Access) (core.Decision, error) { return core.Deny(), nil }))
	if _, _, err := r.reg.Hold(r.ctx, "all", nil); !errors.Is(err, core.ErrNotStarted) {
		t.Errorf("before Start: %v", err)
	}
	r.start(t, all, named)
	defer r.stop(t)
	v, release, err := r.reg.Hold(r.ctx, "all", nil)
	if err != nil || v != all.View || v.Len() != 2 {
		t.Fatalf("a binding: %v", err)
	}
	release()
	v, release, err = r.reg.Hold(r.ctx, "named", core.TextArgs(map[string]string{"name": "b"}))
	if err != nil || v.ID() != "named?name=b" || v.Len() != 1 {
		t.Fatalf("a member: %v", err)
	}
	inUse := func() int { return r.reg.Status().Families[0].InUse }
	if n := inUse(); n != 1 {
		t.Errorf("%d members are in use", n)
	}
	release()
	release()
	if n := inUse(); n != 0 {
		t.Errorf("after release %d members are in use", n)
	}
	var argument *core.ArgumentError
	if _, _, err := r.reg.Hold(r.ctx, "named", nil); !errors.As(err, &argument) {
		t.Errorf("without the parameter: %v", err)
	}
	if _, _, err := r.reg.Hold(r.ctx, "nothing", nil); !errors.Is(err, core.ErrUnknownBinding) {
		t.Errorf("an unknown name: %v", err)
	}
	free := r.table.Hold()
	defer free()
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	if _, _, err := r.reg.Hold(ctx, "named", core.Args{"name": "c"}); !errors.Is(err, context.Canceled) {
		t.Errorf("while the database is away: %v", err)
	}
}
