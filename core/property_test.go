package core_test

import (
	"cmp"
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
)

// declared is a binding together with the plain function that it must equal.
type declared struct {
	b     *core.Binding[item]
	keep  func(item) bool
	less  func(a, b item) int
	limit int
}

func declarations(r *rig, log core.Option) []declared {
	byID := func(a, b item) int { return cmp.Compare(a.ID, b.ID) }
	return []declared{
		{b: core.Bind("all", r.table, log), keep: func(item) bool { return true }, less: byID},
		{
			b:    core.Bind("live", r.table, log, core.Where(filter.Eq("live", true)), core.OrderBy("-price", "name")),
			keep: func(i item) bool { return i.Live },
			less: func(a, b item) int {
				return cmp.Or(cmp.Compare(b.Price, a.Price), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
			},
		},
		{
			b:    core.Bind("cheapest", r.table, log, core.Where(filter.Gt("price", 2)), core.OrderBy("price"), core.Limit(3), core.Tune(core.Tuning{Margin: 1})),
			keep: func(i item) bool { return i.Price > 2 },
			less: func(a, b item) int { return cmp.Or(cmp.Compare(a.Price, b.Price), cmp.Compare(a.ID, b.ID)) }, limit: 3,
		},
	}
}

// TestEngineAgainstModel writes, reports, announces, touches, reads again and
// forgets at random, and demands that every binding equals its plain function,
// that its token depends on nothing but content, and that clients which poll
// now and then, drop and resume always agree with the version they are told.
func TestEngineAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newItems(t, core.Config{MaxBatchKeys: rapid.IntRange(1, 6).Draw(t, "maxKeys")})
		drawItem := func(label string) item {
			return item{
				ID:    rapid.IntRange(1, 8).Draw(t, label+"ID"),
				Name:  rapid.SampledFrom([]string{"", "a", "b", "ä"}).Draw(t, label+"Name"),
				Price: rapid.IntRange(0, 5).Draw(t, label+"Price"),
				Live:  rapid.Bool().Draw(t, label+"Live"),
			}
		}
		for range rapid.IntRange(0, 5).Draw(t, "rows at start") {
			r.table.Put(drawItem("start"))
		}
		decls := declarations(r, core.Tune(core.Tuning{LogEvents: rapid.IntRange(1, 5).Draw(t, "log")}))
		r.start(t, decls[0].b, decls[1].b, decls[2].b)
		defer r.stop(t)

		type follower struct {
			sub *live.Subscription
			client
		}
		var followers []*follower
		for _, d := range decls {
			followers = append(followers, &follower{sub: d.b.Subscribe(live.SubscribeOptions{})})
		}
		defer func() {
			for _, f := range followers {
				f.sub.Close()
			}
		}()
		drain := func(f *follower) {
			for {
				e, err := f.sub.Poll()
				if err != nil {
					t.Fatalf("Poll: %v", err)
				}
				if e == nil {
					return
				}
				f.apply(t, e)
			}
		}
		var open []driver.Announcement

		write := func(t *rapid.T) driver.Change {
			if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
				return r.table.Remove(key(rapid.IntRange(1, 8).Draw(t, "id")))
			}
			var rows []item
			for range rapid.IntRange(1, 3).Draw(t, "rows") {
				rows = append(rows, drawItem("put"))
			}
			return r.table.Put(rows...)
		}
		t.Repeat(map[string]func(*rapid.T){
			"write and report": func(t *rapid.T) {
				c := write(t)
				if rapid.Bool().Draw(t, "whole") {
					c.Keys = nil
				}
				r.source.Sink().Report(c)
				if rapid.Bool().Draw(t, "twice") {
					r.source.Sink().Report(c)
				}
			},
			"write announced": func(t *rapid.T) {
				// The keys are announced before they are known to be written.
				id := rapid.IntRange(1, 8).Draw(t, "id")
				a := r.source.Sink().Announce(driver.Change{Table: r.table.Name(), Keys: []driver.Key{key(id)}})
				if rapid.Bool().Draw(t, "written") {
					it := drawItem("announced")
					it.ID = id
					r.table.Put(it)
					open = append(open, a)
				} else {
					a.Withdraw()
				}
			},
			"confirm": func(t *rapid.T) {
				if len(open) > 0 {
					open[0].Confirm()
					open = open[1:]
				}
			},
			"false alarm": func(t *rapid.T) {
				r.source.Sink().Report(driver.Change{Table: r.table.Name(), Keys: []driver.Key{key(rapid.IntRange(1, 9).Draw(t, "id"))}})
			},
			"touch":  func(t *rapid.T) { _ = decls[rapid.IntRange(0, 2).Draw(t, "binding")].b.Touch() },
			"resync": func(t *rapid.T) { _ = decls[rapid.IntRange(0, 2).Draw(t, "binding")].b.Resync(r.ctx) },
			"clear":  func(t *rapid.T) { _ = decls[rapid.IntRange(0, 2).Draw(t, "binding")].b.Clear(r.ctx) },
			"flush":  func(t *rapid.T) { _ = r.reg.Flush(r.ctx) },
			"poll":   func(t *rapid.T) { drain(followers[rapid.IntRange(0, 2).Draw(t, "follower")]) },
			"drop and resume": func(t *rapid.T) {
				i := rapid.IntRange(0, 2).Draw(t, "follower")
				f := followers[i]
				f.sub.Close()
				f.sub = decls[i].b.Subscribe(live.SubscribeOptions{Version: f.version})
			},
			"": func(t *rapid.T) {},
		})
		for _, a := range open {
			a.Confirm()
		}
		if err := r.reg.Flush(r.ctx); err != nil {
			t.Fatalf("Flush: %v", err)
		}
		rows := r.table.Rows()
		for i, d := range decls {
			want := bodyOf(t, sortedRows(rows, d.keep, d.less, d.limit))
			snap := d.b.Snapshot()
			if got := string(snap.Body()); got != want {
				t.Fatalf("%s holds\n%swant\n%s", d.b.Name(), got, want)
			}
			drain(followers[i])
			followers[i].check(t, snap)
		}
		// Another node that loads the same rows has the same tokens.
		other := newItems(t, core.Config{})
		for _, it := range rows {
			other.table.Put(it)
		}
		others := declarations(other, core.Tune(core.Tuning{}))
		other.start(t, others[0].b, others[1].b, others[2].b)
		defer other.stop(t)
		for i, d := range decls {
			if a, b := d.b.Version().Token, others[i].b.Version().Token; a != b || len(a) != live.TokenLength {
				t.Fatalf("%s: token %q after changes, %q when loaded", d.b.Name(), a, b)
			}
		}
	})
}

