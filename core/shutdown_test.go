package core_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// slowPlugin is in the midst of Start until it is let go, whatever its context
// says.
type slowPlugin struct {
	coretest.Plugin
	entered, let chan struct{}
}

func newSlowPlugin(id string, j *coretest.Journal) *slowPlugin {
	return &slowPlugin{coretest.Plugin{ID: id, Journal: j}, make(chan struct{}), make(chan struct{})}
}

func (p *slowPlugin) Start(ctx context.Context, reg *core.Registry) error {
	close(p.entered)
	<-p.let
	return p.Plugin.Start(ctx, reg)
}

// TestShutdownDuringStart: nothing starts after Shutdown, and what was starting
// meanwhile is stopped by Start.
func TestShutdownDuringStart(t *testing.T) {
	r := newItems(t, core.Config{})
	j := &coretest.Journal{}
	a := newSlowPlugin("a", j)
	_ = r.reg.Add(core.Bind("items", r.table))
	_ = r.reg.Watch(r.source)
	_ = r.reg.Serve(&coretest.Transport{ID: "rest", Journal: j})
	_ = r.reg.Use(a, &coretest.Plugin{ID: "b", Journal: j})
	started := make(chan error, 1)
	go func() { started <- r.reg.Start(r.ctx) }()
	<-a.entered
	if err := r.reg.Shutdown(r.ctx); err != nil {
		t.Fatal(err)
	}
	if got, want := j.Calls(), []string{"mount rest", "shutdown rest"}; !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}
	close(a.let)
	if err := <-started; !errors.Is(err, live.ErrClosed) {
		t.Errorf("Start: %v", err)
	}
	want := []string{"mount rest", "shutdown rest", "start a", "shutdown a"}
	if got := j.Calls(); !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}
}

// slowMount is a transport that Shutdown finds in the midst of Mount.
type slowMount struct {
	coretest.Transport
	entered, let chan struct{}
}

func (m *slowMount) Mount(reg *core.Registry) error {
	close(m.entered)
	<-m.let
	return m.Transport.Mount(reg)
}

// TestTransportsAreNotMountedAfterShutdown: neither are those that come later,
// and the one in the midst of Mount is shut down.
func TestTransportsAreNotMountedAfterShutdown(t *testing.T) {
	r := newItems(t, core.Config{})
	j := &coretest.Journal{}
	a := &slowMount{coretest.Transport{ID: "a", Journal: j}, make(chan struct{}), make(chan struct{})}
	_ = r.reg.Add(core.Bind("items", r.table))
	_ = r.reg.Serve(a, &coretest.Transport{ID: "b", Journal: j})
	started := make(chan error, 1)
	go func() { started <- r.reg.Start(r.ctx) }()
	<-a.entered
	down := make(chan error, 1)
	go func() { down <- r.reg.Shutdown(r.ctx) }()
	<-r.reg.Stopping().Done()
	// Shutdown closes the record right after; until then Mount could still be
	// recorded, and Shutdown would stop it. Either way it is stopped once.
	close(a.let)
	if err := <-started; !errors.Is(err, live.ErrClosed) {
		t.Errorf("Start: %v", err)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	if got, want := j.Calls(), []string{"mount a", "shutdown a"}; !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}
}

// TestStartEndsAtShutdown: a plugin whose Start honours its context does not keep
// Shutdown waiting.
func TestStartEndsAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newItems(t, core.Config{})
		entered := make(chan struct{})
		_ = r.reg.Use(startFunc(func(ctx context.Context) error {
			close(entered)
			<-ctx.Done()
			return context.Cause(ctx)
		}))
		started := make(chan error, 1)
		go func() { started <- r.reg.Start(t.Context()) }()
		<-entered
		begun := time.Now()
		if err := r.reg.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 0 {
			t.Errorf("Shutdown took %v", took)
		}
		if err := <-started; !errors.Is(err, live.ErrClosed) {
			t.Errorf("Start: %v", err)
		}
	})
}

// startFunc is a plugin that does nothing but start.
type startFunc func(context.Context) error

func (startFunc) Name() string                                        { return "func" }
func (f startFunc) Start(ctx context.Context, _ *core.Registry) error { return f(ctx) }
func (startFunc) Shutdown(context.Context) error                      { return nil }

// blockingTable is a loader whose Schema waits, from when it is told to.
type blockingTable struct {
	*coretest.Table[item]
	entered, let chan struct{}
	once         sync.Once
}

func (b *blockingTable) Schema() (driver.Schema, error) {
	b.once.Do(func() { close(b.entered) })
	<-b.let
	return b.Table.Schema()
}

