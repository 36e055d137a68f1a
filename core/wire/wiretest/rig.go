package wiretest

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// Item is the row of these tests.
type Item struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
	Note string `json:"note,omitempty"`
}

// TB is what the tests' and the property tests' T have in common.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// Rig is a running registry over tables in memory, and knows every version that
// its bindings ever had.
type Rig struct {
	TB     TB
	Reg    *core.Registry
	Source *coretest.Source
	// Tables and Bindings go by name; each table has one binding of its name.
	Tables   map[string]*coretest.Table[Item]
	Bindings map[string]*core.Binding[Item]
	// Forget keeps the rig from noting versions, so Check cannot be used.
	// It is set before Start.
	Forget bool

	history history
}

// New makes a rig with a table and a binding of each name. Start starts it.
func New(t TB, names ...string) *Rig {
	r := &Rig{TB: t, Source: &coretest.Source{}, Tables: map[string]*coretest.Table[Item]{}, Bindings: map[string]*core.Binding[Item]{}}
	r.Reg = core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry()
	r.history.states = map[string]*live.Snapshot{}
	for _, n := range names {
		r.Tables[n] = coretest.NewTable[Item](n, "id")
		r.Bindings[n] = core.Bind[Item](n, r.Tables[n])
		_ = r.Reg.Add(r.Bindings[n])
	}
	_ = r.Reg.Watch(r.Source)
	return r
}

// Start starts the registry with the transport.
func (r *Rig) Start(transports ...core.Transport) {
	r.TB.Helper()
	if !r.Forget {
		_ = r.Reg.Use(&r.history)
	}
	_ = r.Reg.Serve(transports...)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := r.Reg.Start(ctx); err != nil {
		r.TB.Fatalf("Start: %v", err)
	}
}

// Stop shuts the registry down.
func (r *Rig) Stop() {
	r.TB.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := r.Reg.Shutdown(ctx); err != nil {
		r.TB.Errorf("Shutdown: %v", err)
	}
}

// Put writes the rows in one transaction and waits until they show.
func (r *Rig) Put(table string, items ...Item) {
	r.TB.Helper()
	r.report(r.Tables[table].Put(items...))
}

// Delete removes the rows in one transaction and waits until that shows.
func (r *Rig) Delete(table string, ids ...int) {
	r.TB.Helper()
	keys := make([]driver.Key, len(ids))
	for i, id := range ids {
		keys[i] = driver.KeyOf(id)
	}
	r.report(r.Tables[table].Remove(keys...))
}

func (r *Rig) report(c driver.Change) {
	r.TB.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := r.Source.Report(ctx, c); err != nil {
		r.TB.Fatalf("reporting a change: %v", err)
	}
}

// Token returns the binding's current token.
func (r *Rig) Token(name string) string { return r.Bindings[name].Version().Token }

// Check compares what the client holds with what the binding held at the
// client's version.
func (r *Rig) Check(c *Client) {
	r.TB.Helper()
	// Plugins see a version after the subscribers, so it may have to be
	// waited for.
	var want []Item
	Eventually(r.TB, "the client's version "+c.Version+" is known", func() (known bool) {
		want, known = r.history.at(c.Version)
		return known
	})
	if got := c.Items(); !slices.Equal(got, want) {
		r.TB.Fatalf("at %s the client has %v, the binding had %v", c.Version, got, want)
	}
}

// Eventually polls the condition until it holds.
func Eventually(t TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("in vain waited until %s", what)
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// history is a plugin that notes what each version holds.
type history struct {
	mu     sync.Mutex // guards what follows
	states map[string]*live.Snapshot
}

var _ core.PublishObserver = (*history)(nil)

// Name implements [core.Plugin].
func (*history) Name() string { return "history" }

// Start implements [core.Plugin].
func (*history) Start(context.Context, *core.Registry) error { return nil }

// Shutdown implements [core.Plugin].
func (*history) Shutdown(context.Context) error { return nil }

// Published implements [core.PublishObserver].
func (h *history) Published(v *live.View, _ *live.Event) {
	snap := v.Snapshot() // the version published: nobody else publishes meanwhile
	h.mu.Lock()
	defer h.mu.Unlock()
	h.states[snap.Version().Token] = snap
}

func (h *history) at(token string) (items []Item, known bool) {
	h.mu.Lock()
	snap := h.states[token]
	h.mu.Unlock()
	if snap == nil {
		return nil, false
	}
	for row := range snap.Rows() {
		var it Item
		if err := json.Unmarshal(row.JSON(), &it); err != nil {
			panic(err)
		}
		items = append(items, it)
	}
	return items, true
}
