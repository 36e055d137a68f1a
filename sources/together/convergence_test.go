package together_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/sourcetest/buntest"
)

var (
	convergenceDuration = flag.Duration("convergence.duration", usualDuration(), "for how long each combination of sources is written to and broken")
	convergenceSeed     = flag.Uint64("convergence.seed", 0, "the seed of writes and faults; 0 draws one")
)

// settleTime is how long bindings may take until they show it all. Sources that
// failed often wait up to half a minute before they try again.
const settleTime = 3 * time.Minute

// usualDuration is for how long a combination runs if nobody says otherwise.
func usualDuration() time.Duration {
	if buntest.Long() {
		return 5 * time.Second
	}
	return 500 * time.Millisecond
}

// arena is one run of the harness: a database, the nodes that bind it, those
// who write to it, and what can break. What is written and what breaks, and in
// which order, follows from the seed; how it all interleaves is the machine's.
//
// Whatever happens, in the end every binding of every node is to show what its
// query finds, and on every node under the same token.
type arena struct {
	t           *testing.T
	rnd         *rand.Rand
	seed        uint64
	driver, dsn string
	// plain knows nothing of Bindery and no network in between.
	plain *bun.DB
	nodes []*node
	// group are the writers of this process, other is the one of another, if
	// there is one.
	group writers
	other *process
	// faults are what may happen.
	faults []fault
	// last are outages in whose midst all writing ends: what is missed then,
	// nobody writes again.
	last   []outage
	ending bool
	// disk is the one of the database, as those see it who read.
	disk fullDisk
	// log is what the registries say.
	log *tail
	// skew is added to the clock of the nodes, in nanoseconds.
	skew atomic.Int64
}

// fault breaks something, and returns when that is over.
type fault struct {
	name  string
	wreak func()
}

// outage is a fault that lasts as long as one likes.
type outage struct {
	name       string
	begin, end func()
}

// faultOf returns an outage of up to so many milliseconds.
func (a *arena) faultOf(o outage, ms int) fault {
	return fault{o.name, func() {
		o.begin()
		a.pause(ms)
		o.end()
	}}
}

// node is a program with a registry of its own.
type node struct {
	arena *arena
	db    *bun.DB
	// sources makes the sources of a registry.
	sources func(db *bun.DB) []driver.Source

	reg       *core.Registry
	bound     []bound
	replicas  []*replica
	followers sync.WaitGroup
	cancel    context.CancelFunc
}

// bound is a binding, and its query in other words.
type bound struct {
	binding core.Bindable
	view    *live.View
	query   func(ctx context.Context, plain *bun.DB) ([]json.RawMessage, error)
}

