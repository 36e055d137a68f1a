package core_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
)

// booking has a key of two columns.
type booking struct {
	Room  string `json:"room"`
	Night int64  `json:"night"`
	Guest string `json:"guest"`
}

// TestGet finds rows by Go values of any type that fits the key's columns.
func TestGet(t *testing.T) {
	r := newItems(t, core.Config{})
	bookings := coretest.NewTable[booking]("bookings", "room", "night")
	bookings.Put(booking{"blue", 7, "ann"})
	r.table.Put(item{ID: 42, Name: "answer"})
	b, two := core.Bind("items", r.table), core.Bind("bookings", bookings)
	if _, ok := b.Get(42); ok {
		t.Error("found before the start")
	}
	r.start(t, b, two)
	defer r.stop(t)
	for _, k := range []any{42, int64(42), uint8(42), driver.KeyOf(42)} {
		if row, ok := b.Get(k); !ok || row.Name != "answer" {
			t.Errorf("Get(%T): %v, %v", k, row, ok)
		}
	}
	if row, ok := b.At(driver.KeyOf(42)); !ok || row.Name != "answer" {
		t.Errorf("At: %v, %v", row, ok)
	}
	if keys := slices.Collect(b.Keys()); !slices.Equal(keys, []driver.Key{driver.KeyOf(42)}) {
		t.Errorf("Keys: %v", keys)
	}
	if row, ok := two.In(r.ctx).Get("blue", 7); !ok || row.Guest != "ann" {
		t.Errorf("Get of two columns: %v, %v", row, ok)
	}
	for _, k := range [][]any{nil, {43}, {"forty"}, {42, 42}, {nil}, {struct{}{}}} {
		if row, ok := b.Get(k...); ok {
			t.Errorf("Get(%v): %v", k, row)
		}
	}
}

// TestNarrowedGrants: a client's filter comes on top of the authorizer's scope, and
// tells nothing about what the client does not see.
func TestNarrowedGrants(t *testing.T) {
	r := newItems(t, core.Config{})
	for i := range 10 {
		r.table.Put(item{ID: i, Price: i, Live: i%2 == 0, Name: "n"})
	}
	_ = r.reg.Authorize(core.AuthorizerFunc(func(context.Context, core.Access) (core.Decision, error) {
		return core.AllowWhere(filter.Eq("live", true)), nil
	}))
	r.start(t, core.Bind("items", r.table), core.Bind("some", r.table, core.Columns("id", "name")),
		core.Bind("shown", r.table, core.Serialize(func(i item) string { return i.Name })),
		core.BindFamily("family", r.table, core.Where(filter.Ge("price", filter.Param("least")))))
	defer r.stop(t)
	open := func(name string, args core.Args, filters ...filter.Expr) *core.Grant {
		t.Helper()
		g, err := r.reg.Open(r.ctx, name, args, filters...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
		<-g.View().Loaded()
		return g
	}
	dear := filter.Ge("price", 5)
	if n := open("items", nil, dear).View().Len(); n != 2 { // 6 and 8
		t.Errorf("%d rows", n)
	}
	if n := open("items", nil, dear, filter.Lt("price", 7)).View().Len(); n != 1 {
		t.Errorf("%d rows", n)
	}
	if n := open("family", core.Args{"least": 7}, dear).View().Len(); n != 1 {
		t.Errorf("%d rows", n)
	}
	if first, second := open("items", nil, dear), open("items", nil, dear); first.View() != second.View() {
		t.Error("equal filters are not shared")
	}
	// A subscription lasts, because the authorizer's answer is what it was.
	g := open("items", nil, dear)
	sub := g.Subscribe(r.ctx, live.SubscribeOptions{})
	defer sub.Close()
	if _, err := sub.Next(r.ctx); err != nil {
		t.Fatal(err)
	}
	if err := r.reg.Reauthorize(r.ctx); err != nil {
		t.Fatal(err)
	}
	r.report(t, r.table.Put(item{ID: 20, Price: 20, Live: true}))
	if e, err := sub.Next(r.ctx); err != nil || len(e.Created) != 1 {
		t.Errorf("after Reauthorize: %v, %v", e, err)
	}
	for what, filters := range map[string][]filter.Expr{
		"unknown column": {filter.Eq("nowhere", 1)},
		"wrong type":     {filter.Eq("price", "cheap")},
		"nil":            {nil},
		"parameter":      {filter.Eq("price", filter.Param("p"))},
		"long":           {filter.Eq("name", strings.Repeat("x", 1<<15))},
	} {
		_, err := r.reg.Open(r.ctx, "items", nil, filters...)
		var wrong *core.ArgumentError
		if !errors.As(err, &wrong) || wrong.Param != "filter" {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, name := range []string{"some", "shown"} {
		_, err := r.reg.Open(r.ctx, name, nil, dear)
		var wrong *core.ArgumentError
		if !errors.As(err, &wrong) {
			t.Errorf("%s, by a column that clients do not see: %v", name, err)
		}
	}
}

// TestChanged tells of bindings and members that come and go.
func TestChanged(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1, Name: "a"})
	fam := core.BindFamily("named", r.table, core.Where(filter.Eq("name", filter.Param("name"))), core.Tune(core.Tuning{MaxMembers: 1}))
	r.start(t, fam)
	defer r.stop(t)
	expect := func(what string, do func() error) {
		t.Helper()
		changed := r.reg.Changed()
		select {
		case <-changed:
			t.Errorf("told before: %s", what)
		default:
		}
		if err := do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-changed:
		default:
			t.Errorf("not told: %s", what)
		}
	}
	expect("Add", func() error { return r.reg.Add(core.Bind("items", r.table)) })
	var m *core.Member[item]
	expect("Open of a member", func() (err error) { m, err = fam.Open(r.ctx, core.Args{"name": "a"}); return err })
	m.Close()
	expect("a member that makes room for another", func() error {
		other, err := fam.Open(r.ctx, core.Args{"name": "b"})
		if err == nil {
			other.Close()
		}
		return err
	})
	expect("Remove", func() error { return r.reg.Remove(r.ctx, "items") })
}