// TestEveryVersionIsAState moves an amount between rows in announced
// transactions while others are read, and demands the same total in every
// version that anybody could see.
func TestEveryVersionIsAState(t *testing.T) {
	const accounts, total = 20, 20 * 100
	for name, known := range map[string]bool{"keys announced": true, "table announced": false} {
		t.Run(name, func(t *testing.T) {
			r := newItems(t, core.Config{})
			for i := range accounts {
				r.table.Put(item{ID: i, Price: 100})
			}
			b := core.Bind("accounts", r.table)
			sums := make(chan int, 1<<16)
			plug := &observer{on: func(_ *live.View, _ *live.Event) {
				sum := 0
				for it := range b.All() {
					sum += it.Price
				}
				sums <- sum
			}}
			_ = r.reg.Use(plug)
			r.start(t, b)
			ctx, cancel := context.WithCancel(r.ctx)
			defer cancel()
			work := make(chan struct{}, 4)
			for w := range 4 {
				go func() {
					defer func() { work <- struct{}{} }()
					for n := range 300 {
						from, to := (n*7+w)%accounts, (n*3+w*5+1)%accounts
						if from == to || ctx.Err() != nil {
							continue
						}
						c := driver.Change{Table: r.table.Name()}
						keys := []driver.Key{key(from), key(to)}
						if known {
							c.Keys = keys
						}
						a := r.source.Sink().Announce(c)
						runtime.Gosched()
						r.table.Edit(func(rows map[driver.Key]item) {
							f, t := rows[key(from)], rows[key(to)]
							f.Price, t.Price = f.Price-1, t.Price+1
							rows[key(from)], rows[key(to)] = f, t
						})
						runtime.Gosched()
						shown := a.Confirm(driver.Change{Table: r.table.Name(), Keys: keys})
						if n%3 == 0 {
							_ = shown.Wait(ctx)
						}
					}
				}()
			}
			for range 4 {
				<-work
			}
			if err := r.reg.Flush(r.ctx); err != nil {
				t.Fatal(err)
			}
			r.stop(t)
			close(sums)
			n := 0
			for s := range sums {
				n++
				if s != total {
					t.Fatalf("version %d shows a total of %d, want %d", n, s, total)
				}
			}
			if n < 50 {
				t.Fatalf("only %d versions were seen", n)
			}
		})
	}
}