func bind[T any](db *bun.DB, name string, query func(*bun.SelectQuery) *bun.SelectQuery, opts ...core.Option) bound {
	b := bunsource.Bind[T](db, name, opts...)
	return bound{binding: b, view: b.View, query: func(ctx context.Context, plain *bun.DB) ([]json.RawMessage, error) {
		var rows []T
		if err := query(plain.NewSelect().Model(&rows)).Scan(ctx); err != nil {
			return nil, err
		}
		out := make([]json.RawMessage, len(rows))
		for i := range rows {
			var err error
			if out[i], err = json.Marshal(rows[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}}
}

// shorten keeps one of the last outages, where more sources than one make good
// what is missed.
func (a *arena) shorten() {
	i := a.rnd.IntN(len(a.last))
	a.last = a.last[i : i+1]
}

// newArena makes the tables. Combinations add nodes, writers and faults. full is
// what the database says when the disk is full.
func newArena(t *testing.T, driverName, dsn string, full error) *arena {
	t.Helper()
	seed := *convergenceSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("to run it again: -run '^%s$' -convergence.seed=%d -convergence.duration=%v", t.Name(), seed, *convergenceDuration)
	a := &arena{
		t: t, rnd: rand.New(rand.NewPCG(seed, 0)), seed: seed, driver: driverName, dsn: dsn,
		plain: openPlain(t, driverName, dsn), disk: fullDisk{err: full}, log: &tail{},
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the registries said:\n%s", a.log)
		}
	})
	reads := outage{"the disk is full for who reads", func() { a.disk.full.Store(true) }, func() { a.disk.full.Store(false) }}
	a.faults = append(a.faults, a.faultOf(reads, 300))
	a.last = append(a.last, reads)
	for _, model := range []any{(*thing)(nil), (*part)(nil)} {
		_, err := a.plain.NewCreateTable().Model(model).Exec(t.Context())
		must(t, err)
	}
	return a
}

// addNode adds a node on a handle of the database.
func (a *arena) addNode(db *bun.DB, sources func(*bun.DB) []driver.Source) *node {
	a.t.Helper()
	n := &node{arena: a, db: db, sources: sources}
	a.nodes = append(a.nodes, n)
	n.start()
	a.t.Cleanup(n.stop)
	return n
}

func (n *node) start() {
	t := n.arena.t
	n.bound = []bound{
		bind[thing](n.db, "things", func(q *bun.SelectQuery) *bun.SelectQuery { return q.Order("id") }),
		bind[thing](n.db, "cheap", func(q *bun.SelectQuery) *bun.SelectQuery {
			return q.Where("price < 50 AND shelf <> 1").Order("name", "id")
		},
			core.Where(filter.Lt("price", 50), filter.Ne("shelf", 1)), core.OrderBy("name")),
		bind[thing](n.db, "dearest", func(q *bun.SelectQuery) *bun.SelectQuery { return q.OrderExpr("price DESC, id").Limit(7) },
			core.OrderBy("-price"), core.Limit(7)),
		bind[thing](n.db, "opaque", func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("price % 3 = 1").Order("id") },
			bunsource.Where(func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("(price + 2) % 3 = 0") })),
		bind[part](n.db, "parts", func(q *bun.SelectQuery) *bun.SelectQuery { return q.Order("thing", "code") }),
	}
	n.reg = core.Config{
		Logger: slog.New(slog.NewTextHandler(n.arena.log, nil)), LoadWait: -1, WatchWait: -1, ReadTimeout: 2 * time.Second,
		Now: func() time.Time { return time.Now().Add(time.Duration(n.arena.skew.Load())) },
	}.NewRegistry()
	for _, b := range n.bound {
		must(t, n.reg.Add(b.binding))
	}
	must(t, n.reg.Watch(n.sources(n.db)...))
	must(t, n.reg.Start(t.Context()))
	var ctx context.Context
	ctx, n.cancel = context.WithCancel(context.Background())
	n.replicas = nil
	for _, b := range n.bound {
		r := &replica{view: b.view}
		n.replicas = append(n.replicas, r)
		n.followers.Go(func() { r.follow(ctx) })
	}
}

func (n *node) restart() {
	n.stop()
	n.start()
}

func (n *node) stop() {
	n.cancel()
	n.followers.Wait()
	shutdown(n.arena.t, n.reg)
}

// startProcess starts the writer of another process, anew if there is one.
func (a *arena) startProcess() {
	if a.other != nil {
		a.other.kill()
	} else {
		a.t.Cleanup(func() { a.other.kill() })
	}
	a.other = startProcess(a.t, a.driver, a.dsn, a.rnd.Uint64())
}

// run lets faults happen for a while, one at a time, and has everything end in
// the midst of each of the last ones. Every time it then waits until the
// bindings show what their queries find.
func (a *arena) run() {
	t := a.t
	t.Helper()
	a.faults = append(a.faults, fault{"the clock jumps", func() { a.skew.Store(int64(time.Hour) * (a.rnd.Int64N(100) - 50)) }})
	if a.other != nil {
		a.faults = append(a.faults, fault{"the other process is killed", a.startProcess})
	}
	a.group.begin()
	happened := make(map[string]int)
	happen := func(faults []fault) {
		for begun := time.Now(); time.Since(begun) < *convergenceDuration/2; {
			a.pause(200)
			f := faults[a.rnd.IntN(len(faults))]
			f.wreak()
			happened[f.name]++
		}
	}
	happen(append(slices.Clip(a.faults), fault{"a node restarts", func() { a.nodes[a.rnd.IntN(len(a.nodes))].restart() }}))
	// From here on nothing makes good what is missed: neither reports of whole
	// tables, as far as it is up to the writers, nor a node that begins anew.
	a.group.keyed.Store(true)
	happen(a.faults)
	a.ending = true
	a.group.end()
	if a.other != nil {
		a.other.kill()
	}
	a.settle()
	for _, o := range a.last {
		// Nodes that begin anew do not remember what is in doubt, and to be read
		// again later.
		for _, n := range a.nodes {
			n.restart()
		}
		a.settle()
		made := a.group.made.Load()
		a.group.begin()
		eventually(t, "the writers write", func() error {
			if a.group.made.Load() < made+int64(5*len(a.group.members)) {
				return errors.New("not much yet")
			}
			return nil
		})
		o.begin()
		a.pause(50)
		a.group.end()
		a.pause(50) // for nodes to read what was reported
		o.end()
		happened[o.name]++
		a.settle()
	}
	t.Logf("%d transactions, %d failed; %v", a.group.made.Load(), a.group.failed.Load(), happened)
	if a.group.made.Load() == 0 {
		t.Error("nothing was written")
	}
	for i, n := range a.nodes {
		t.Logf("node %d: feeds %+v", i, n.reg.Status().Tables)
		for _, s := range n.reg.Status().Sources {
			t.Logf("node %d: source %s: %d reports, %d failures, found %d", i, s.Name, s.Reports, s.Failures, s.Found)
		}
	}
}

