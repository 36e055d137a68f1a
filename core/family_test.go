package core_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// wait waits for a condition that other goroutines bring about.
func wait(t fatalTester, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long: %s", what)
		}
	}
}

// kindOfFamily is a family, and the plain function that its members must equal.
type kindOfFamily struct {
	fam  *core.Family[item]
	args func(t *rapid.T) core.Args
	keep func(i item, a core.Args) bool
}

func families(r *rig, opts ...core.Option) []kindOfFamily {
	name := func(t *rapid.T) string { return rapid.SampledFrom([]string{"", "a", "b", "ä", "c"}).Draw(t, "name") }
	price := func(t *rapid.T, label string) int { return rapid.IntRange(-1, 6).Draw(t, label) }
	bind := func(name string, e ...filter.Expr) *core.Family[item] {
		return core.BindFamily(name, r.table, append(opts, core.Where(e...))...)
	}
	return []kindOfFamily{
		{
			bind("named", filter.Eq("live", true), filter.Eq("name", filter.Param("name"))),
			func(t *rapid.T) core.Args { return core.Args{"name": name(t)} },
			func(i item, a core.Args) bool { return i.Live && i.Name == a["name"] },
		},
		{
			bind("between", filter.Between("price", filter.Param("lo"), filter.Param("hi"))),
			func(t *rapid.T) core.Args { return core.Args{"lo": price(t, "lo"), "hi": price(t, "hi")} },
			func(i item, a core.Args) bool { return i.Price >= a["lo"].(int) && i.Price <= a["hi"].(int) },
		},
		{
			bind("other", filter.Not(filter.Or(filter.Eq("name", filter.Param("name")), filter.Gt("price", filter.Param("max"))))),
			func(t *rapid.T) core.Args { return core.Args{"name": name(t), "max": price(t, "max")} },
			func(i item, a core.Args) bool { return i.Name != a["name"] && i.Price <= a["max"].(int) },
		},
	}
}

// TestFamiliesAgainstModel opens and closes members while rows change, and
// demands that every member equals its plain function: through the index and
// without it, and also when rows change between the load of a member and the
// report of the change.
func TestFamiliesAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newItems(t, core.Config{})
		kinds := families(r, core.Tune(core.Tuning{MaxMembers: rapid.IntRange(4, 5).Draw(t, "max"), IdleAfter: time.Hour}))
		all := core.Bind("all", r.table)
		r.start(t, all, kinds[0].fam, kinds[1].fam, kinds[2].fam)
		defer r.stop(t)

		type open struct {
			m    *core.Member[item]
			args core.Args
			kind kindOfFamily
		}
		var members []open
		var unreported []driver.Change
		check := func(label string) {
			rows := r.table.Rows()
			for _, o := range members {
				var want []item
				for _, i := range rows {
					if o.kind.keep(i, o.args) {
						want = append(want, i)
					}
				}
				slices.SortFunc(want, func(a, b item) int { return cmp.Compare(a.ID, b.ID) })
				if got := slices.Collect(o.m.All()); !slices.Equal(got, want) {
					t.Fatalf("%s: %s: got %v, want %v", label, o.m.ID(), got, want)
				}
			}
		}
		write := func() {
			if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
				id := rapid.IntRange(1, 6).Draw(t, "id")
				unreported = append(unreported, r.table.Remove(driver.KeyOf(id)))
				return
			}
			unreported = append(unreported, r.table.Put(item{
				ID:    rapid.IntRange(1, 6).Draw(t, "id"),
				Name:  rapid.SampledFrom([]string{"", "a", "b", "ä"}).Draw(t, "name"),
				Price: rapid.IntRange(0, 5).Draw(t, "price"),
				Live:  rapid.IntRange(0, 3).Draw(t, "live") > 0,
			}))
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"open", "open", "open", "close", "write", "write", "report", "report", "whole"}).Draw(t, "step") {
			case "open":
				k := rapid.SampledFrom(kinds).Draw(t, "family")
				args := k.args(t)
				m, err := k.fam.Open(r.ctx, args)
				if errors.Is(err, core.ErrTooManyMembers) {
					continue
				}
				if err != nil {
					t.Fatalf("Open(%v): %v", args, err)
				}
				members = append(members, open{m, args, k})
			case "close":
				if len(members) > 0 {
					i := rapid.IntRange(0, len(members)-1).Draw(t, "which")
					members[i].m.Close()
					members = slices.Delete(members, i, i+1)
				}
			case "write":
				write()
			case "report":
				r.report(t, unreported...)
				unreported = nil
				check("after a report")
			case "whole":
				r.report(t, driver.Change{Table: r.table.Name()})
				unreported = nil
				check("after a whole report")
			}
		}
		r.report(t, unreported...)
		check("at the end")
		if err := r.reg.Resync(r.ctx); err != nil { // after it the feed is at rest
			t.Fatal(err)
		}
		if err := core.CheckHeld(r.ctx, r.reg); err != nil {
			t.Fatal(err)
		}
		for _, o := range members {
			drift, err := o.m.Verify(r.ctx)
			if err != nil || len(drift.Missing)+len(drift.Extra)+len(drift.Different) > 0 {
				t.Fatalf("%s: Verify: %v, %v", o.m.ID(), drift, err)
			}
		}
	})
}

