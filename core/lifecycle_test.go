package core_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

func TestOrderOfLife(t *testing.T) {
	r := newItems(t, core.Config{})
	j := &coretest.Journal{}
	_ = r.reg.Serve(&coretest.Transport{ID: "rest", Journal: j}, &coretest.Transport{ID: "sse", Journal: j, ShutdownErr: errors.New("streams stay")})
	_ = r.reg.Use(&coretest.Plugin{ID: "metrics", Journal: j, ShutdownErr: errors.New("no flush")}, &coretest.Plugin{ID: "admin", Journal: j})
	r.start(t, core.Bind("items", r.table))
	// One that fails to stop does not keep the others from stopping.
	wantErr(t, r.reg.Shutdown(r.ctx), `"sse"`, "streams stay", `"metrics"`, "no flush")
	want := []string{
		"mount rest", "mount sse", "start metrics", "start admin",
		"shutdown sse", "shutdown rest", "shutdown admin", "shutdown metrics",
	}
	if got := j.Calls(); !slices.Equal(got, want) {
		t.Errorf("order of life %q, want %q", got, want)
	}
}

// TestFailedStart stops what had started, and says what failed.
func TestFailedStart(t *testing.T) {
	for name, fail := range map[string]struct {
		transport, plugin error
		want              []string
	}{
		"mount":  {transport: errors.New("route taken"), want: []string{"mount a", "mount b", "shutdown a"}},
		"plugin": {plugin: errors.New("port taken"), want: []string{"mount a", "mount b", "start p", "shutdown b", "shutdown a"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newItems(t, core.Config{})
			j := &coretest.Journal{}
			_ = r.reg.Add(core.Bind("items", r.table))
			_ = r.reg.Watch(r.source)
			_ = r.reg.Serve(&coretest.Transport{ID: "a", Journal: j}, &coretest.Transport{ID: "b", Journal: j, MountErr: fail.transport})
			_ = r.reg.Use(&coretest.Plugin{ID: "p", Journal: j, StartErr: fail.plugin})
			err := r.reg.Start(r.ctx)
			wantErr(t, err, "taken", "lifecycle_test.go")
			if got := j.Calls(); !slices.Equal(got, fail.want) {
				t.Errorf("calls %q, want %q", got, fail.want)
			}
			if err := r.reg.Start(r.ctx); !errors.Is(err, live.ErrClosed) {
				t.Errorf("Start again: %v", err)
			}
		})
	}
}

// TestCancelledStart: a context that ends while Start waits stops everything.
func TestCancelledStart(t *testing.T) {
	r := newItems(t, core.Config{})
	release := r.table.Hold()
	defer release()
	_ = r.reg.Add(core.Bind("items", r.table))
	_ = r.reg.Watch(r.source)
	ctx, cancel := context.WithCancelCause(r.ctx)
	defer cancel(nil)
	before, _ := r.table.Reads()
	go func() {
		for n, _ := r.table.Reads(); n == before && r.ctx.Err() == nil; n, _ = r.table.Reads() {
			time.Sleep(time.Millisecond) // until it loads
		}
		cancel(errors.New("impatient"))
	}()
	wantErr(t, r.reg.Start(ctx), "bindings to load", "impatient")
	if err := r.reg.Start(r.ctx); !errors.Is(err, live.ErrClosed) {
		t.Errorf("Start again: %v", err)
	}
}

// stubborn ignores its context for a while.
type stubborn struct {
	coretest.Source
	let chan struct{}
}

func (s *stubborn) Watch(ctx context.Context, sink driver.Sink) error {
	sink.Watching()
	<-s.let
	return nil
}

// TestShutdownHonoursItsContext: what does not stop in time is named.
func TestShutdownHonoursItsContext(t *testing.T) {
	r := newItems(t, core.Config{})
	src := &stubborn{let: make(chan struct{})}
	_ = r.reg.Add(core.Bind("items", r.table))
	_ = r.reg.Watch(src)
	if err := r.reg.Start(r.ctx); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(r.ctx, 20*time.Millisecond)
	defer cancel()
	wantErr(t, r.reg.Shutdown(ctx), `source "coretest"`)
	close(src.let)
}

// TestReadingAgainAfterRemove: what has been removed is not read, and says so,
// also while the feed of its table goes on.
func TestReadingAgainAfterRemove(t *testing.T) {
	r := newItems(t, core.Config{})
	first, last := core.Bind("first", r.table), core.Bind("last", r.table)
	r.start(t, first, last)
	defer r.stop(t)
	for _, b := range []*core.Binding[item]{first, last} {
		if err := r.reg.Remove(r.ctx, b.Name()); err != nil {
			t.Fatal(err)
		}
		_, verified := b.Verify(r.ctx)
		for what, err := range map[string]error{"Resync": b.Resync(r.ctx), "Clear": b.Clear(r.ctx), "Verify": verified} {
			if !errors.Is(err, live.ErrRemoved) {
				t.Errorf("%s of %q: %v", what, b.Name(), err)
			}
		}
	}
}
