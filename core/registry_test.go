package core_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// keyless is a loader whose model has no key.
type keyless struct{ *driver.Description[item] }

func (keyless) Load(context.Context, []driver.Key) ([]*item, error) { return nil, nil }

// naming is a source for tables that the user named.
type naming struct {
	coretest.Source
	tables []driver.Table
}

func (n *naming) Scope() driver.Scope { return driver.Scope{Tables: n.tables} }

func (n *naming) Validate() error { return errors.New("its interval is negative") }

// wrongTransport and wrongPlugin know what is wrong with them. They must not be
// started.
type (
	wrongTransport struct{ coretest.Transport }
	wrongPlugin    struct{ coretest.Plugin }
	wildPlugin     struct{ coretest.Plugin }
)

func (*wrongTransport) Validate() error                          { return errors.New("its group is nil") }
func (*wrongTransport) Mount(*core.Registry) error               { panic("it was mounted") }
func (*wrongPlugin) Validate() error                             { return errors.New("nothing guards it") }
func (*wrongPlugin) Start(context.Context, *core.Registry) error { panic("it was started") }
func (*wildPlugin) Validate() error                              { panic("it validates wildly") }

// TestStartReportsEveryProblemAtOnce makes every mistake that can be made in
// one registry, and demands that one error names all the culprits.
func TestStartReportsEveryProblemAtOnce(t *testing.T) {
	r := newItems(t, core.Config{})
	_ = r.reg.Add(
		core.Bind("items", r.table),
		core.Bind("items", r.table), // the same name
		core.Bind("no way", r.table),
		core.Bind("keyless", &keyless{driver.Describe[item](driver.Table{Name: "things"})}),
		core.Bind("wrongkey", &keyless{driver.Describe[item](driver.Table{Name: "things"}, "nr")}),
		core.Bind("filtered", r.table, core.Where(filter.Eq("prise", 1))),
		core.Bind("typed", r.table, core.Where(filter.Eq("price", "cheap"))),
		core.Bind("ordered", r.table, core.OrderBy("nane")),
		core.Bind("limited", r.table, core.Limit(0)),
		core.Bind[item]("loaderless", nil),
		core.Bind("opaque", r.table, core.ForLoader(driver.Terms{Where: condition("x = 1")})),
		nil,
	)
	_ = r.reg.Watch(&naming{tables: []driver.Table{{Name: "orders"}}}, nil)
	_ = r.reg.Serve(&wrongTransport{}, nil)
	_ = r.reg.Use(&wrongPlugin{}, &wildPlugin{})
	err := r.reg.Start(r.ctx)
	wantErr(t, err,
		`two bindings are named "items": one declared at registry_test.go:52, one at registry_test.go:53`,
		`"no way"`, `invalid name`,
		`"keyless"`, `has no key`,
		`"wrongkey"`, `"nr"`,
		`"filtered"`, `"prise"`, `id, name, price, live`,
		`"typed"`, `price`,
		`"ordered"`, `"nane"`,
		`"limited"`, `limit 0`,
		`"loaderless"`, `nil`,
		`"opaque"`, `x = 1`,
		`nil binding`, `nil source`, `nil transport`,
		`"orders"`, `which no binding reads`,
		`source "coretest"`, `its interval is negative`,
		`transport "coretest" (registry_test.go:`, `its group is nil`,
		`plugin "coretest" (registry_test.go:`, `nothing guards it`, `it validates wildly`,
	)
	var se *core.StartError
	if !errors.As(err, &se) || len(se.Problems) < 13 {
		t.Errorf("want a StartError with every problem, got %d: %v", len(se.Problems), err)
	}
	if err := r.reg.Start(r.ctx); !errors.Is(err, core.ErrStarted) {
		t.Errorf("second Start: %v, want ErrStarted", err)
	}
	r.stop(t)
}

