package core_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/value"
)

// ware is a row whose columns may be NULL.
type ware struct {
	ID    int     `json:"id"`
	Name  *string `json:"name"`
	Price *int    `json:"price"`
	Shelf int     `json:"shelf"`
	Note  string  `json:"note"`
}

// store is a table in memory that answers queries, orders by the collation
// "fold" (upper and lower case are equal), and counts what it is asked.
type store struct {
	*coretest.Table[ware]

	mu      sync.Mutex
	queries []driver.Query
	rows    int // answered to them
}

func newStore() *store { return &store{Table: coretest.NewTable[ware]("wares", "id")} }

func (s *store) Query(ctx context.Context, q driver.Query) ([]*ware, error) {
	schema, _ := s.Schema()
	for _, o := range q.Order {
		if o.Collation != "" && o.Collation != "fold" {
			return nil, fmt.Errorf("no such collation: %s", o.Collation)
		}
	}
	rows, err := s.Load(ctx, q.Keys)
	if err != nil {
		return nil, err
	}
	if q.Filter != nil {
		p, err := filter.Compile(q.Filter, func(name string) (int, value.Kind, bool) {
			c := schema.Column(name)
			return c, schema.Columns[c].Kind, true
		})
		if err != nil {
			return nil, err
		}
		rows = slices.DeleteFunc(rows, func(w *ware) bool {
			return p.Eval(func(c int) value.Value { return s.Value(w, c) }) != filter.True
		})
	}
	slices.SortFunc(rows, func(a, b *ware) int { return compareWares(q.Order, *a, *b) })
	if q.Limit > 0 && len(rows) > q.Limit {
		rows = rows[:q.Limit]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries = append(s.queries, q)
	s.rows += len(rows)
	return rows, nil
}

// asked returns how many queries there were, and how many rows they gave.
func (s *store) asked() (queries, rows int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queries), s.rows
}

