package core_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// restorer is a plugin that gives bindings what an earlier run has saved.
type restorer struct {
	saved map[string]live.Saved
	errs  map[string]error
}

func (*restorer) Name() string                   { return "restorer" }
func (*restorer) Shutdown(context.Context) error { return nil }

func (p *restorer) Start(_ context.Context, reg *core.Registry) error {
	p.errs = make(map[string]error)
	for name, s := range p.saved {
		v, _ := reg.Lookup(name)
		p.errs[name] = reg.Restore(v, s)
	}
	return nil
}

// TestRestoredLogGoesOn: after a restart a client resumes by events from each version that
// the log reaches, while the database is away and when it is back; and again after the next
// restart.
func TestRestoredLogGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		row := rapid.Custom(func(t *rapid.T) item {
			return item{rapid.IntRange(1, 6).Draw(t, "id"), rapid.StringN(0, 1, -1).Draw(t, "name"), rapid.IntRange(0, 3).Draw(t, "price"), rapid.Bool().Draw(t, "live")}
		})
		tab := coretest.NewTable[item]("items", "id")
		tab.Put(rapid.SliceOfN(row, 0, 6).Draw(t, "rows")...)
		held := make(map[string]map[string]*client) // by binding and version
		note := func(bindings []*core.Binding[item]) {
			for _, b := range bindings {
				c := &client{}
				c.apply(t, b.Snapshot().SyncEvent())
				if held[b.Name()] == nil {
					held[b.Name()] = make(map[string]*client)
				}
				held[b.Name()][c.version] = c
			}
		}
		// resume brings each client to the current version. It allows a sync if told.
		resume := func(bindings []*core.Binding[item], syncs bool) {
			for _, b := range bindings {
				for version, c := range held[b.Name()] {
					sub := b.Subscribe(live.SubscribeOptions{Version: version})
					e, err := sub.Poll()
					sub.Close()
					if err != nil || e == nil || e.Kind == live.Synced && !syncs {
						t.Fatalf("%s: from %s of %d versions: %+v, %v", b.Name(), version, len(held[b.Name()]), e, err)
					}
					c = &client{rows: maps.Clone(c.rows), version: c.version}
					c.apply(t, e)
					c.check(t, b.Snapshot())
				}
			}
		}
		change := func(r *rig, bindings []*core.Binding[item]) {
			for range rapid.IntRange(1, 5).Draw(t, "batches") {
				if rapid.IntRange(0, 3).Draw(t, "how") == 0 {
					r.report(t, tab.Remove(key(rapid.IntRange(1, 6).Draw(t, "gone"))))
				} else {
					r.report(t, tab.Put(rapid.SliceOfN(row, 1, 3).Draw(t, "changed")...))
				}
				if rapid.IntRange(0, 5).Draw(t, "touch") == 0 {
					_ = r.reg.Touch()
					_ = r.reg.Flush(r.ctx)
				}
				note(bindings)
			}
		}
		save := func(r *rig, bindings []*core.Binding[item]) *restorer {
			if rapid.Bool().Draw(t, "stopped") { // as plugins that save at the shutdown
				r.stop(t)
			} else {
				defer r.stop(t)
			}
			plugin := &restorer{saved: make(map[string]live.Saved)}
			for _, b := range bindings {
				s, _, err := r.reg.Saved(b.View)
				if err != nil {
					t.Fatal(err)
				}
				plugin.saved[b.Name()] = s
			}
			return plugin
		}
		run := newItems(t, core.Config{})
		run.table = tab
		bindings := keptBindings(tab)
		run.start(t, bindables(bindings)...)
		note(bindings)
		change(run, bindings)
		for range 2 {
			plugin := save(run, bindings)
			tab.Fail(errors.New("away"))
			run = newItems(t, core.Config{LoadWait: time.Hour, WatchWait: time.Hour})
			run.table = tab
			bindings = keptBindings(tab)
			_ = run.reg.Use(plugin)
			run.start(t, bindables(bindings)...)
			for _, b := range bindings {
				if err := plugin.errs[b.Name()]; err != nil {
					t.Fatal(err)
				}
			}
			few := len(held["all"]) <= 6 // a sync takes less than many events
			resume(bindings, !few)
			tab.Put(rapid.SliceOfN(row, 0, 2).Draw(t, "behind its back")...)
			tab.Fail(nil)
			for _, b := range bindings {
				_ = b.Resync(run.ctx)
				wait(t, b.Name()+" to be live", func() bool { return b.Status().State == status.Live })
			}
			note(bindings)
			resume(bindings, true)
			change(run, bindings)
		}
		run.stop(t)
	})
}