func TestPhases(t *testing.T) {
	r := newItems(t, core.Config{})
	b := core.Bind("items", r.table)
	if err := b.Resync(r.ctx); !errors.Is(err, core.ErrNotStarted) {
		t.Errorf("Resync before Start: %v", err)
	}
	if err := r.reg.Flush(r.ctx); !errors.Is(err, core.ErrNotStarted) {
		t.Errorf("Flush before Start: %v", err)
	}
	for range b.All() {
		t.Error("a row before Start")
	}
	r.start(t, b)
	if err := r.reg.Start(r.ctx); !errors.Is(err, core.ErrStarted) {
		t.Errorf("second Start: %v", err)
	}
	for what, err := range map[string]error{
		"Watch": r.reg.Watch(&coretest.Source{}),
		"Serve": r.reg.Serve(nil),
		"Use":   r.reg.Use(nil),
	} {
		if !errors.Is(err, core.ErrStarted) {
			t.Errorf("%s after Start: %v", what, err)
		}
	}
	sub := b.Subscribe(live.SubscribeOptions{})
	if _, err := sub.Next(r.ctx); err != nil {
		t.Fatal(err)
	}
	r.stop(t)
	r.stop(t) // twice is harmless
	if _, err := sub.Next(r.ctx); !errors.Is(err, live.ErrClosed) {
		t.Errorf("Next after Shutdown: %v", err)
	}
	for what, err := range map[string]error{
		"Start":  r.reg.Start(r.ctx),
		"Add":    r.reg.Add(core.Bind("late", r.table)),
		"Remove": r.reg.Remove(r.ctx, "items"),
		"Flush":  r.reg.Flush(r.ctx),
		"Resync": b.Resync(r.ctx),
		"Touch":  b.Touch(),
	} {
		if !errors.Is(err, live.ErrClosed) {
			t.Errorf("%s after Shutdown: %v, want ErrClosed", what, err)
		}
	}
	r.source.Sink().Report(driver.Change{Table: r.table.Name()}) // dropped
	if st := b.Status(); st.State != status.Ended {
		t.Errorf("state %v, want ended", st.State)
	}
}

func TestShutdownBeforeStartAndConcurrently(t *testing.T) {
	r := newItems(t, core.Config{})
	_ = r.reg.Add(core.Bind("items", r.table))
	r.stop(t)
	if err := r.reg.Start(r.ctx); !errors.Is(err, live.ErrClosed) {
		t.Errorf("Start after Shutdown: %v", err)
	}
	for range 20 {
		r := newItems(t, core.Config{})
		_ = r.reg.Add(core.Bind("items", r.table))
		_ = r.reg.Watch(r.source)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { _ = r.reg.Shutdown(r.ctx) })
			wg.Go(func() { _ = r.reg.Start(r.ctx) })
		}
		wg.Wait()
		r.stop(t)
	}
}

// TestDatabaseAwayAtStart: Start succeeds, readiness says so, and it heals.
func TestDatabaseAwayAtStart(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1})
	r.table.Fail(errors.New("connection refused"))
	b := core.Bind("items", r.table)
	r.start(t, b)
	defer r.stop(t)
	if st := r.reg.Ready(); st.Ready || len(st.Loading) != 1 || st.Loading[0] != "items" {
		t.Errorf("readiness %+v, want items loading", st)
	}
	if st := b.Status(); st.State != status.Loading || st.Err == nil {
		t.Errorf("status %+v, want loading with a reason", st)
	} else {
		wantErr(t, st.Err, "connection refused", `"items"`)
	}
	sub := b.Subscribe(live.SubscribeOptions{})
	if e, err := sub.Poll(); e != nil || err != nil {
		t.Errorf("an event before the first load: %v %v", e, err)
	}
	r.table.Fail(nil)
	if e, err := sub.Next(r.ctx); err != nil || e.Kind != live.Synced || e.Snapshot.Len() != 1 {
		t.Fatalf("after healing: %+v %v", e, err)
	}
	if err := r.reg.Flush(r.ctx); err != nil {
		t.Fatal(err)
	}
	if st := r.reg.Ready(); !st.Ready {
		t.Errorf("readiness %+v after healing", st)
	}
}

// TestDatabaseAwayLater: rows are served from memory, marked stale, and what
// was reported meanwhile is read when the database is back.
func TestDatabaseAwayLater(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1})
	b := core.Bind("items", r.table)
	r.start(t, b)
	defer r.stop(t)
	r.table.Fail(errors.New("connection reset"))
	shown := r.source.Sink().Report(r.table.Put(item{ID: 2}))
	awaitState(t, b, status.Stale)
	if got := ids(b); len(got) != 1 {
		t.Errorf("rows %v while the database is away", got)
	}
	if rd := r.reg.Ready(); !rd.Ready || len(rd.Stale) != 1 {
		t.Errorf("readiness %+v: want ready, and stale", rd)
	}
	more := r.source.Sink().Report(r.table.Put(item{ID: 3}))
	r.table.Fail(nil)
	for _, rec := range []driver.Receipt{shown, more} {
		if err := rec.Wait(r.ctx); err != nil {
			t.Fatal(err)
		}
	}
	if got := ids(b); len(got) != 3 {
		t.Errorf("rows %v after healing", got)
	}
	awaitState(t, b, status.Live)
	if st := r.reg.Status().Tables[0]; st.Failures == 0 {
		t.Error("failures are not counted")
	}
}