// compareWares is the order that a database would make, written out once more.
func compareWares(order []driver.Order, a, b ware) int {
	for _, o := range order {
		var c int
		switch o.Column {
		case "id":
			c = cmp.Compare(a.ID, b.ID)
		case "shelf":
			c = cmp.Compare(a.Shelf, b.Shelf)
		case "price":
			c = compareNullable(o, a.Price, b.Price, cmp.Compare[int])
		case "name":
			c = compareNullable(o, a.Name, b.Name, func(a, b string) int {
				if o.Collation != "" {
					return cmp.Compare(strings.ToLower(a), strings.ToLower(b))
				}
				return cmp.Compare(a, b)
			})
		}
		if o.Desc {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(a.ID, b.ID)
}

// compareNullable compares in ascending order; where NULLs have a place of
// their own, the direction does not move them.
func compareNullable[V any](o driver.Order, a, b *V, compare func(a, b V) int) int {
	if a != nil && b != nil {
		return compare(*a, *b)
	}
	first := -1 // a NULL comes first
	if o.Nulls == driver.NullsLast {
		first = 1
	}
	if o.Desc && o.Nulls != driver.NullsLowest {
		first = -first
	}
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return first
	}
	return -first
}

// first is what a binding of these options must show.
func (s *store) first(keep func(ware) bool, order []driver.Order, limit int) []ware {
	out := []ware{}
	for _, w := range s.Rows() {
		if keep(w) {
			out = append(out, w)
		}
	}
	slices.SortFunc(out, func(a, b ware) int { return compareWares(order, a, b) })
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out
}

func ptr[V any](v V) *V { return &v }

// shop is a running registry over a store.
type shop struct {
	*store
	source *coretest.Source
	reg    *core.Registry
	ctx    context.Context
}

func newShop(t fatalTester, loader *store, bindings ...core.Bindable) *shop {
	t.Helper()
	r := newItems(t, core.Config{})
	s := &shop{store: loader, source: r.source, reg: r.reg, ctx: r.ctx}
	_ = s.reg.Add(bindings...)
	_ = s.reg.Watch(s.source)
	if err := s.reg.Start(s.ctx); err != nil {
		t.Fatalf("Start: %v", err)
	}
	return s
}

func (s *shop) stop(t fatalTester) {
	t.Helper()
	if err := s.reg.Shutdown(s.ctx); err != nil {
		t.Fatalf("Shutdown: %v", err)
	}
}

func (s *shop) report(t fatalTester, changes ...driver.Change) {
	t.Helper()
	if err := s.source.Report(s.ctx, changes...); err != nil {
		t.Fatalf("waiting for a report: %v", err)
	}
}

// checkHeld demands that what is held is sound, when nothing is under way.
func (s *shop) checkHeld(t fatalTester) {
	t.Helper()
	if err := s.reg.Flush(s.ctx); err != nil {
		t.Fatalf("Flush: %v", err)
	}
	recovered(t, s.reg)
	if err := s.reg.Flush(s.ctx); err != nil {
		t.Fatalf("Flush: %v", err)
	}
	if err := core.CheckHeld(s.ctx, s.reg); err != nil {
		t.Fatalf("%v", err)
	}
}

// fill puts wares 0 to n-1, which cost as much as their number says.
func (s *store) fill(n int) {
	all := make([]ware, n)
	for i := range all {
		all[i] = ware{ID: i, Price: ptr(i), Name: ptr(fmt.Sprint("ware ", i))}
	}
	s.Put(all...)
}

func wareIDs(b *core.Binding[ware]) []int {
	out := []int{}
	for w := range b.All() {
		out = append(out, w.ID)
	}
	return out
}

// TestChangeBeyondTheMarginAsksNothing counts what the database is asked while
// rows change beyond the boundary of a limited binding, in its margin, and
// among the rows that it shows.
func TestChangeBeyondTheMarginAsksNothing(t *testing.T) {
	st := newStore()
	st.fill(100)
	cheapest := core.Bind("cheapest", st, core.OrderBy("price"), core.Limit(3), core.Tune(core.Tuning{Margin: 2}))
	s := newShop(t, st, cheapest)
	defer s.stop(t)
	if queries, rows := st.asked(); queries != 1 || rows != 5 {
		t.Fatalf("loading asked %d queries for %d rows, want 1 for 5", queries, rows)
	}
	type want struct {
		queries, refills int
		ids              []int
		events           uint64
	}
	events := func() uint64 { return cheapest.Status().Events }
	step := func(name string, c driver.Change, w want) {
		t.Helper()
		queries, _ := st.asked()
		reads, _ := st.Reads()
		refills, seen, token := s.reg.Status().Tables[0].Refills, events(), cheapest.Version().Token
		s.report(t, c)
		now, _ := st.asked()
		if now-queries != w.queries || int(s.reg.Status().Tables[0].Refills-refills) != w.refills {
			t.Errorf("%s: %d queries and %d refills, want %d and %d", name, now-queries, s.reg.Status().Tables[0].Refills-refills, w.queries, w.refills)
		}
		if now, _ := st.Reads(); w.queries == 0 && now-reads != 1 {
			t.Errorf("%s: %d reads, want the one by key", name, now-reads)
		}
		if got := wareIDs(cheapest); !slices.Equal(got, w.ids) {
			t.Errorf("%s: it shows %v, want %v", name, got, w.ids)
		}
		if got := events() - seen; got != w.events {
			t.Errorf("%s: %d events, want %d", name, got, w.events)
		}
		if (cheapest.Version().Token != token) != (w.events > 0) {
			t.Errorf("%s: the token went from %s to %s", name, token, cheapest.Version().Token)
		}
		s.checkHeld(t)
	}
	ids := []int{0, 1, 2}
	step("update beyond", s.Put(ware{ID: 50, Price: ptr(51)}), want{ids: ids})
	step("insert beyond", s.Put(ware{ID: 1000, Price: ptr(90)}), want{ids: ids})
	step("delete beyond", s.Remove(key(60)), want{ids: ids})
	step("update in the margin", s.Put(ware{ID: 4, Price: ptr(4), Note: "x"}), want{ids: ids})
	step("delete in the margin", s.Remove(key(4)), want{ids: ids})
	step("delete of the first", s.Remove(key(0)), want{ids: []int{1, 2, 3}, events: 1})
	step("the margin is used up", s.Remove(key(1)), want{queries: 1, refills: 1, ids: []int{2, 3, 5}, events: 1})
	step("insert among the first", s.Put(ware{ID: 0, Price: ptr(0)}), want{ids: []int{0, 2, 3}, events: 1})
	step("out of the window", s.Put(ware{ID: 0, Price: ptr(99)}), want{ids: []int{2, 3, 5}, events: 1})
	step("to the front", s.Put(ware{ID: 77, Price: ptr(-1)}), want{ids: []int{77, 2, 3}, events: 1})
	step("within", s.Put(ware{ID: 2, Price: ptr(2), Note: "new"}), want{ids: []int{77, 2, 3}, events: 1})
	if err := cheapest.Clear(s.ctx); err != nil {
		t.Fatal(err)
	}
	s.checkHeld(t)
	s.Put(ware{ID: 8, Price: ptr(-2)}) // and nobody says so
	d, err := cheapest.Verify(s.ctx)
	if err != nil || !slices.Equal(d.Missing, []driver.Key{key(8)}) || !slices.Equal(d.Extra, []driver.Key{key(3)}) {
		t.Errorf("Verify found %+v, %v", d, err)
	}
	s.checkHeld(t)
}

// TestMargins says how many rows are held when nothing or something is said.
func TestMargins(t *testing.T) {
	for _, c := range []struct {
		opts []core.Option
		rows int
	}{
		{[]core.Option{core.Limit(3)}, 3 + core.DefaultMargin},
		{[]core.Option{core.Limit(100)}, 200},
		{[]core.Option{core.Limit(1500)}, 1500 + core.MaxDefaultMargin},
		{[]core.Option{core.Limit(3), core.Tune(core.Tuning{Margin: -1})}, 3},
		{[]core.Option{core.Limit(3), core.Tune(core.Tuning{Margin: 5})}, 8},
	} {
		st := newStore()
		st.fill(4000)
		s := newShop(t, st, core.Bind("some", st, c.opts...))
		if _, rows := st.asked(); rows != c.rows {
			t.Errorf("%d rows were read, want %d", rows, c.rows)
		}
		s.checkHeld(t)
		s.stop(t)
	}
	for _, c := range []struct {
		opts []core.Option
		says string
	}{
		{[]core.Option{core.Tune(core.Tuning{Margin: 1})}, "Margin is for bindings with a Limit"},
		{[]core.Option{core.Ordered(driver.Order{Column: "price", Collation: "fold"})}, `column "price" holds no text`},
	} {
		reg := core.Config{Logger: quiet()}.NewRegistry()
		_ = reg.Add(core.Bind("wrong", newStore(), c.opts...))
		wantErr(t, reg.Start(t.Context()), c.says)
	}
	reg := core.Config{Logger: quiet()}.NewRegistry()
	_ = reg.Add(core.Bind("wrong", coretest.NewTable[item]("items", "id"), core.Ordered(driver.Order{Column: "name", Collation: "fold"})))
	wantErr(t, reg.Start(t.Context()), "driver.Querier")
}

// TestOneTokenWhateverTheMargin: the margin is no content.
func TestOneTokenWhateverTheMargin(t *testing.T) {
	st := newStore()
	st.fill(20)
	tokens := map[string]bool{}
	for n := range 4 {
		b := core.Bind("some", st, core.OrderBy("-price"), core.Limit(3), margin(n))
		s := newShop(t, st, b)
		tokens[b.Version().Token] = true
		s.stop(t)
	}
	if len(tokens) != 1 {
		t.Errorf("tokens %v, want one", tokens)
	}
}

// TestManyWindows keeps the limited members of a family: each change asks
// nothing but its key, and when all must be read anew that is bounded.
func TestManyWindows(t *testing.T) {
	const members = 150
	st := newStore()
	for i := range members * 30 {
		st.Put(ware{ID: i, Shelf: i % members, Price: ptr(i)})
	}
	shelf := core.BindFamily("shelf", st, core.Where(filter.Eq("shelf", filter.Param("shelf"))), core.OrderBy("price"), core.Limit(10))
	s := newShop(t, st, shelf)
	defer s.stop(t)
	var open []*core.Member[ware]
	for n := range members {
		m, err := shelf.Open(s.ctx, core.Args{"shelf": n})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		open = append(open, m)
	}
	check := func() {
		t.Helper()
		s.checkHeld(t)
		for n, m := range open {
			want := st.first(func(w ware) bool { return w.Shelf == n }, []driver.Order{{Column: "price"}}, 10)
			if got := wareIDs(m.Binding); len(got) != len(want) || got[0] != want[0].ID {
				t.Fatalf("member %d shows %v, want %v", n, got, want)
			}
		}
	}
	check()
	before, _ := st.asked()
	s.report(t, st.Put(ware{ID: 5, Shelf: 6, Price: ptr(5)}), st.Remove(key(7)))
	if now, _ := st.asked(); now != before {
		t.Errorf("two changes asked %d queries", now-before)
	}
	check()
	st.Edit(func(rows map[driver.Key]ware) {
		for k, w := range rows {
			w.Price = ptr(-*w.Price)
			rows[k] = w
		}
	})
	s.report(t, driver.Change{Table: st.Name()})
	if now, _ := st.asked(); now != before {
		t.Errorf("%d queries, where one read of the table is less", now-before)
	}
	check()
}

// TestWindowsAgainstModel changes a table at random, in ways that are reported
// by key and as a whole, fails now and then, and demands after each step that
// every binding shows what SELECT … ORDER BY … LIMIT would, that what it holds
// beyond that is sound, that those who follow agree, and that the token is what
// another node would have.
func TestWindowsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := newStore()
		var loader driver.Loader[ware] = st
		queries := rapid.Bool().Draw(t, "queries")
		if !queries { // everything is done in memory, refilling too
			loader = st.Table
		}
		const ids = 12
		drawWare := func() ware {
			w := ware{ID: rapid.IntRange(1, ids).Draw(t, "id"), Shelf: rapid.IntRange(0, 2).Draw(t, "shelf"), Note: rapid.SampledFrom([]string{"", "x"}).Draw(t, "note")}
			if p := rapid.IntRange(-1, 5).Draw(t, "price"); p >= 0 {
				w.Price = &p
			}
			if n := rapid.SampledFrom([]string{"-", "", "a", "A", "b", "B", "ab", "Ab"}).Draw(t, "name"); n != "-" {
				w.Name = &n
			}
			return w
		}
		drawOrder := func() []driver.Order {
			var order []driver.Order
			for _, c := range rapid.Permutation([]string{"price", "name", "shelf", "id"}).Draw(t, "columns")[:rapid.IntRange(0, 3).Draw(t, "of them")] {
				o := driver.Order{Column: c, Desc: rapid.Bool().Draw(t, "desc"), Nulls: driver.Nulls(rapid.IntRange(0, 2).Draw(t, "nulls"))}
				if c == "name" && queries && rapid.IntRange(0, 2).Draw(t, "collated") == 0 {
					o.Collation = "fold"
				}
				order = append(order, o)
			}
			return order
		}
		for range rapid.IntRange(0, ids).Draw(t, "rows at start") {
			st.Put(drawWare())
		}
		type declaration struct {
			opts  []core.Option
			keep  func(ware) bool
			order []driver.Order
			limit int
		}
		var decls []declaration
		bind := func() (bound []*core.Binding[ware], all []core.Bindable) {
			for i, d := range decls {
				b := core.Bind(fmt.Sprint("b", i), loader, d.opts...)
				bound, all = append(bound, b), append(all, b)
			}
			return bound, all
		}
		for range rapid.SampledFrom([]int{2, 12}).Draw(t, "bindings") { // with and without an index
			d := declaration{order: drawOrder(), limit: rapid.IntRange(0, 5).Draw(t, "limit"), keep: func(ware) bool { return true }}
			d.opts = append(d.opts, core.Ordered(d.order...))
			if d.limit > 0 {
				d.opts = append(d.opts, core.Limit(d.limit))
				if m := rapid.IntRange(0, 4).Draw(t, "margin"); m < 4 {
					d.opts = append(d.opts, margin(m))
				}
			}
			switch shelf := rapid.IntRange(0, 2).Draw(t, "of shelf"); rapid.IntRange(0, 2).Draw(t, "filter") {
			case 0:
				d.opts = append(d.opts, core.Where(filter.Eq("shelf", shelf)))
				d.keep = func(w ware) bool { return w.Shelf == shelf }
			case 1:
				d.opts = append(d.opts, core.Where(filter.Gt("price", shelf)))
				d.keep = func(w ware) bool { return w.Price != nil && *w.Price > shelf }
			}
			if rapid.IntRange(0, 3).Draw(t, "columns") == 0 {
				d.opts = append(d.opts, core.Columns("id", "note"))
			}
			decls = append(decls, d)
		}
		bound, all := bind()
		s := newShop(t, st, all...)
		defer s.stop(t)
		type follower struct {
			sub *live.Subscription
			client
		}
		followers := make([]*follower, len(bound))
		for i, b := range bound {
			followers[i] = &follower{sub: b.Subscribe(live.SubscribeOptions{})}
			defer followers[i].sub.Close()
		}
		report := func(c driver.Change) {
			if rapid.IntRange(0, 5).Draw(t, "whole") == 0 {
				c.Keys = nil
			}
			s.source.Sink().Report(c)
		}
		write := func(t *rapid.T) {
			var rows []ware
			for range rapid.IntRange(1, 3).Draw(t, "rows") {
				rows = append(rows, drawWare())
			}
			report(st.Put(rows...))
		}
		some := func(t *rapid.T) *core.Binding[ware] { return rapid.SampledFrom(bound).Draw(t, "binding") }
		t.Repeat(map[string]func(*rapid.T){
			"write": write,
			"change": func(t *rapid.T) { // of a row that is there, in one column
				id := key(rapid.IntRange(1, ids).Draw(t, "id"))
				w, ok := st.Rows()[id]
				if !ok {
					return
				}
				now := drawWare()
				switch rapid.IntRange(0, 3).Draw(t, "column") {
				case 0:
					w.Price = now.Price
				case 1:
					w.Name = now.Name
				case 2:
					w.Shelf = now.Shelf
				case 3:
					w.Note = now.Note
				}
				report(st.Put(w))
			},
			"delete": func(t *rapid.T) {
				report(st.Remove(key(rapid.IntRange(1, ids).Draw(t, "id")), key(rapid.IntRange(1, ids).Draw(t, "id"))))
			},
			"fail": func(t *rapid.T) {
				st.Fail(errors.New("away"))
				write(t)
				_, _ = some(t).Verify(canceled())
				st.Fail(nil)
			},
			"clear":  func(t *rapid.T) { _ = some(t).Clear(s.ctx) },
			"verify": func(t *rapid.T) { _, _ = some(t).Verify(s.ctx) },
			"touch":  func(t *rapid.T) { _ = some(t).Touch() },
			"": func(t *rapid.T) {
				s.checkHeld(t)
				for i, b := range bound {
					d := decls[i]
					got, want := wareIDs(b), []int{}
					for _, w := range st.first(d.keep, d.order, d.limit) {
						want = append(want, w.ID)
					}
					if !slices.Equal(got, want) {
						t.Fatalf("%s (order %+v, limit %d) shows %v, want %v", b.Name(), d.order, d.limit, got, want)
					}
					f := followers[i]
					for {
						e, err := f.sub.Poll()
						if err != nil {
							t.Fatalf("Poll: %v", err)
						}
						if e == nil {
							break
						}
						f.apply(t, e)
					}
					f.check(t, b.Snapshot())
				}
			},
		})
		others, all := bind()
		other := newShop(t, st, all...)
		defer other.stop(t)
		for i, b := range bound {
			if a, o := b.Version().Token, others[i].Version().Token; a != o {
				t.Fatalf("%s (order %+v): token %s after changes, %s when loaded", b.Name(), decls[i].order, a, o)
			}
		}
	})
}

