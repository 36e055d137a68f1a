package core_test

import (
	"errors"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
)

// TestVerify: what nobody reported is found, told and mended; what is under way
// is no drift.
func TestVerify(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1, Live: true}, item{ID: 2, Live: true}, item{ID: 3, Live: true})
	b := core.Bind("live", r.table, core.Where(filter.Eq("live", true)))
	if _, err := b.Verify(r.ctx); !errors.Is(err, core.ErrNotStarted) {
		t.Errorf("before Start: %v", err)
	}
	r.start(t, b)
	defer r.stop(t)
	if d, err := b.Verify(r.ctx); err != nil || d.Len() != 0 {
		t.Errorf("nothing happened: %+v %v", d, err)
	}
	// Behind everybody's back.
	r.table.Put(item{ID: 1, Name: "changed", Live: true}, item{ID: 2}, item{ID: 4, Live: true})
	// Announced, and committed, but not confirmed yet.
	a := r.source.Sink().Announce(driver.Change{Table: r.table.Name(), Keys: []driver.Key{key(3)}})
	r.table.Put(item{ID: 3, Name: "under way", Live: true})
	d, err := b.Verify(r.ctx)
	if err != nil || len(d.Missing) != 1 || d.Missing[0] != key(4) || len(d.Extra) != 1 || d.Extra[0] != key(2) ||
		len(d.Different) != 1 || d.Different[0] != key(1) {
		t.Errorf("drift %+v %v", d, err)
	}
	a.Confirm()
	if err := r.reg.Flush(r.ctx); err != nil {
		t.Fatal(err)
	}
	if d, err := b.Verify(r.ctx); err != nil || d.Len() != 0 {
		t.Errorf("after it was mended: %+v %v", d, err)
	}
	if got := ids(b); len(got) != 3 {
		t.Errorf("rows %v", got)
	}
}

// TestFound: a slower source is credited with what the faster one missed, and
// with nothing else.
func TestFound(t *testing.T) {
	r := newItems(t, core.Config{})
	slow := &coretest.Source{}
	_ = r.reg.Watch(slow)
	b := core.Bind("items", r.table)
	r.start(t, b)
	defer r.stop(t)
	whole := driver.Change{Table: r.table.Name()}
	r.report(t, r.table.Put(item{ID: 1}, item{ID: 2}))
	if err := slow.Report(r.ctx, whole); err != nil {
		t.Fatal(err)
	}
	r.table.Put(item{ID: 3})
	if err := slow.Report(r.ctx, whole); err != nil {
		t.Fatal(err)
	}
	st := r.reg.Status().Sources // in order of registration
	if st[0].Found != 1 || st[1].Found != 2 {
		t.Errorf("slow found %d, want 1; fast found %d, want 2", st[0].Found, st[1].Found)
	}
}

// A binding that forgets what it held while it is verified is verified again.
func TestVerifyDuringClear(t *testing.T) {
	r := newItems(t, core.Config{})
	b := core.Bind("items", r.table)
	r.start(t, b)
	defer r.stop(t)
	r.table.Put(item{ID: 1})
	if compared, err := core.VerifyDuringClear(r.ctx, b); err != nil || compared {
		t.Errorf("nothing was found to differ from nothing (%v)", err)
	}
}