// TestNoLockDuringChecks: a loader that thinks about its schema for long, at Start
// or at a later Add, keeps nobody else waiting, and Shutdown does not forget what
// is added at the same time.
func TestNoLockDuringChecks(t *testing.T) {
	for _, when := range []string{"Start", "Add"} {
		t.Run(when, func(t *testing.T) {
			r := newItems(t, core.Config{})
			slow := &blockingTable{Table: coretest.NewTable[item]("others", "id"), entered: make(chan struct{}), let: make(chan struct{})}
			b := core.Bind("others", slow)
			done := make(chan error, 1)
			if when == "Start" {
				_ = r.reg.Add(b)
				go func() { done <- r.reg.Start(r.ctx) }()
			} else {
				r.start(t, core.Bind("items", r.table))
				go func() { done <- r.reg.Add(b) }()
			}
			<-slow.entered
			_ = r.reg.Ready()
			_, _ = r.reg.Lookup("items")
			_, _ = r.reg.Open(r.ctx, "items", nil)
			_ = r.reg.Add(core.Bind("third", r.table))
			if err := r.reg.Shutdown(r.ctx); err != nil {
				t.Error(err)
			}
			close(slow.let)
			if err := <-done; !errors.Is(err, live.ErrClosed) {
				t.Errorf("%s: %v", when, err)
			}
		})
	}
}

// panickingTable is a loader, panickingSource a source, whose checks panic.
type (
	panickingTable  struct{ *coretest.Table[item] }
	panickingSource struct{ coretest.Source }
)

func (*panickingTable) Schema() (driver.Schema, error) { panic("bad model") }
func (*panickingSource) Validate() error               { panic("bad settings") }

// TestPanicsDuringChecks are problems like others, and Shutdown still works.
func TestPanicsDuringChecks(t *testing.T) {
	r := newItems(t, core.Config{})
	_ = r.reg.Add(core.Bind("items", driver.Loader[item](&panickingTable{r.table})))
	_ = r.reg.Watch(&panickingSource{})
	err := r.reg.Start(r.ctx)
	wantErr(t, err, `"items"`, "bad model", "bad settings", "shutdown_test.go")
	var wrong *core.StartError
	if !errors.As(err, &wrong) || len(wrong.Problems) != 2 {
		t.Errorf("%d problems in %T", len(wrong.Problems), err)
	}
	r.stop(t)
}