// TestWindowsShowNoHalfTransactions swaps the prices of wares in announced
// transactions, so that the three lowest prices are always the same, and
// demands them in every version that anybody could see, however often the
// bindings must be read anew within a batch.
func TestWindowsShowNoHalfTransactions(t *testing.T) {
	const wares, writers = 30, 4
	st := newStore()
	st.fill(wares)
	cheapest := core.Bind("cheapest", st, core.OrderBy("price"), core.Limit(3), core.Tune(core.Tuning{Margin: 1}))
	folded := core.Bind("folded", st, core.Ordered(driver.Order{Column: "price"}, driver.Order{Column: "name", Collation: "fold"}), core.Limit(3))
	r := newItems(t, core.Config{})
	var wrong []string
	seen := 0
	_ = r.reg.Use(&observer{on: func(v *live.View, _ *live.Event) { // by the feed's goroutine alone
		prices := []int{}
		b := map[string]*core.Binding[ware]{"cheapest": cheapest, "folded": folded}[v.Name()]
		for w := range b.All() {
			prices = append(prices, *w.Price)
		}
		seen++
		if !slices.Equal(prices, []int{0, 1, 2}) {
			wrong = append(wrong, fmt.Sprint(v.Name(), prices))
		}
	}})
	_ = r.reg.Add(cheapest, folded)
	_ = r.reg.Watch(r.source)
	if err := r.reg.Start(r.ctx); err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	for n := range writers {
		done.Go(func() {
			for i := range 200 {
				a, b := key((i*7+n)%wares), key((i*3+n*5+1)%wares)
				if a == b {
					continue
				}
				c := driver.Change{Table: st.Name(), Keys: []driver.Key{a, b}}
				announced := r.source.Sink().Announce(c)
				runtime.Gosched()
				st.Edit(func(rows map[driver.Key]ware) {
					x, y := rows[a], rows[b]
					x.Price, y.Price = y.Price, x.Price
					rows[a], rows[b] = x, y
				})
				runtime.Gosched()
				shown := announced.Confirm(c)
				if i%3 == 0 {
					_ = shown.Wait(r.ctx)
				}
			}
		})
	}
	done.Wait()
	if err := r.reg.Flush(r.ctx); err != nil {
		t.Fatal(err)
	}
	refills := r.reg.Status().Tables[0].Refills
	r.stop(t)
	if len(wrong) > 0 {
		t.Errorf("%d of %d versions show other prices, the first is %s", len(wrong), seen, wrong[0])
	}
	if refills < 3 {
		t.Errorf("only %d refills", refills)
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// TestOrderOfTheDatabase keeps rows in an order that Go does not know.
func TestOrderOfTheDatabase(t *testing.T) {
	st := newStore()
	for i, n := range []string{"b", "A", "C", "a", "B"} {
		st.Put(ware{ID: i + 1, Name: ptr(n)})
	}
	byName := core.Ordered(driver.Order{Column: "name", Collation: "fold"})
	names := core.Bind("names", st, byName)
	ids := core.Bind("ids", st, byName, core.Columns("id"))
	s := newShop(t, st, names, ids)
	defer s.stop(t)
	want := func(what string, queries int, change driver.Change, ids ...int) {
		t.Helper()
		before, _ := st.asked()
		s.report(t, change)
		if now, _ := st.asked(); now-before != queries {
			t.Errorf("%s: %d queries, want %d", what, now-before, queries)
		}
		if got := wareIDs(names); !slices.Equal(got, ids) {
			t.Errorf("%s: it shows %v, want %v", what, got, ids)
		}
		s.checkHeld(t)
	}
	want("nothing", 0, driver.Change{Table: st.Name(), Keys: []driver.Key{key(1)}}, 2, 4, 1, 5, 3)
	want("a row that stays where it is", 0, st.Put(ware{ID: 1, Name: ptr("b"), Note: "x"}), 2, 4, 1, 5, 3)
	want("a row that goes", 0, st.Remove(key(2)), 4, 1, 5, 3)
	want("a row that comes", 2, st.Put(ware{ID: 6, Name: ptr("aB")}), 4, 6, 1, 5, 3)
	sub := ids.Subscribe(live.SubscribeOptions{Version: ids.Version().Token})
	defer sub.Close()
	if e, err := sub.Poll(); err != nil || e.Kind != live.Confirmed {
		t.Fatalf("%v, %v", e, err)
	}
	token := ids.Version().Token
	want("a row that moves", 2, st.Put(ware{ID: 4, Name: ptr("z")}), 6, 1, 5, 3, 4)
	if ids.Version().Token == token {
		t.Error("the token does not tell the order")
	}
	if e, err := sub.Poll(); err != nil || e == nil || e.Kind != live.Synced {
		t.Errorf("nothing but the order changed: %+v, %v; want a sync", e, err)
	}
	if f := names.OrderFields(); f != nil {
		t.Errorf("clients are told the order %v", f)
	}
}

// TestUnknownCollation names the binding that asks for it.
func TestUnknownCollation(t *testing.T) {
	st := newStore()
	b := core.Bind("wrong", st, core.Ordered(driver.Order{Column: "name", Collation: "klingon"}))
	s := newShop(t, st, b)
	defer s.stop(t)
	st2 := b.Status()
	if st2.State != status.Loading {
		t.Errorf("state %v", st2.State)
	}
	wantErr(t, st2.Err, `binding "wrong" (window_test.go`, "no such collation: klingon")
}
