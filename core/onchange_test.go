package core_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
)

// TestOnChangeAfterStop: what is published after stop calls nothing. (That a call which
// is being prepared while stop runs does not begin either is held by the tests of
// package onchange, which can stop in its midst.)
func TestOnChangeAfterStop(t *testing.T) {
	r := newItems(t, core.Config{})
	b := core.Bind("items", r.table)
	r.start(t, b)
	var calls atomic.Int32
	first := make(chan struct{}, 1)
	stop := b.OnChange(func(core.Delta[item]) {
		if calls.Add(1) == 1 {
			first <- struct{}{}
		}
	})
	<-first
	stop()
	for id := range 20 {
		r.report(t, r.table.Put(item{ID: id}))
	}
	r.stop(t) // waits for calls under way
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls, want the first alone", n)
	}
}

// TestOnChangeOfRemoved: Shutdown waits for calls under way, also for bindings
// that are gone, and however often others were removed since.
func TestOnChangeOfRemoved(t *testing.T) {
	r := newItems(t, core.Config{})
	b := core.Bind("items", r.table)
	r.table.Put(item{ID: 1})
	r.start(t, b, core.Bind("second", r.table), core.Bind("third", r.table))
	in, let := make(chan struct{}), make(chan struct{})
	var done atomic.Bool
	b.OnChange(func(core.Delta[item]) { close(in); <-let; done.Store(true) })
	<-in
	for _, name := range []string{"items", "second", "third"} {
		if err := r.reg.Remove(r.ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	down := make(chan error, 1)
	go func() { down <- r.reg.Shutdown(r.ctx) }()
	select {
	case <-down:
		t.Error("Shutdown has returned while the function runs")
	case <-time.After(50 * time.Millisecond):
	}
	close(let)
	if err := <-down; err != nil || !done.Load() {
		t.Errorf("Shutdown: %v, function done: %v", err, done.Load())
	}
}

// TestOnChangeBesideShutdown: functions come and go while Shutdown waits for
// them. Under -race a WaitGroup would panic here.
func TestOnChangeBesideShutdown(t *testing.T) {
	for range 50 {
		r := newItems(t, core.Config{})
		b := core.Bind("items", r.table)
		r.start(t, b)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { b.OnChange(func(core.Delta[item]) {})() })
		}
		r.stop(t)
		wg.Wait()
	}
}

// TestOnChangeThatBlocks stalls nobody: other functions, other bindings and
// writes go on, and the binding can be removed.
func TestOnChangeThatBlocks(t *testing.T) {
	r := newItems(t, core.Config{})
	b, other := core.Bind("items", r.table), core.Bind("other", r.table)
	r.table.Put(item{ID: 1})
	r.start(t, b, other)
	in, let := make(chan struct{}), make(chan struct{})
	b.OnChange(func(core.Delta[item]) { close(in); <-let })
	<-in
	seen := make(chan int, 10)
	b.OnChange(func(d core.Delta[item]) { seen <- len(d.Created) })
	<-seen
	r.report(t, r.table.Put(item{ID: 2}))
	if n := <-seen; n != 1 || b.Len() != 2 || other.Len() != 2 {
		t.Errorf("the other function saw %d rows, the bindings have %d and %d", n, b.Len(), other.Len())
	}
	if err := r.reg.Remove(r.ctx, "items"); err != nil {
		t.Error(err)
	}
	close(let)
	r.stop(t)
}

// TestOnChangeAfterShutdown calls nothing and leaves no goroutine.
func TestOnChangeAfterShutdown(t *testing.T) {
	r := newItems(t, core.Config{})
	b := core.Bind("items", r.table)
	r.start(t, b)
	r.stop(t)
	b.OnChange(func(core.Delta[item]) { t.Error("called after Shutdown") })()
}
