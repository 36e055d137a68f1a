package core_test

import (
	"context"
	"errors"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
)

// A grant from before Reauthorize shows nothing, and writes nothing.
func TestStaleGrant(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1, Name: "a"})
	b := core.Bind("items", r.table, core.Writable())
	during := func() {}
	if err := r.reg.Authorize(core.AuthorizerFunc(func(_ context.Context, a core.Access) (core.Decision, error) {
		if a.Action != core.ActionRead {
			during()
		}
		return core.Allow(), nil
	})); err != nil {
		t.Fatal(err)
	}
	r.start(t, b)
	defer r.stop(t)
	open := func() *core.Grant {
		t.Helper()
		g, err := r.reg.Open(r.ctx, "items", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
		return g
	}
	merge := live.Write{Op: live.Merge, Key: key(1), Body: []byte(`{"name":"b"}`)}

	g := open()
	if s, err := g.Snapshot(); err != nil || s.Len() != 1 {
		t.Fatalf("%v, %v", s, err)
	}
	if err := r.reg.Reauthorize(r.ctx); err != nil {
		t.Fatal(err)
	}
	if s, err := g.Snapshot(); !errors.Is(err, live.ErrScopeChanged) || s != nil {
		t.Errorf("a stale grant shows %v, %v", s, err)
	}
	if _, err := g.Write(r.ctx, merge); !errors.Is(err, live.ErrScopeChanged) {
		t.Errorf("a stale grant writes: %v", err)
	}
	// While the authorizer is asked about the write:
	g = open()
	during = func() { _ = r.reg.Reauthorize(r.ctx) }
	if _, err := g.Write(r.ctx, merge); !errors.Is(err, live.ErrScopeChanged) {
		t.Errorf("a grant that became stale writes: %v", err)
	}
	during = func() {}
	if got := r.table.Rows()[key(1)].Name; got != "a" {
		t.Fatalf("the row was written: %q", got)
	}
	// While the write is under way, it is made, and not shown.
	g = open()
	merge.Match = func(live.Row) bool { _ = r.reg.Reauthorize(r.ctx); return true }
	if row, err := g.Write(r.ctx, merge); err != nil || row != (live.Row{}) || r.table.Rows()[key(1)].Name != "b" {
		t.Errorf("answered %v, %v", row, err)
	}
}
