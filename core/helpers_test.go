package core_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// item is the row of most tests here.
type item struct {
	ID    int    `json:"id"`
	Name  string `json:"name"`
	Price int    `json:"price"`
	Live  bool   `json:"live"`
}

// fatalTester is what *testing.T and *rapid.T have in common.
type fatalTester interface {
	Helper()
	Fatalf(format string, args ...any)
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// patience is how long a rig lives at most. It tells a hang from a slow machine: the
// longest tests take a few seconds on a quiet one, and with the race detector on a busy
// one more than a minute.
const patience = 5 * time.Minute

// rig is a running registry over one table in memory.
type rig struct {
	table  *coretest.Table[item]
	source *coretest.Source
	reg    *core.Registry
	ctx    context.Context
}

func newItems(t fatalTester, cfg core.Config) *rig {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = quiet()
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	_ = cancel // ends with the test binary at the latest
	return &rig{table: coretest.NewTable[item]("items", "id"), source: &coretest.Source{}, reg: cfg.NewRegistry(), ctx: ctx}
}

func (r *rig) start(t fatalTester, bindings ...core.Bindable) {
	t.Helper()
	_ = r.reg.Add(bindings...)
	_ = r.reg.Watch(r.source)
	if err := r.reg.Start(r.ctx); err != nil {
		t.Fatalf("Start: %v", err)
	}
}

func (r *rig) stop(t fatalTester) {
	t.Helper()
	if err := r.reg.Shutdown(r.ctx); err != nil {
		t.Fatalf("Shutdown: %v", err)
	}
}

func (r *rig) report(t fatalTester, changes ...driver.Change) {
	t.Helper()
	if err := r.source.Report(r.ctx, changes...); err != nil {
		t.Fatalf("waiting for a report: %v", err)
	}
}

func ids(b *core.Binding[item]) []int {
	out := []int{}
	for it := range b.All() {
		out = append(out, it.ID)
	}
	return out
}

func key(id int) driver.Key { return driver.KeyOf(id) }

// client applies events as a client of a stream does.
type client struct {
	rows    map[driver.Key]string
	version string
}

func (c *client) apply(t fatalTester, e *live.Event) {
	t.Helper()
	switch e.Kind {
	case live.Synced:
		c.rows = map[driver.Key]string{}
		for r := range e.Snapshot.Rows() {
			c.rows[r.Key()] = string(r.JSON())
		}
	case live.Confirmed:
		if c.version != e.Version.Token {
			t.Fatalf("confirmed at %s, but the client has %s", e.Version.Token, c.version)
		}
	case live.Changed:
		if c.version != e.From {
			t.Fatalf("event starts from %s, but the client has %s", e.From, c.version)
		}
		for _, r := range e.Created {
			if _, ok := c.rows[r.Key()]; ok {
				t.Fatalf("create of %s, which is there", r.Key())
			}
			c.rows[r.Key()] = string(r.JSON())
		}
		for _, r := range e.Updated {
			if _, ok := c.rows[r.Key()]; !ok {
				t.Fatalf("update of %s, which is not there", r.Key())
			}
			c.rows[r.Key()] = string(r.JSON())
		}
		for _, r := range e.Deleted {
			if _, ok := c.rows[r.Key()]; !ok {
				t.Fatalf("delete of %s, which is not there", r.Key())
			}
			delete(c.rows, r.Key())
		}
	}
	c.version = e.Version.Token
}

func (c *client) check(t fatalTester, s *live.Snapshot) {
	t.Helper()
	if c.version != s.Version().Token {
		t.Fatalf("client is at %s, the binding at %s", c.version, s.Version().Token)
	}
	if len(c.rows) != s.Len() {
		t.Fatalf("client has %d rows, the binding %d", len(c.rows), s.Len())
	}
	for r := range s.Rows() {
		if c.rows[r.Key()] != string(r.JSON()) {
			t.Fatalf("client has %s for %s, the binding %s", c.rows[r.Key()], r.Key(), r.JSON())
		}
	}
}

// bodyOf is what the snapshot's body must be.
func bodyOf(t fatalTester, items []item) string {
	t.Helper()
	if items == nil {
		items = []item{}
	}
	b, err := json.Marshal(items)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return string(b) + "\n"
}

func wantErr(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one that says %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error does not say %q:\n%v", p, err)
		}
	}
}

func sortedRows(rows map[driver.Key]item, keep func(item) bool, less func(a, b item) int, limit int) []item {
	var out []item
	for _, r := range rows {
		if keep(r) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, less)
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out
}

func raw(object string) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(object), &m); err != nil {
		panic(err)
	}
	return m
}

// condition is a condition in a loader's own terms.
type condition string

func (c condition) String() string  { return string(c) }
func (c condition) Validate() error { return nil }

// recovered waits until no binding is set aside. Flush does not wait for these.
func recovered(t fatalTester, reg *core.Registry) {
	t.Helper()
	wait(t, "everybody to recover", func() bool {
		return !slices.ContainsFunc(reg.Status().Tables, func(f status.Feed) bool { return f.Troubled > 0 })
	})
}

// margin makes a limited binding hold n rows beyond its limit.
func margin(n int) core.Option {
	if n == 0 {
		n = -1 // 0 means the default
	}
	return core.Tune(core.Tuning{Margin: n})
}