// TestAfterProblems: what is registered after Start has found problems is told so.
func TestAfterProblems(t *testing.T) {
	r := newItems(t, core.Config{})
	_ = r.reg.Add(core.Bind("not a name", r.table))
	wantErr(t, r.reg.Start(r.ctx), "invalid name")
	for what, err := range map[string]error{
		"Add": r.reg.Add(core.Bind("items", r.table)), "Watch": r.reg.Watch(r.source), "Serve": r.reg.Serve(&coretest.Transport{}),
		"Use": r.reg.Use(&coretest.Plugin{}), "Authorize": r.reg.Authorize(core.AuthorizerFunc(nil)), "Start": r.reg.Start(r.ctx),
	} {
		if !errors.Is(err, core.ErrStarted) || !strings.Contains(err.Error(), "after Start has returned problems") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := r.reg.Open(r.ctx, "items", nil); !errors.Is(err, core.ErrNotStarted) {
		t.Errorf("Open: %v", err)
	}
	r.stop(t)
}

// TestNilBindings of every type are problems, before Start and after.
func TestNilBindings(t *testing.T) {
	r := newItems(t, core.Config{})
	var b *core.Binding[item]
	var f *core.Family[item]
	all := []core.Bindable{nil, b, &core.Binding[item]{}, f, &core.Family[item]{}}
	if err := r.reg.Add(all...); err != nil {
		t.Fatal(err)
	}
	err := r.reg.Start(r.ctx)
	wantErr(t, err, "nil binding added at shutdown_test.go")
	if got := strings.Count(err.Error(), "nil binding"); got != len(all) {
		t.Errorf("%d problems, want %d:\n%v", got, len(all), err)
	}
	running := newItems(t, core.Config{})
	running.start(t, core.Bind("items", running.table))
	defer running.stop(t)
	wantErr(t, running.reg.Add(all...), "nil binding")
}

// TestOpenOutsideOfLife: before Start and after Shutdown the errors say so.
func TestOpenOutsideOfLife(t *testing.T) {
	r := newItems(t, core.Config{})
	_ = r.reg.Add(core.Bind("items", r.table))
	for _, name := range []string{"items", "unknown"} {
		if _, err := r.reg.Open(r.ctx, name, nil); !errors.Is(err, core.ErrNotStarted) {
			t.Errorf("Open(%q) before Start: %v", name, err)
		}
	}
	if err := r.reg.Start(r.ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := r.reg.Open(r.ctx, "unknown", nil); !errors.Is(err, core.ErrUnknownBinding) {
		t.Errorf("Open: %v", err)
	}
	r.stop(t)
	for _, name := range []string{"items", "unknown"} {
		if _, err := r.reg.Open(r.ctx, name, nil); !errors.Is(err, live.ErrClosed) {
			t.Errorf("Open(%q) after Shutdown: %v", name, err)
		}
		if _, err := r.reg.MemberID(name, nil); !errors.Is(err, live.ErrClosed) {
			t.Errorf("MemberID(%q) after Shutdown: %v", name, err)
		}
	}
}

// monitored is a transport that has event streams, of some bindings only.
type monitored struct{ coretest.Transport }

func (*monitored) MonitorURL(binding string) string {
	if binding == "items" {
		return "/events/items"
	}
	return ""
}

func TestMonitors(t *testing.T) {
	r := newItems(t, core.Config{})
	_ = r.reg.Serve(&coretest.Transport{}, &monitored{})
	items, other := core.Bind("items", r.table), core.Bind("other", r.table)
	r.start(t, items, other)
	defer r.stop(t)
	if got := r.reg.Monitors(items.View); !slices.Equal(got, []string{"/events/items"}) {
		t.Errorf("%q", got)
	}
	if got := r.reg.Monitors(other.View); len(got) != 0 {
		t.Errorf("%q for a binding without a stream", got)
	}
}

// ending is a plugin and a transport that ends in a way of its own.
type ending struct {
	name string
	end  func(context.Context) error
}

func (e *ending) Name() string                                { return e.name }
func (e *ending) Mount(*core.Registry) error                  { return nil }
func (e *ending) Start(context.Context, *core.Registry) error { return nil }
func (e *ending) Shutdown(ctx context.Context) error          { return e.end(ctx) }

// TestPanicInShutdown stops nobody else.
func TestPanicInShutdown(t *testing.T) {
	r := newItems(t, core.Config{})
	j := &coretest.Journal{}
	bad := func(name string) *ending {
		return &ending{name, func(context.Context) error { panic("no way to stop " + name) }}
	}
	_ = r.reg.Serve(&coretest.Transport{ID: "rest", Journal: j}, bad("broken transport"))
	_ = r.reg.Use(&coretest.Plugin{ID: "metrics", Journal: j}, bad("broken plugin"))
	r.start(t, core.Bind("items", r.table))
	wantErr(t, r.reg.Shutdown(r.ctx), `transport "broken transport"`, `plugin "broken plugin"`, "no way to stop")
	want := []string{"mount rest", "start metrics", "shutdown rest", "shutdown metrics"}
	if got := j.Calls(); !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}
}

// TestPanicInStart: a transport or a plugin that panics while it starts is named,
// and what had started is stopped.
func TestPanicInStart(t *testing.T) {
	r := newItems(t, core.Config{})
	j := &coretest.Journal{}
	_ = r.reg.Serve(&coretest.Transport{ID: "rest", Journal: j})
	_ = r.reg.Use(startFunc(func(context.Context) error { panic("no idea") }))
	wantErr(t, r.reg.Start(r.ctx), `plugin "func"`, "shutdown_test.go", "no idea")
	if got, want := j.Calls(), []string{"mount rest", "shutdown rest"}; !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}
}

