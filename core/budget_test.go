package core_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// flood is many rows, a family of which a member holds half of them on average, and
// another binding of the table.
type flood struct {
	*rig
	other *core.Binding[item]
}

// floodRows is fewer than the flood of docs/benchmarks.md has, which
// BenchmarkFlood measures.
const floodRows = 1000

func newFlood(t testing.TB, rows int, cfg core.Config, opts ...core.Option) *flood {
	t.Helper()
	r := newItems(t, cfg)
	f := &flood{rig: r, other: core.Bind("other", r.table, core.Where(filter.Eq("live", true)))}
	for i := range rows {
		r.table.Put(item{ID: i, Name: strings.Repeat("x", 100), Price: i, Live: i%100 == 0})
	}
	opts = append(opts, core.Where(filter.Ge("price", filter.Param("n"))))
	r.start(t, f.other, core.BindFamily("over", r.table, opts...))
	return f
}

func (f *flood) open(ctx context.Context, n int) (*core.Grant, error) {
	return f.reg.Open(ctx, "over", core.TextArgs(map[string]string{"n": fmt.Sprint(n)}))
}

// loaded waits for the member. It reports whether it has ended instead.
func loaded(t testing.TB, g *core.Grant) error {
	t.Helper()
	select {
	case <-g.View().Loaded():
		return nil
	case <-g.View().Done():
		return g.View().Err()
	case <-t.Context().Done():
		t.Fatal("a member does not load")
		return nil
	}
}

// within demands that the budget is kept, and that others go on.
func (f *flood) within(t testing.TB, what string) status.Memory {
	t.Helper()
	seen := f.other.Len()
	id := floodRows + 100*int(time.Now().UnixNano()%1e6) + seen
	f.report(t, f.table.Put(item{ID: id, Live: true}))
	if f.other.Len() != seen+1 {
		t.Errorf("%s: the other binding has %d rows, want %d", what, f.other.Len(), seen+1)
	}
	m := f.reg.Status().Memory
	for m.Total > m.Limit && t.Context().Err() == nil { // room is made in the background
		runtime.Gosched()
		m = f.reg.Status().Memory
	}
	sum := int64(0)
	for _, n := range m.Bytes {
		sum += n
	}
	if sum != m.Total {
		t.Errorf("%s: %+v", what, m)
	}
	return m
}

func heapInUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestFlood: what clients look at once, and what they join, stays within the
// budget, and what does not is refused.
func TestFlood(t *testing.T) {
	const limit = 13 << 19
	f := newFlood(t, floodRows, core.Config{MemoryBudget: limit})
	defer f.stop(t)
	before := heapInUse()

	for n := range 700 { // GETs
		g, err := f.open(t.Context(), n*7%floodRows)
		if err != nil {
			t.Fatalf("member %d that nobody else uses: %v", n, err)
		}
		if err := loaded(t, g); err != nil {
			t.Fatalf("member %d: %v", n, err)
		}
		if got := g.View().Snapshot().Body(); len(got) == 0 {
			t.Fatal("no body")
		}
		g.Close()
	}
	m := f.within(t, "after the requests")
	if m.Dropped == 0 || m.Evicted == 0 || m.Refused != 0 {
		t.Errorf("after the requests: %+v", m)
	}
	t.Logf("700 requests: %d MiB of heap, %+v", (heapInUse()-before)>>20, m)

	var grants []*core.Grant
	refused, ended := 0, 0
	for c := range 10 { // connections, of 64 joins each
		ctx := core.WithClient(t.Context())
		var joined []*core.Grant
		for n := range 64 {
			g, err := f.open(ctx, (64*c+n)%floodRows)
			switch {
			case errors.Is(err, core.ErrBudget):
				refused++
			case err != nil:
				t.Fatal(err)
			default:
				joined = append(joined, g)
			}
		}
		if len(joined) == 0 {
			t.Errorf("connection %d is refused everything", c)
		}
		for _, g := range joined {
			if err := loaded(t, g); err != nil {
				if !errors.Is(err, core.ErrBudget) {
					t.Fatal(err)
				}
				ended++
			}
		}
		grants = append(grants, joined...)
	}
	m = f.within(t, "after the joins")
	if refused+ended == 0 || m.Refused == 0 {
		t.Errorf("everything is joined: %+v", m)
	}
	t.Logf("640 joins: %d refused, %d ended, %d MiB of heap, %+v", refused, ended, (heapInUse()-before)>>20, m)
	for _, g := range grants {
		g.Close()
	}
	g, err := f.open(t.Context(), 7)
	if err != nil {
		t.Fatalf("when nobody uses anything: %v", err)
	}
	g.Close()
}