// secret has a field that JSON does not show.
type secret struct {
	ID   int       `json:"id"`
	Word string    `json:"-"`
	At   time.Time `json:"at"`
}

// keptBindings are bindings of every kind that is kept between runs.
func keptBindings(tab *coretest.Table[item]) []*core.Binding[item] {
	return []*core.Binding[item]{
		core.Bind("all", tab),
		core.Bind("live", tab, core.Where(filter.Eq("live", true)), core.OrderBy("-price")),
		core.Bind("few", tab, core.OrderBy("price"), core.Limit(3), core.Tune(core.Tuning{Margin: 2})),
		core.Bind("names", tab, core.Columns("id", "name")),
		core.Bind("shown", tab, core.Serialize(func(it item) any { return map[string]any{"id": it.ID, "is": it.Name} })),
	}
}

func tokens(bindings []*core.Binding[item]) map[string]string {
	out := make(map[string]string)
	for _, b := range bindings {
		out[b.Name()] = b.Version().Token
	}
	return out
}

// TestRestoredBindingsGoOn saves bindings, changes the table behind their back, and
// starts again without the database: the old versions are served, to Go code too,
// and when the database is back, whoever is at an old version gets what differs, as
// events. A binding that was never restored is the judge.
func TestRestoredBindingsGoOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		row := rapid.Custom(func(t *rapid.T) item {
			return item{rapid.IntRange(1, 12).Draw(t, "id"), rapid.StringN(0, 3, -1).Draw(t, "name"), rapid.IntRange(0, 4).Draw(t, "price"), rapid.Bool().Draw(t, "live")}
		})
		tab := coretest.NewTable[item]("items", "id")
		tab.Put(rapid.SliceOfN(row, 0, 12).Draw(t, "rows")...)

		first := newItems(t, core.Config{})
		first.table = tab
		before := keptBindings(tab)
		first.start(t, bindables(before)...)
		plugin := &restorer{saved: make(map[string]live.Saved)}
		values := make(map[string][]item)
		for _, b := range before {
			s, unvalued, err := first.reg.Saved(b.View)
			if err != nil || unvalued != nil {
				t.Fatalf("saving %s: %v, %v", b.Name(), err, unvalued)
			}
			plugin.saved[b.Name()] = s
			values[b.Name()] = slices.Collect(b.All())
		}
		old := tokens(before)
		first.stop(t)

		away := errors.New("away")
		tab.Fail(away)
		second := newItems(t, core.Config{LoadWait: time.Hour, WatchWait: time.Hour})
		second.table = tab
		after := keptBindings(tab)
		_ = second.reg.Use(plugin)
		second.start(t, bindables(after)...)
		clients := make(map[string]*client)
		subs := make(map[string]*live.Subscription)
		for _, b := range after {
			if err := plugin.errs[b.Name()]; err != nil {
				t.Fatal(err)
			}
			if b.Version().Token != old[b.Name()] || !slices.Equal(slices.Collect(b.All()), values[b.Name()]) {
				t.Fatalf("%s: %v at %s, was %v at %s", b.Name(), slices.Collect(b.All()), b.Version().Token, values[b.Name()], old[b.Name()])
			}
			if st := b.Status(); st.State != status.Restored || st.Err == nil {
				t.Fatalf("%s: %s, %v", b.Name(), st.State, st.Err)
			}
			c := &client{}
			joined := b.Subscribe(live.SubscribeOptions{})
			e, err := joined.Poll()
			if err != nil || e == nil {
				t.Fatal(e, err)
			}
			c.apply(t, e)
			joined.Close()
			clients[b.Name()], subs[b.Name()] = c, b.Subscribe(live.SubscribeOptions{Version: old[b.Name()]})
		}
		if rd := second.reg.Ready(); !rd.Ready || len(rd.Stale) != len(after) {
			t.Fatalf("readiness: %+v", rd)
		}
		if rapid.Bool().Draw(t, "touch") {
			_ = second.reg.Touch()
		}
		tab.Edit(func(rows map[driver.Key]item) { clear(rows) })
		tab.Put(rapid.SliceOfN(row, 0, 12).Draw(t, "new rows")...)
		tab.Fail(nil)
		for _, b := range after {
			_ = b.Resync(second.ctx)
		}
		judge := newItems(t, core.Config{})
		judge.table = tab
		anew := keptBindings(tab)
		judge.start(t, bindables(anew)...)
		defer judge.stop(t)
		if got, want := tokens(after), tokens(anew); !maps.Equal(got, want) {
			t.Fatalf("after the return: %v, want %v", got, want)
		}
		for i, b := range after {
			wait(t, b.Name()+" to be live", func() bool { return b.Status().State == status.Live })
			if got, want := slices.Collect(b.All()), slices.Collect(anew[i].All()); !slices.Equal(got, want) {
				t.Fatalf("%s: %v, want %v", b.Name(), got, want)
			}
			c := clients[b.Name()]
			for {
				e, err := subs[b.Name()].Poll()
				if err != nil {
					t.Fatal(err)
				}
				if e == nil {
					break
				}
				if e.Kind == live.Synced {
					t.Fatalf("%s: a sync for a client that was at the saved version", b.Name())
				}
				c.apply(t, e)
			}
			c.check(t, b.Snapshot())
			for r := range b.Snapshot().Rows() {
				if r.Restored() {
					t.Fatalf("%s: row %s was not read", b.Name(), r.Key())
				}
			}
		}
		// What is read later goes its usual way.
		changed := tab.Put(row.Draw(t, "last"))
		second.report(t, changed)
		judge.report(t, changed)
		if got, want := tokens(after), tokens(anew); !maps.Equal(got, want) {
			t.Fatalf("after a write: %v, want %v", got, want)
		}
		second.stop(t)
	})
}