// TestLateIsNamedAndNobodyElse: whoever does not stop, in any phase, is named and
// does not take the time of those after it, who stop.
func TestLateIsNamedAndNobodyElse(t *testing.T) {
	// Each needs some time to stop, which it has only when nobody before it has
	// taken it.
	const needed, all = 200 * time.Millisecond, 8 * time.Second
	orderly := func(ctx context.Context) error {
		select {
		case <-time.After(needed):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	names := []string{`transport "t1"`, `transport "t2"`, `source "s"`, `table "items"`, `OnChange function of binding "items"`, `plugin "p1"`, `plugin "p2"`}
	for _, late := range names {
		for _, how := range []string{"ignores its context", "returns its context's error"} {
			t.Run(late+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					let := make(chan struct{})
					behave := func(name string) func(context.Context) error {
						if name != late {
							return orderly
						}
						return func(ctx context.Context) error {
							if how == "ignores its context" {
								<-let
								return nil
							}
							<-ctx.Done()
							return ctx.Err()
						}
					}
					r := newItems(t, core.Config{})
					src := &endingSource{end: behave(`source "s"`)}
					table := &endingTable{Table: r.table, end: behave(`table "items"`)}
					items := core.Bind("items", driver.Loader[item](table))
					r.table.Put(item{ID: 1})
					_ = r.reg.Add(items)
					_ = r.reg.Watch(src)
					_ = r.reg.Serve(&ending{"t1", behave(`transport "t1"`)}, &ending{"t2", behave(`transport "t2"`)})
					_ = r.reg.Use(&ending{"p1", behave(`plugin "p1"`)}, &ending{"p2", behave(`plugin "p2"`)})
					if err := r.reg.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
					var stopping atomic.Bool
					called := make(chan struct{}, 10)
					items.OnChange(func(core.Delta[item]) {
						called <- struct{}{}
						if stopping.Load() {
							ctx, cancel := context.WithTimeout(context.Background(), all)
							defer cancel()
							_ = behave(`OnChange function of binding "items"`)(ctx)
						}
					})
					<-called
					stopping.Store(true)
					if err := items.Touch(); err != nil {
						t.Fatal(err)
					}
					<-called
					table.slow.Store(true)
					_ = src.sink.Report(driver.Change{Table: r.table.Name()})
					synctest.Wait()

					ctx, cancel := context.WithTimeout(t.Context(), all)
					defer cancel()
					begun := time.Now()
					err := r.reg.Shutdown(ctx)
					took := time.Since(begun)
					if err == nil || !strings.Contains(err.Error(), late) {
						t.Fatalf("%q is not named in %v", late, err)
					}
					for _, other := range names {
						if other != late && strings.Contains(err.Error(), other) {
							t.Errorf("%q is named, though %q was late:\n%v", other, late, err)
						}
					}
					if took > all+time.Second {
						t.Errorf("it took %v", took)
					}
					close(let)
					time.Sleep(time.Minute) // what was left behind ends
				})
			})
		}
	}
}

// endingSource is a source whose Watch ends in a way of its own.
type endingSource struct {
	sink driver.Sink
	end  func(context.Context) error
}

func (*endingSource) Name() string { return "s" }

func (s *endingSource) Watch(ctx context.Context, sink driver.Sink) error {
	s.sink = sink
	sink.Watching()
	<-ctx.Done()
	late, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = s.end(late)
	return nil
}

// endingTable is a loader whose reads, once slow, end in a way of their own.
type endingTable struct {
	*coretest.Table[item]
	slow atomic.Bool
	end  func(context.Context) error
}

func (e *endingTable) Load(ctx context.Context, keys []driver.Key) ([]*item, error) {
	if e.slow.Load() {
		<-ctx.Done()
		late, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = e.end(late)
		return nil, ctx.Err()
	}
	return e.Table.Load(ctx, keys)
}

// TestShutdownWithoutTime: when the context has ended before, what stops at once
// is stopped all the same, and nobody is named.
func TestShutdownWithoutTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // or a machine that is busy for a moment looks like a part that is late
		r := newItems(t, core.Config{})
		j := &coretest.Journal{}
		_ = r.reg.Serve(&coretest.Transport{ID: "rest", Journal: j})
		_ = r.reg.Use(&coretest.Plugin{ID: "metrics", Journal: j})
		r.start(t, core.Bind("items", r.table))
		ctx, cancel := context.WithCancel(r.ctx)
		cancel()
		if err := r.reg.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		want := []string{"mount rest", "start metrics", "shutdown rest", "shutdown metrics"}
		if got := j.Calls(); !slices.Equal(got, want) {
			t.Errorf("calls %q, want %q", got, want)
		}
	})
}

// TestConcurrentAddAndShutdown: whatever comes first, no feed is left running and
// every binding ends. (The leak check of the package sees the rest.)
func TestConcurrentAddAndShutdown(t *testing.T) {
	for range 100 {
		r := newItems(t, core.Config{})
		r.start(t, core.Bind("items", r.table))
		var adding sync.WaitGroup
		others := make([]*core.Binding[item], 4)
		errs := make([]error, len(others))
		for i := range others {
			others[i] = core.Bind("other"+string(rune('a'+i)), coretest.NewTable[item]("others"+string(rune('a'+i)), "id"))
			adding.Go(func() { errs[i] = r.reg.Add(others[i]) })
		}
		r.stop(t)
		adding.Wait()
		for i, b := range others {
			switch err := errs[i]; {
			case errors.Is(err, live.ErrClosed):
			case err != nil:
				t.Fatal(err)
			default:
				<-b.Done()
				if err := b.Resync(r.ctx); !errors.Is(err, live.ErrClosed) {
					t.Fatalf("Resync: %v", err)
				}
			}
		}
	}
}