// settle waits until all bindings show what their queries find. Nobody writes.
func (a *arena) settle() {
	a.t.Helper()
	for i, n := range a.nodes {
		for j, b := range n.bound {
			what := fmt.Sprintf("node %d, binding %q", i, b.view.Name())
			within(a.t, settleTime, what, func() error { return a.converged(n, b, n.replicas[j]) })
			if token, other := b.view.Version().Token, a.nodes[0].bound[j].view.Version().Token; token != other {
				a.t.Errorf("%s has version %s, on node 0 %s", what, token, other)
			}
		}
		within(a.t, settleTime, fmt.Sprintf("node %d is ready", i), func() error {
			if r := n.reg.Ready(); !r.Ready || len(r.Stale) > 0 {
				return fmt.Errorf("%+v; sources: %+v", r, n.reg.Status().Sources)
			}
			return nil
		})
	}
}

// converged holds a binding, and its subscriber, against its query, twice.
func (a *arena) converged(n *node, b bound, r *replica) error {
	want, err := b.query(a.t.Context(), a.plain)
	if err != nil {
		return err
	}
	if err := a.shows(b, r, want); err != nil {
		return err
	}
	// The binding is asked itself whether it has drifted. What a server still
	// did for clients that had gone is no drift.
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	drifts, err := n.reg.Verify(ctx, b.view)
	drift := drifts[b.view.ID()]
	if err != nil {
		return err
	}
	now, err := b.query(a.t.Context(), a.plain)
	switch {
	case err != nil:
		return err
	case !slices.EqualFunc(now, want, func(x, y json.RawMessage) bool { return string(x) == string(y) }):
		return errors.New("somebody still writes")
	case drift.Len() > 0:
		a.t.Errorf("binding %q has drifted: %+v", b.view.Name(), drift)
	}
	return a.shows(b, r, want)
}

// shows holds a binding, and its subscriber, against the rows.
func (a *arena) shows(b bound, r *replica, want []json.RawMessage) error {
	snap := b.view.Snapshot()
	if snap == nil {
		return errors.New("it has not loaded")
	}
	var got []json.RawMessage
	if err := json.Unmarshal(snap.Body(), &got); err != nil {
		return err
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || string(got[i]) != string(want[i]) {
			return fmt.Errorf("row %d of %d differs from the %d that its query finds:\n\t%s\n\t%s\n%+v", i, len(got), len(want), from(got, i), from(want, i), b.view.Counts())
		}
	}
	err := r.result()
	if err != nil && !errors.Is(err, errBehind) {
		a.t.Error(err)
		return nil
	}
	return err
}

// from returns up to three rows, from the one at i.
func from(rows []json.RawMessage, i int) []json.RawMessage {
	i = min(i, len(rows))
	return rows[i:min(i+3, len(rows))]
}

// pause waits for up to so many milliseconds.
func (a *arena) pause(ms int) { time.Sleep(time.Duration(1+a.rnd.IntN(ms)) * time.Millisecond) }

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailLength = 1 << 16

// Write implements [io.Writer].
func (l *tail) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, text...)
	if n := len(l.text); n > 2*tailLength {
		l.text = append(l.text[:0], l.text[n-tailLength:]...)
	}
	return len(text), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