func awaitState(t *testing.T, v interface{ Status() status.Binding }, want status.State) {
	t.Helper()
	for deadline := time.Now().Add(patience); v.Status().State != want; {
		if time.Now().After(deadline) {
			t.Fatalf("state %v, want %v", v.Status().State, want)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestSourceLost: a source that lost its sight makes bindings stale, and their
// rows are read again when it sees.
func TestSourceLost(t *testing.T) {
	r := newItems(t, core.Config{})
	b := core.Bind("items", r.table)
	r.start(t, b)
	defer r.stop(t)
	sink := r.source.Sink()
	sink.Lost(errors.New("no route"))
	if st := b.Status(); st.State != status.Stale || st.Err == nil {
		t.Errorf("status %+v, want stale", st)
	}
	r.table.Put(item{ID: 7}) // nobody reports it
	sink.Watching()
	if err := r.reg.Flush(r.ctx); err != nil {
		t.Fatal(err)
	}
	if got := ids(b); len(got) != 1 {
		t.Errorf("rows %v: what was missed was not read", got)
	}
	if st := b.Status(); st.State != status.Live {
		t.Errorf("status %+v, want live", st)
	}
	if s := r.reg.Status().Sources[0]; !s.Watching || s.Failures != 1 {
		t.Errorf("source %+v", s)
	}
}

// flaky fails to watch some times, then watches.
type flaky struct {
	coretest.Source
	mu    sync.Mutex
	fails int
	calls int
	err   error
}

func (f *flaky) Watch(ctx context.Context, s driver.Sink) error {
	f.mu.Lock()
	f.calls++
	fail := f.calls <= f.fails
	f.mu.Unlock()
	if fail {
		if f.err == nil {
			panic("boom")
		}
		return f.err
	}
	return f.Source.Watch(ctx, s)
}

func TestSourceIsWatchedAgain(t *testing.T) {
	for name, err := range map[string]error{"error": errors.New("no server"), "panic": nil} {
		t.Run(name, func(t *testing.T) {
			r := newItems(t, core.Config{})
			src := &flaky{fails: 2, err: err}
			b := core.Bind("items", r.table)
			_ = r.reg.Add(b)
			_ = r.reg.Watch(src)
			if err := r.reg.Start(r.ctx); err != nil {
				t.Fatal(err)
			}
			awaitState(t, b, status.Live)
			r.stop(t)
		})
	}
	t.Run("permanent", func(t *testing.T) {
		r := newItems(t, core.Config{})
		src := &flaky{fails: 1000, err: driver.Permanent(errors.New("wrong password"))}
		b := core.Bind("items", r.table)
		_ = r.reg.Add(b)
		_ = r.reg.Watch(src)
		if err := r.reg.Start(r.ctx); err != nil {
			t.Fatal(err)
		}
		if st := b.Status(); st.State != status.Stale {
			t.Errorf("status %+v, want stale", st)
		}
		r.stop(t)
		if src.calls != 1 {
			t.Errorf("watched %d times after a permanent error", src.calls)
		}
	})
}

func TestAddAndRemoveWhileRunning(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1, Live: true}, item{ID: 2})
	r.start(t, core.Bind("items", r.table))
	defer r.stop(t)

	tables, changed := r.source.Sink().Tables()
	if len(tables) != 1 {
		t.Fatalf("bound tables: %v", tables)
	}
	other := coretest.NewTable[item]("others", "id")
	other.Put(item{ID: 9})
	added, others := core.Bind("live", r.table, core.Where(filter.Eq("live", true))), core.Bind("others", other)
	if err := r.reg.Add(added, others); err != nil {
		t.Fatal(err)
	}
	<-changed
	if tables, _ := r.source.Sink().Tables(); len(tables) != 2 {
		t.Errorf("bound tables: %v", tables)
	}
	<-added.Loaded()
	<-others.Loaded()
	if len(ids(added)) != 1 || len(ids(others)) != 1 {
		t.Errorf("rows: %v %v", ids(added), ids(others))
	}
	r.report(t, r.table.Put(item{ID: 2, Live: true}))
	if got := ids(added); len(got) != 2 {
		t.Errorf("rows after a change: %v", got)
	}
	wantErr(t, r.reg.Add(core.Bind("items", r.table)), `"items"`, "registry_test.go")
	wantErr(t, r.reg.Add(core.Bind("bad", r.table, core.OrderBy("x"))), `"x"`)
	wantErr(t, r.reg.Add(added), `"live"`)

	sub := added.Subscribe(live.SubscribeOptions{Version: added.Version().Token})
	if e, _ := sub.Poll(); e == nil || e.Kind != live.Confirmed {
		t.Errorf("resume at the current version: %+v", e)
	}
	if err := r.reg.Remove(r.ctx, "live"); err != nil {
		t.Fatal(err)
	}
	if _, err := sub.Next(r.ctx); !errors.Is(err, live.ErrRemoved) {
		t.Errorf("Next after Remove: %v", err)
	}
	<-added.Done()
	if _, ok := r.reg.Lookup("live"); ok {
		t.Error("a removed binding is found")
	}
	again := r.reg.Remove(r.ctx, "live")
	if !errors.Is(again, core.ErrUnknownBinding) {
		t.Errorf("removing it again: %v", again)
	}
	wantErr(t, again, `"live"`, "items, others")
	if err := r.reg.Remove(r.ctx, "others"); err != nil {
		t.Fatal(err)
	}
	if n := len(r.reg.Status().Tables); n != 1 {
		t.Errorf("%d feeds after the last binding of a table went", n)
	}
}

func TestOnChange(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1})
	b := core.Bind("items", r.table)
	deltas := make(chan core.Delta[item], 16)
	stop := b.OnChange(func(d core.Delta[item]) { deltas <- d })
	panicked := make(chan struct{}, 16)
	b.OnChange(func(core.Delta[item]) { panicked <- struct{}{}; panic("the user's mistake") })
	r.start(t, b)
	if d := <-deltas; !d.Reset || len(d.Created) != 1 {
		t.Errorf("first: %+v", d)
	}
	r.report(t, r.table.Put(item{ID: 1, Name: "x"}, item{ID: 2}))
	if d := <-deltas; d.Reset || len(d.Created) != 1 || len(d.Updated) != 1 || d.Updated[0].Name != "x" || d.Version != b.Version() {
		t.Errorf("second: %+v", d)
	}
	r.report(t, r.table.Remove(key(1)))
	if d := <-deltas; len(d.Deleted) != 1 || d.Deleted[0].Name != "x" {
		t.Errorf("third: %+v", d)
	}
	stop()
	stop()
	r.report(t, r.table.Put(item{ID: 3}))
	r.stop(t)
	if len(deltas) != 0 || len(panicked) != 1 {
		t.Errorf("%d calls after stop, %d after a panic", len(deltas), len(panicked))
	}
}

