package bunsource_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pgsource"
)

// observed is a registry whose bindings' changes are demanded one by one.
type observed struct {
	t        *testing.T
	db       *bun.DB // the program's own
	reg      *core.Registry
	views    []*live.View
	subs     map[string]*live.Subscription
	versions map[string]string
}

// eachSource runs a test with each source that says which rows have changed,
// on the databases that it watches.
func eachSource(t *testing.T, test func(t *testing.T, db *bun.DB, source driver.Source)) {
	t.Helper()
	t.Run("sqlite, hooks", func(t *testing.T) {
		db, _ := openSQLite(t)
		test(t, db, bunsource.Hooks(db))
	})
	eachPostgresSource(t, test)
}

func eachPostgresSource(t *testing.T, test func(t *testing.T, db *bun.DB, source driver.Source)) {
	t.Helper()
	t.Run("postgres, hooks", func(t *testing.T) {
		db, _ := openBoth(t, "pgx", postgresDSN(t))
		test(t, db, bunsource.Hooks(db))
	})
	t.Run("postgres, its log", func(t *testing.T) {
		dsn := postgresDSN(t)
		test(t, openPlain(t, "pgx", dsn), pgsource.New(dsn))
	})
}

// observe starts a registry of the bindings.
func observe(t *testing.T, db *bun.DB, source driver.Source, bindings ...core.Bindable) *observed {
	t.Helper()
	o := &observed{
		t: t, db: db, subs: make(map[string]*live.Subscription), versions: make(map[string]string),
		reg: core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), WatchWait: patience, LoadWait: patience}.NewRegistry(),
	}
	must(t, o.reg.Add(bindings...))
	must(t, o.reg.Watch(source))
	must(t, o.reg.Start(t.Context()))
	t.Cleanup(func() { shutdown(t, o.reg) })
	for _, v := range o.reg.Views() {
		must(t, o.reg.StatusOf(v).Err)
		o.views = append(o.views, v)
		o.versions[v.Name()] = v.Version().Token
		s := v.Subscribe(live.SubscribeOptions{Version: v.Version().Token})
		t.Cleanup(s.Close)
		o.subs[v.Name()] = s
		if e := o.next(v.Name()); e.Kind != live.Confirmed {
			t.Fatalf("%q: the first event is %+v", v.Name(), e)
		}
	}
	return o
}

func (o *observed) next(binding string) *live.Event {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	e, err := o.subs[binding].Next(ctx)
	if err != nil {
		o.t.Fatalf("waiting for an event of %q: %v", binding, err)
	}
	return e
}

// changes are the events that a write is to make, by binding: "create 4, update 1 2".
type changes map[string]string

// does makes the write, and demands these events and no others: one that is too
// many is found at the latest by the next step that changes its binding, or at
// the end.
func (o *observed) does(what string, write func(ctx context.Context) error, want changes) {
	o.t.Helper()
	if err := write(o.t.Context()); err != nil {
		o.t.Fatalf("%s: %v", what, err)
	}
	for _, v := range o.views {
		if want[v.Name()] == "" {
			continue
		}
		e := o.next(v.Name())
		if got := told(e); got != want[v.Name()] {
			o.t.Errorf("%s: %q tells %s, want %s", what, v.Name(), got, want[v.Name()])
		}
		o.versions[v.Name()] = e.Version.Token
	}
}

// end demands that nothing else has changed, and that every binding is what its
// query finds.
func (o *observed) end() {
	o.t.Helper()
	for _, v := range o.views {
		drifts, err := o.reg.Verify(o.t.Context(), v)
		drift := drifts[v.ID()]
		if err != nil || drift.Len() > 0 {
			o.t.Errorf("%q differs from its query: %+v, %v", v.Name(), drift, err)
		}
		if e, err := o.subs[v.Name()].Poll(); e != nil || err != nil {
			o.t.Errorf("%q has an event that nothing accounts for: %s, %v", v.Name(), told(e), err)
		}
		if got := v.Version().Token; got != o.versions[v.Name()] {
			o.t.Errorf("%q is at %s, its last event led to %s", v.Name(), got, o.versions[v.Name()])
		}
	}
}

// told words an event.
func told(e *live.Event) string {
	if e == nil {
		return "nothing"
	}
	if e.Kind != live.Changed {
		return fmt.Sprint("an event of kind ", e.Kind)
	}
	var parts []string
	add := func(action string, rows []live.Row) {
		if len(rows) == 0 {
			return
		}
		var keys []string
		for _, r := range rows {
			keys = append(keys, r.Key().String())
		}
		slices.Sort(keys)
		parts = append(parts, action+" "+strings.Join(keys, " "))
	}
	add("create", e.Created)
	add("update", e.Updated)
	add("delete", e.Deleted)
	return strings.Join(parts, ", ")
}