func TestMembersAreShared(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1, Name: "a", Live: true}, item{ID: 2, Name: "b", Live: true})
	fam := core.BindFamily("named", r.table, core.Where(filter.Eq("name", filter.Param("name"))))
	r.start(t, fam)
	defer r.stop(t)
	before, _ := r.table.Reads()
	var wg sync.WaitGroup
	views := make([]*live.View, 20)
	for i := range views {
		wg.Add(1)
		go func() {
			defer wg.Done()
			m, err := fam.Open(r.ctx, core.Args{"name": "a"})
			if err != nil {
				t.Error(err)
				return
			}
			views[i] = m.View
		}()
	}
	wg.Wait()
	for _, v := range views {
		if v != views[0] {
			t.Fatal("two members of the same parameters")
		}
	}
	if after, _ := r.table.Reads(); after-before != 1 {
		t.Errorf("20 openings loaded %d times", after-before)
	}
	if got := views[0].ID(); got != "named?name=a" {
		t.Errorf("ID: %s", got)
	}
	st := r.reg.Status().Families[0]
	if st.Alive != 1 || st.InUse != 1 || st.Opened != 1 || !slices.Equal(st.Params, []string{"name"}) {
		t.Errorf("status: %+v", st)
	}
}

func TestMembersShareRows(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1, Name: "a", Price: 1})
	fam := core.BindFamily("dear", r.table, core.Where(filter.Gt("price", filter.Param("min"))))
	r.start(t, fam)
	defer r.stop(t)
	var rows []live.Row
	for i := range 20 {
		m, err := fam.Open(r.ctx, core.Args{"min": -i})
		if err != nil {
			t.Fatal(err)
		}
		row, _ := m.Snapshot().Get(driver.KeyOf(1))
		rows = append(rows, row)
	}
	shared := 0
	for _, row := range rows {
		if &row.JSON()[0] == &rows[len(rows)-1].JSON()[0] {
			shared++
		}
	}
	if shared < 10 { // the first few came before there was an index
		t.Errorf("%d of %d members share the row's bytes", shared, len(rows))
	}
}