// TestRepeatedContentIsNoEvent: a report of what reads back the same makes no
// version and no event.
func TestRepeatedContentIsNoEvent(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1}, item{ID: 2})
	b := core.Bind("items", r.table)
	r.start(t, b)
	defer r.stop(t)
	v, snap := b.Version(), b.Snapshot()
	r.report(t, driver.Change{Table: r.table.Name()}, driver.Change{Table: r.table.Name(), Keys: []driver.Key{key(1), key(77)}})
	if b.Version() != v || b.Snapshot() != snap {
		t.Errorf("version %v after false alarms, want %v", b.Version(), v)
	}
	sub := b.Subscribe(live.SubscribeOptions{Version: v.Token})
	defer sub.Close()
	_, _ = sub.Poll()
	if err := errors.Join(b.Touch(), r.reg.Flush(r.ctx)); err != nil {
		t.Fatal(err)
	}
	e, _ := sub.Poll()
	if e == nil || e.Kind != live.Confirmed || e.Version.Token != v.Token || !e.Version.Modified.After(v.Modified) {
		t.Errorf("after Touch: %+v", e)
	}
}

// TestHTTPDates: no two versions share a date, and no date is shown before it
// has come, also when the clock is set back.
func TestHTTPDates(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	move := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }
	r := newItems(t, core.Config{Now: clock})
	b := core.Bind("items", r.table)
	r.start(t, b)
	defer r.stop(t)
	shown := map[time.Time]string{}
	for i, step := range []time.Duration{0, 300, 300, 300, 100, 0, 999, 1, 1500, -10_000, 100, 2000, 20_000, 0, 1000} {
		move(step * time.Millisecond)
		r.report(t, r.table.Put(item{ID: 1, Price: i + 1}))
		for _, look := range []time.Duration{0, 999, 1} {
			move(look * time.Millisecond)
			d, ok := b.HTTPDate(clock())
			if !ok {
				continue
			}
			if d.After(clock()) {
				t.Errorf("step %d: date %v shown at %v", i, d, clock())
			}
			if was, ok := shown[d]; ok && was != b.Version().Token {
				t.Errorf("step %d: date %v stood for another version", i, d)
			}
			shown[d] = b.Version().Token
		}
	}
	if len(shown) < 10 {
		t.Errorf("only %d dates shown", len(shown))
	}
}