// observer is a plugin that sees every new version.
type observer struct {
	on func(*live.View, *live.Event)
}

func (*observer) Name() string                                { return "observer" }
func (*observer) Start(context.Context, *core.Registry) error { return nil }
func (*observer) Shutdown(context.Context) error              { return nil }
func (o *observer) Published(v *live.View, e *live.Event)     { o.on(v, e) }

var _ core.PublishObserver = (*observer)(nil)

// follower is a source that learns of commits late, from a log, and can catch
// up with it.
type follower struct {
	table *coretest.Table[item]
	coretest.Source
	mu  sync.Mutex
	log []driver.Change // committed and not yet reported
}

func (f *follower) commit(change func(map[driver.Key]item), keys ...driver.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.table.Edit(change)
	f.log = append(f.log, driver.Change{Table: f.table.Name(), Keys: keys})
}

// report reports the oldest n commits, in two reports each: the keys of one
// transaction come apart.
func (f *follower) report(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.log[:min(n, len(f.log))] {
		for _, k := range c.Keys {
			f.Sink().Report(driver.Change{Table: c.Table, Keys: []driver.Key{k}})
		}
	}
	f.log = f.log[min(n, len(f.log)):]
}

func (f *follower) CatchUp(context.Context, driver.Snapshot) error {
	f.report(1 << 20)
	return nil
}

// TestCatchingUp is the bank again, with a source that does not announce but
// catches up with its log inside of the read.
func TestCatchingUp(t *testing.T) {
	const accounts, total = 20, 20 * 100
	r := newItems(t, core.Config{})
	for i := range accounts {
		r.table.Put(item{ID: i, Price: 100})
	}
	b := core.Bind("accounts", r.table)
	src := &follower{table: r.table}
	_ = r.reg.Add(b)
	_ = r.reg.Watch(src)
	var bad, seen atomic.Int64
	_ = r.reg.Use(&observer{on: func(*live.View, *live.Event) {
		sum := 0
		for it := range b.All() {
			sum += it.Price
		}
		seen.Add(1)
		if sum != total {
			bad.Add(1)
		}
	}})
	if err := r.reg.Start(r.ctx); err != nil {
		t.Fatal(err)
	}
	for n := range 500 {
		from, to := key(n*7%accounts), key((n*3+1)%accounts)
		if from == to {
			continue
		}
		src.commit(func(rows map[driver.Key]item) {
			f, t := rows[from], rows[to]
			f.Price, t.Price = f.Price-1, t.Price+1
			rows[from], rows[to] = f, t
		}, from, to)
		if n%3 == 0 {
			src.report(1)
			runtime.Gosched()
		}
		if n%10 == 0 { // otherwise all of it would be one batch
			_ = r.reg.Flush(r.ctx)
		}
	}
	src.report(1 << 20)
	if err := r.reg.Flush(r.ctx); err != nil {
		t.Fatal(err)
	}
	r.stop(t)
	if bad.Load() != 0 || seen.Load() < 20 {
		t.Errorf("%d of %d versions have another total", bad.Load(), seen.Load())
	}
}
