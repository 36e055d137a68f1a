package core_test

import (
	"errors"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
)

// Whatever Poll has returned, what comes after it is notified of, once, until
// Poll is called again.
func TestNotifyFollowsPoll(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1})
	b := core.Bind("items", r.table)
	r.start(t, b)
	defer r.stop(t)
	calls := 0 // by the publishing goroutine, which each report waits for
	sub := b.Subscribe(live.SubscribeOptions{Notify: func() { calls++ }})
	defer sub.Close()
	write := func(name string, want int) {
		t.Helper()
		r.report(t, r.table.Put(item{ID: 1, Name: name}))
		if calls != want {
			t.Errorf("%d notifications after %q, want %d", calls, name, want)
		}
	}
	poll := func(kind live.EventKind) {
		t.Helper()
		if e, err := sub.Poll(); err != nil || e == nil || e.Kind != kind || e.Version != b.Version() {
			t.Fatalf("Poll returned %+v, %v", e, err)
		}
	}
	none := func() {
		t.Helper()
		if e, err := sub.Poll(); e != nil || err != nil {
			t.Fatalf("Poll returned %+v, %v with nothing new", e, err)
		}
	}
	write("before the first poll", 0)
	poll(live.Synced)
	write("after a sync", 1)
	write("before the next poll", 1)
	poll(live.Changed)
	write("after a merged event", 2)
	poll(live.Changed)
	none()
	none()
	write("after none", 3)
	poll(live.Changed)
	if err := b.Clear(r.ctx); err != nil || calls != 4 {
		t.Fatalf("%d notifications after Clear, %v", calls, err)
	}
	poll(live.Synced)
	if err := r.reg.Remove(r.ctx, "items"); err != nil || calls != 5 {
		t.Fatalf("%d notifications after Remove, %v", calls, err)
	}
	if e, err := sub.Poll(); e != nil || !errors.Is(err, live.ErrRemoved) {
		t.Errorf("Poll returned %+v, %v after Remove", e, err)
	}
	sub.Close()
	if _, err := sub.Poll(); !errors.Is(err, live.ErrSubscriptionClosed) {
		t.Errorf("Poll returned %v after Close", err)
	}
}