// TestTenantsShareMembers: one tenant's joins refuse no other tenant's members.
func TestTenantsShareMembers(t *testing.T) {
	type tenant struct{}
	r := newItems(t, core.Config{MemoryBudget: 4 << 20})
	for i := range 200 {
		r.table.Put(item{ID: i, Price: i})
	}
	_ = r.reg.Authorize(core.AuthorizerFunc(func(ctx context.Context, _ core.Access) (core.Decision, error) {
		return core.AllowWhere(filter.Ne("name", ctx.Value(tenant{}).(string))), nil
	}))
	r.start(t, core.BindFamily("over", r.table, core.Where(filter.Ge("price", filter.Param("n"))), core.Tune(core.Tuning{MaxMembers: 200})))
	defer r.stop(t)
	var grants []*core.Grant
	for i, name := range []string{"greedy", "modest", "late"} {
		n := 0
		for ; n < 200; n++ {
			g, err := r.reg.Open(context.WithValue(t.Context(), tenant{}, name), "over", core.TextArgs(map[string]string{"n": fmt.Sprint(n)}))
			if errors.Is(err, core.ErrTooManyMembers) || errors.Is(err, core.ErrBudget) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := loaded(t, g); err != nil {
				t.Fatal(err)
			}
			grants = append(grants, g)
		}
		t.Logf("%s has %d members", name, n)
		if n < 10 || i == 0 && n < 100 {
			t.Errorf("%s gets %d members", name, n)
		}
	}
	for _, g := range grants {
		g.Close()
	}
}

// TestMembersHoldRowsOnce: what several members show alike is held once.
func TestMembersHoldRowsOnce(t *testing.T) {
	f := newFlood(t, floodRows, core.Config{MemoryBudget: -1})
	defer f.stop(t)
	one := f.reg.Status().Memory.Bytes
	var grants []*core.Grant
	for n := range 20 {
		g, err := f.open(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		if err := loaded(t, g); err != nil {
			t.Fatal(err)
		}
		grants = append(grants, g)
	}
	many := f.reg.Status().Memory.Bytes
	rows := grants[0].View().Snapshot().Bytes()
	// The pool begins to share once more than a few members are there.
	if grown := many["encodings"] - one["encodings"]; grown > 12*int64(rows) {
		t.Errorf("20 members hold %d bytes of encodings, the largest shows %d", grown, rows)
	}
	last, _ := grants[19].View().Snapshot().Get(key(999))
	first, _ := grants[18].View().Snapshot().Get(key(999))
	if last.Value() != first.Value() || &last.JSON()[0] != &first.JSON()[0] || last.Token() == first.Token() {
		t.Error("the last members share no rows, or have one token")
	}
	for _, g := range grants {
		g.Close()
	}
}

// TestBodiesRest: what nobody has looked at for a while has no bodies.
func TestBodiesRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlood(t, floodRows, core.Config{MemoryBudget: -1}, core.Tune(core.Tuning{IdleAfter: time.Hour}))
		f.ctx = t.Context()
		g, err := f.open(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := loaded(t, g); err != nil {
			t.Fatal(err)
		}
		want := string(g.View().Snapshot().Body())
		if n := f.reg.Status().Memory.Bytes[live.Bodies.String()]; n < int64(len(want)) {
			t.Errorf("%d bytes of bodies, want %d", n, len(want))
		}
		time.Sleep(time.Minute)
		if n := f.reg.Status().Memory.Bytes[live.Bodies.String()]; n != 0 {
			t.Errorf("%d bytes of bodies are left", n)
		}
		if string(g.View().Snapshot().Body()) != want {
			t.Error("it is another body now")
		}
		g.Close()
		f.stop(t)
		if m := f.reg.Status().Memory; m.Total != 0 {
			t.Errorf("after Shutdown: %+v", m)
		}
	})
}

// TestBacklogIsCounted: what feeds have still to read counts to the budget, and no longer
// once it was read.
func TestBacklogIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newItems(t, core.Config{MemoryBudget: 64 << 20})
		b := core.Bind("items", r.table)
		r.start(t, b)
		defer r.stop(t)
		backlog := func() int64 { return r.reg.Status().Memory.Bytes["backlog"] }
		if n := backlog(); n != 0 {
			t.Fatalf("%d bytes before anything is reported", n)
		}
		commit := r.source.Sink().Announce(driver.Change{Table: r.table.Name(), Keys: []driver.Key{key(1), key(2)}})
		if backlog() == 0 {
			t.Error("announced keys are not counted")
		}
		r.table.Fail(errors.New("away"))
		for id := range 50 {
			r.source.Sink().Report(r.table.Put(item{ID: id}))
			time.Sleep(time.Millisecond) // fails, and comes back
		}
		if n := backlog(); n < 50*64 {
			t.Errorf("50 keys take %d bytes", n)
		}
		commit.Confirm()
		r.table.Fail(nil)
		if err := r.reg.Flush(r.ctx); err != nil {
			t.Fatal(err)
		}
		if n := backlog(); n != 0 || b.Len() != 50 {
			t.Errorf("%d bytes after all of %d rows was read", n, b.Len())
		}
	})
}