func TestMembersRetire(t *testing.T) {
	r := newItems(t, core.Config{})
	fam := core.BindFamily("named", r.table, core.Where(filter.Eq("name", filter.Param("name"))), core.Tune(core.Tuning{IdleAfter: time.Millisecond}))
	r.start(t, fam)
	defer r.stop(t)
	a, err := fam.Open(r.ctx, core.Args{"name": "a"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := fam.Open(r.ctx, core.Args{"name": "b"})
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	b.Close()
	wait(t, "the idle member retires", func() bool { return r.reg.Status().Families[0].Retired == 1 })
	if st := r.reg.Status().Families[0]; st.Alive != 1 || st.InUse != 1 {
		t.Errorf("status: %+v", st)
	}
	r.report(t, r.table.Put(item{ID: 1, Name: "a"}))
	if a.Len() != 1 {
		t.Error("the member in use does not live")
	}
	again, err := fam.Open(r.ctx, core.Args{"name": "b"})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	r.report(t, r.table.Put(item{ID: 2, Name: "b"}))
	if again.Len() != 1 || again.View == b.View {
		t.Error("the member that came back does not live")
	}
}

func TestMembersAreBounded(t *testing.T) {
	r := newItems(t, core.Config{})
	fam := core.BindFamily("named", r.table, core.Where(filter.Eq("name", filter.Param("name"))), core.Tune(core.Tuning{MaxMembers: 2}))
	r.start(t, fam)
	defer r.stop(t)
	open := func(name string) (*core.Member[item], error) { return fam.Open(r.ctx, core.Args{"name": name}) }
	a, _ := open("a")
	b, _ := open("b")
	if _, err := open("c"); !errors.Is(err, core.ErrTooManyMembers) {
		t.Fatalf("a third member: %v", err)
	}
	b.Close()
	a.Close()
	if _, err := open("a"); err != nil { // used last: it stays
		t.Fatal(err)
	}
	if _, err := open("c"); err != nil {
		t.Fatal(err)
	}
	if b.Status().State != status.Ended {
		t.Error("the member that was not used for the longest time is still there")
	}
	st := r.reg.Status().Families[0]
	if st.Alive != 2 || st.Evicted != 1 || st.Refused != 1 {
		t.Errorf("status: %+v", st)
	}
}

func TestArguments(t *testing.T) {
	r := newItems(t, core.Config{})
	fam := core.BindFamily("f", r.table, core.Where(filter.Eq("name", filter.Param("name")), filter.Eq("price", filter.Param("price")), filter.Eq("live", filter.Param("live"))))
	r.start(t, fam, core.Bind("plain", r.table))
	defer r.stop(t)
	for _, c := range []struct {
		args core.Args
		want string // in the error, "" for none
	}{
		{core.Args{"name": "a", "price": 1, "live": true}, ""},
		{core.TextArgs(map[string]string{"name": "a", "price": "1", "live": "true"}), ""},
		{core.TextArgs(map[string]string{"name": "", "price": "-1", "live": "0"}), ""},
		{core.JSONArgs(raw(`{"name":"a","price":1,"live":true}`)), ""},
		{core.JSONArgs(raw(`{"name":"a","price":"1","live":true}`)), ""},
		{core.JSONArgs(raw(`{"name":"a","price":1e0,"live":true}`)), ""},
		{core.Args{"name": "a", "price": 1}, `parameter "live" is missing`},
		{nil, `parameter "live" is missing`},
		{core.Args{"name": "a", "price": 1, "live": true, "what": 1}, `parameter "what" is unknown; there are: live, name, price`},
		{core.TextArgs(map[string]string{"name": "a", "price": "x", "live": "true"}), `parameter "price" must be an integer`},
		{core.TextArgs(map[string]string{"name": "a", "price": "1.5", "live": "true"}), `parameter "price" must be an integer`},
		{core.TextArgs(map[string]string{"name": "a", "price": "1", "live": "yes"}), `parameter "live" must be true or false`},
		{core.TextArgs(map[string]string{"name": "a\x00", "price": "1", "live": "1"}), `parameter "name" must be text`},
		{core.TextArgs(map[string]string{"name": "\xff", "price": "1", "live": "1"}), `parameter "name" must be text`},
		{core.TextArgs(map[string]string{"name": strings.Repeat("a", 2000), "price": "1", "live": "1"}), `parameter "name" is longer than`},
		{core.JSONArgs(raw(`{"name":7,"price":1,"live":true}`)), `parameter "name" must be text`},
		{core.JSONArgs(raw(`{"name":"a","price":1.5,"live":true}`)), `parameter "price" must be an integer`},
		{core.JSONArgs(raw(`{"name":"a","price":1,"live":"true"}`)), `parameter "live" must be true or false`},
		{core.JSONArgs(raw(`{"name":"a","price":null,"live":true}`)), `parameter "price" must be an integer`},
		{core.JSONArgs(raw(`{"name":["a"],"price":1,"live":true}`)), `parameter "name" must be text`},
	} {
		g, err := r.reg.Open(r.ctx, "f", c.args)
		var arg *core.ArgumentError
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%v: %v", c.args, err)
		case c.want != "" && (err == nil || !errors.As(err, &arg) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%v: got %v, want %s", c.args, err, c.want)
		case err == nil:
			if want := `f?live=`; !strings.HasPrefix(g.View().ID(), want) {
				t.Errorf("ID %s", g.View().ID())
			}
			g.Close()
		}
	}
	if _, err := r.reg.Open(r.ctx, "plain", core.TextArgs(map[string]string{"x": "1"})); err == nil || !strings.Contains(err.Error(), "no parameters") {
		t.Errorf("arguments for a binding without parameters: %v", err)
	}
	if _, err := r.reg.Open(r.ctx, "nowhere", nil); !errors.Is(err, core.ErrUnknownBinding) {
		t.Errorf("an unknown binding: %v", err)
	}
	if _, ok := r.reg.Lookup("f"); ok {
		t.Error("Lookup found a family")
	}
}

func TestFamilyProblems(t *testing.T) {
	r := newItems(t, core.Config{})
	_ = r.reg.Add(
		core.BindFamily("none", r.table),
		core.Bind("unbound", r.table, core.Where(filter.Eq("name", filter.Param("p")))),
		core.BindFamily("kinds", r.table, core.Where(filter.Eq("name", filter.Param("p")), filter.Eq("price", filter.Param("p")))),
		core.BindFamily("reserved", r.table, core.Where(filter.Eq("name", filter.Param("since")))),
		core.BindFamily("column", r.table, core.Where(filter.Eq("nowhere", filter.Param("p")))),
		core.BindFamily("negative", r.table, core.Where(filter.Eq("name", filter.Param("p"))), core.Tune(core.Tuning{MaxMembers: -1, IdleAfter: -1})),
	)
	err := r.reg.Start(r.ctx)
	if err == nil {
		t.Fatal("Start succeeded")
	}
	for _, want := range []string{
		`binding "none"`, "a family needs parameters",
		`binding "unbound"`, `the parameter "p" has no value`,
		`parameter "p" is compared with columns of different kinds (text and int)`,
		`parameter "since": the name has another meaning`,
		`unknown column "nowhere"`,
		"Tuning.MaxMembers -1", "Tuning.IdleAfter -1ns",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	_ = r.reg.Shutdown(r.ctx)
}

func TestFamilyEndsWithItsRegistry(t *testing.T) {
	r := newItems(t, core.Config{})
	one := core.BindFamily("one", r.table, core.Where(filter.Eq("name", filter.Param("p"))))
	two := core.BindFamily("two", r.table, core.Where(filter.Eq("name", filter.Param("p"))))
	r.start(t, one, two)
	m1, err := one.Open(r.ctx, core.Args{"p": "a"})
	if err != nil {
		t.Fatal(err)
	}
	sub := m1.Subscribe(live.SubscribeOptions{})
	if err := r.reg.Remove(r.ctx, "one"); err != nil {
		t.Fatal(err)
	}
	if _, err := sub.Next(r.ctx); !errors.Is(err, live.ErrRemoved) {
		t.Errorf("a subscriber of a removed family: %v", err)
	}
	if _, err := one.Open(r.ctx, core.Args{"p": "a"}); !errors.Is(err, live.ErrRemoved) {
		t.Errorf("opening a member of a removed family: %v", err)
	}
	m2, err := two.Open(r.ctx, core.Args{"p": "a"})
	if err != nil {
		t.Fatal(err)
	}
	r.stop(t)
	if m2.Status().State != status.Ended {
		t.Error("a member outlives its registry")
	}
	m2.Close()
	if _, err := two.Open(r.ctx, core.Args{"p": "a"}); !errors.Is(err, live.ErrClosed) {
		t.Errorf("opening a member after Shutdown: %v", err)
	}
}

func TestOpenWaitsForTheDatabase(t *testing.T) {
	r := newItems(t, core.Config{})
	fam := core.BindFamily("f", r.table, core.Where(filter.Eq("name", filter.Param("p"))))
	r.start(t, fam)
	defer r.stop(t)
	if rd := r.reg.Ready(); !rd.Ready {
		t.Errorf("a registry of families is ready at once: %+v", rd)
	}
	r.table.Fail(fmt.Errorf("away"))
	ctx, cancel := context.WithTimeout(r.ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := fam.Open(ctx, core.Args{"p": "a"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open while the database is away: %v", err)
	}
	if st := r.reg.Status().Families[0]; st.InUse != 0 {
		t.Errorf("the member is still in use: %+v", st)
	}
	r.table.Fail(nil)
	m, err := fam.Open(r.ctx, core.Args{"p": "a"})
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
}