// TestOverflowReadsTheWholeTable: more keys than the bound become one read of
// the table, and are counted.
func TestOverflowReadsTheWholeTable(t *testing.T) {
	r := newItems(t, core.Config{MaxBatchKeys: 10})
	b := core.Bind("items", r.table)
	r.start(t, b)
	defer r.stop(t)
	var rows []item
	for i := range 50 {
		rows = append(rows, item{ID: i})
	}
	before, _ := r.table.Reads()
	r.report(t, r.table.Put(rows...))
	after, keys := r.table.Reads()
	if len(ids(b)) != 50 || after-before != 1 || keys != 0 {
		t.Errorf("%d rows after %d reads of %d keys", len(ids(b)), after-before, keys)
	}
	if st := r.reg.Status().Tables[0]; st.Overflows != 1 {
		t.Errorf("overflows: %d", st.Overflows)
	}
}

// TestOneReadInFlight: reports that arrive while a read is under way share the
// next one.
func TestOneReadInFlight(t *testing.T) {
	r := newItems(t, core.Config{})
	b := core.Bind("items", r.table)
	r.start(t, b, core.Bind("live", r.table, core.Where(filter.Eq("live", true))))
	defer r.stop(t)
	before, _ := r.table.Reads()
	release := r.table.Hold()
	r.source.Sink().Report(r.table.Put(item{ID: 0}))
	for n, _ := r.table.Reads(); n == before; n, _ = r.table.Reads() {
		time.Sleep(time.Millisecond) // until the read is under way
	}
	var last driver.Receipt
	for i := range 100 {
		last = r.source.Sink().Report(r.table.Put(item{ID: i}))
	}
	release()
	if err := last.Wait(r.ctx); err != nil {
		t.Fatal(err)
	}
	if n, _ := r.table.Reads(); n-before != 2 || len(ids(b)) != 100 {
		t.Errorf("%d reads for %d rows, want 2", n-before, len(ids(b)))
	}
}

// TestStuckAnnouncement: an announcement that is never confirmed costs reads,
// and holds up nothing.
func TestStuckAnnouncement(t *testing.T) {
	r := newItems(t, core.Config{AnnounceWait: time.Millisecond})
	b := core.Bind("items", r.table)
	r.start(t, b)
	defer r.stop(t)
	a := r.source.Sink().Announce(driver.Change{Table: r.table.Name()})
	r.report(t, r.table.Put(item{ID: 1}))
	if len(ids(b)) != 1 {
		t.Error("the row does not show")
	}
	if st := r.reg.Status().Tables[0]; st.WaitedOut == 0 {
		t.Errorf("the wait that ran out is not counted: %+v", st)
	}
	a.Withdraw()
}

func TestPin(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1, Name: "old"})
	b, other := core.Bind("items", r.table), core.Bind("others", r.table)
	if n := b.In(core.WithSnapshots(r.ctx, b.View)).Len(); n != 0 {
		t.Errorf("%d rows before Start", n)
	}
	r.start(t, b, other)
	defer r.stop(t)
	ctx := core.WithSnapshots(r.ctx, b.View)
	v := b.Version()
	r.report(t, r.table.Put(item{ID: 1, Name: "new"}, item{ID: 2}))
	pinned := b.In(ctx)
	if it, ok := pinned.Get(key(1)); !ok || it.Name != "old" || pinned.Len() != 1 || pinned.Version() != v {
		t.Errorf("pinned: %+v, %d rows at %v", it, pinned.Len(), pinned.Version())
	}
	for it := range pinned.All() {
		if it.Name != "old" {
			t.Errorf("pinned row %+v", it)
		}
	}
	if it, _ := b.In(r.ctx).Get(key(1)); it.Name != "new" {
		t.Errorf("unpinned: %+v", it)
	}
	if it, _ := other.In(ctx).Get(key(1)); it.Name != "new" {
		t.Errorf("another binding: %+v", it)
	}
}