func bindables(bindings []*core.Binding[item]) []core.Bindable {
	out := make([]core.Bindable, len(bindings))
	for i, b := range bindings {
		out[i] = b
	}
	return out
}

// TestRestoredRowsWithoutValues: what JSON does not hold is not made up. Clients are
// served, Go code waits for the database.
func TestRestoredRowsWithoutValues(t *testing.T) {
	tab := coretest.NewTable[secret]("secrets", "id")
	tab.Put(secret{1, "pst", time.Unix(1, 0)}, secret{2, "sst", time.Unix(2, 0)})
	first := core.Config{Logger: quiet()}.NewRegistry()
	b := core.Bind("secrets", tab)
	_ = first.Add(b)
	_ = first.Watch(&coretest.Source{})
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, unvalued, err := first.Saved(b.View)
	if err != nil || unvalued == nil || unvalued.Error() != "row 1: field Word is lost in JSON, or becomes another value" {
		t.Fatalf("%v, %v", unvalued, err)
	}
	if err := first.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}

	release := tab.Hold()
	second := core.Config{Logger: quiet(), LoadWait: -1}.NewRegistry()
	b = core.Bind("secrets", tab)
	plugin := &restorer{saved: map[string]live.Saved{"secrets": s}}
	_ = second.Add(b)
	_ = second.Watch(&coretest.Source{})
	_ = second.Use(plugin)
	if err := second.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := second.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	if plugin.errs["secrets"] != nil || string(b.Snapshot().Body()) != "[{\"id\":1,\"at\":\""+time.Unix(1, 0).Format(time.RFC3339)+"\"},{\"id\":2,\"at\":\""+time.Unix(2, 0).Format(time.RFC3339)+"\"}]\n" {
		t.Fatalf("%v: %s", plugin.errs["secrets"], b.Snapshot().Body())
	}
	for row := range b.All() {
		t.Errorf("a row without its word: %v", row)
	}
	if row, ok := b.Get(1); ok {
		t.Errorf("a row without its word: %v", row)
	}
	deltas := make(chan core.Delta[secret], 10)
	stop := b.OnChange(func(d core.Delta[secret]) { deltas <- d })
	defer stop()
	client := b.Subscribe(live.SubscribeOptions{Version: s.Token})
	if e, err := client.Next(t.Context()); err != nil || e.Kind != live.Confirmed {
		t.Fatal(e, err)
	}
	release()
	if d := <-deltas; !d.Reset || len(d.Created) != 2 || d.Created[0].Word != "pst" {
		t.Errorf("the first change: %+v", d)
	}
	if e, err := client.Next(t.Context()); err != nil || e.Kind != live.Confirmed || b.Version().Token != s.Token {
		t.Errorf("the client is told %v, %v", e, err)
	}
	if row, ok := b.Get(2); !ok || row.Word != "sst" {
		t.Errorf("after the load: %v, %v", row, ok)
	}
}