// TestStartSaysWhatWasAssembled, in one line.
func TestStartSaysWhatWasAssembled(t *testing.T) {
	var log bytes.Buffer
	r := newItems(t, core.Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))})
	others := coretest.NewTable[item]("others", "id")
	_ = r.reg.Watch(&scoped{table: others.Name()})
	_ = r.reg.Serve(&coretest.Transport{ID: "rest"})
	_ = r.reg.Use(&coretest.Plugin{ID: "metrics"})
	r.start(t, core.Bind("items", r.table), core.Bind("others", others),
		core.BindFamily("named", r.table, core.Where(filter.Eq("name", filter.Param("name")))))
	r.stop(t)
	line, rest, _ := strings.Cut(log.String(), "\n")
	for _, want := range []string{
		"level=INFO", `bindings="items, others"`, "families=named", "transports=rest", "plugins=metrics", "authorizer=false",
		`sources="coretest: others; coretest: every table"`,
	} {
		if !strings.Contains(line, want) {
			t.Errorf("%q is not in %s", want, line)
		}
	}
	if strings.Contains(rest, "started") {
		t.Errorf("more than one line: %s", rest)
	}
}

// TestVerifyAll compares every binding, members included, and names those that
// have drifted.
func TestVerifyAll(t *testing.T) {
	r := newItems(t, core.Config{})
	r.table.Put(item{ID: 1, Name: "a"})
	others := coretest.NewTable[item]("others", "id")
	fam := core.BindFamily("named", r.table, core.Where(filter.Eq("name", filter.Param("name"))))
	r.start(t, core.Bind("items", r.table), core.Bind("others", others), fam)
	defer r.stop(t)
	m, err := fam.Open(r.ctx, core.Args{"name": "a"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	r.table.Put(item{ID: 2, Name: "a"}) // which no source reports
	drifted, err := r.reg.Verify(r.ctx)
	// Mending one may mend the other, before it is compared.
	if err != nil || drifted["items"].Len()+drifted["named?name=a"].Len() == 0 {
		t.Errorf("%v, %v", drifted, err)
	}
	if r.reg.Flush(r.ctx) != nil || m.Len() != 2 {
		t.Errorf("the member has %d rows", m.Len())
	}
	if drifted, err = r.reg.Verify(r.ctx); err != nil || len(drifted) != 0 {
		t.Errorf("again: %v, %v", drifted, err)
	}
}