// TestRestoreRefuses what was saved of something else.
func TestRestoreRefuses(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1, Name: "one"}, item{ID: 2, Name: "two"})
	b := core.Bind("all", r.table)
	if err := r.reg.Restore(b.View, live.Saved{}); !errors.Is(err, core.ErrNotStarted) || errors.Is(err, core.ErrStarted) {
		t.Errorf("before Start: %v", err)
	}
	r.start(t, b)
	good, _, err := r.reg.Saved(b.View)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.reg.Restore(b.View, good); !errors.Is(err, core.ErrStarted) {
		t.Errorf("while it runs: %v", err)
	}
	r.stop(t)
	if err := r.reg.Restore(b.View, good); !errors.Is(err, live.ErrClosed) {
		t.Errorf("after it ran: %v", err)
	}
	change := func(how func(*live.Saved)) live.Saved {
		s := good
		s.Rows = slices.Clone(good.Rows)
		how(&s)
		return s
	}
	for name, c := range map[string]struct {
		saved live.Saved
		bind  func(tab *coretest.Table[item]) core.Bindable
		want  error
	}{
		"another filter": {good, func(tab *coretest.Table[item]) core.Bindable {
			return core.Bind("all", tab, core.Where(filter.Eq("live", true)))
		}, live.ErrOtherDeclaration},
		"a row less":    {change(func(s *live.Saved) { s.Rows = s.Rows[:1] }), nil, live.ErrDamaged},
		"a row changed": {change(func(s *live.Saved) { s.Rows[0].JSON = []byte(`{"id":1}`) }), nil, live.ErrDamaged},
		"a row twice":   {change(func(s *live.Saved) { s.Rows[1] = s.Rows[0] }), nil, live.ErrDamaged},
		"a short order": {change(func(s *live.Saved) { s.Order = []uint32{1} }), nil, live.ErrDamaged},
		"a wild order":  {change(func(s *live.Saved) { s.Order = []uint32{1, 2} }), nil, live.ErrDamaged},
		"a log that leads elsewhere": {change(func(s *live.Saved) {
			s.Log = live.SavedLog{From: s.Token, Events: []live.SavedEvent{{Token: "elsewhere"}}}
		}), nil, live.ErrDamaged},
		"a log of another way": {change(func(s *live.Saved) {
			s.Log = live.SavedLog{From: "elsewhere", Events: []live.SavedEvent{{Token: s.Token, Created: s.Rows[:1]}}}
		}), nil, live.ErrDamaged},
		"a log without digests": {change(func(s *live.Saved) {
			s.Log = live.SavedLog{From: s.Token, Events: []live.SavedEvent{{Token: s.Token, Updated: s.Rows[:1]}}}
		}), nil, live.ErrDamaged},
		"as it is": {good, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newItems(t, core.Config{})
			r.table.Put(item{ID: 3})
			bind := c.bind
			if bind == nil {
				bind = func(tab *coretest.Table[item]) core.Bindable { return core.Bind("all", tab) }
			}
			p := &restorer{saved: map[string]live.Saved{"all": c.saved}}
			_ = r.reg.Use(p)
			r.start(t, bind(r.table))
			defer r.stop(t)
			if err := p.errs["all"]; !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("Restore: %v, want %v", err, c.want)
			}
			if err := r.reg.Flush(r.ctx); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// BenchmarkRestore makes a binding of 200,000 saved rows.
func BenchmarkRestore(b *testing.B) {
	tab := coretest.NewTable[item]("items", "id")
	tab.Edit(func(rows map[driver.Key]item) {
		for i := range 200_000 {
			rows[key(i)] = item{ID: i, Name: fmt.Sprintf("a record of some name %d", i), Price: i % 1000}
		}
	})
	first := core.Config{Logger: quiet()}.NewRegistry()
	bound := core.Bind("items", tab, core.OrderBy("price"))
	_ = first.Add(bound)
	_ = first.Watch(&coretest.Source{})
	if err := first.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	saved, _, err := first.Saved(bound.View)
	if err != nil {
		b.Fatal(err)
	}
	_ = first.Shutdown(b.Context())
	tab.Fail(errors.New("away"))
	b.ResetTimer()
	for range b.N {
		reg := core.Config{Logger: quiet(), LoadWait: -1}.NewRegistry()
		p := &restorer{saved: map[string]live.Saved{"items": saved}}
		_ = reg.Add(core.Bind("items", tab, core.OrderBy("price")))
		_ = reg.Watch(&coretest.Source{})
		_ = reg.Use(p)
		if err := reg.Start(b.Context()); err != nil || p.errs["items"] != nil {
			b.Fatal(err, p.errs)
		}
		b.StopTimer()
		_ = reg.Shutdown(b.Context())
		b.StartTimer()
	}
}
