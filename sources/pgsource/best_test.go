package pgsource

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// fallback is a source that watches at once and reports nothing.
type fallback struct {
	mu      sync.Mutex
	running int
	holds   bool // its sink tells what bindings hold
}

func (*fallback) Name() string { return "fallback" }

func (f *fallback) Watch(ctx context.Context, sink driver.Sink) error {
	f.note(1)
	defer f.note(-1)
	_, f.holds = sink.(driver.Holder)
	sink.Watching()
	<-ctx.Done()
	return ctx.Err()
}

func (f *fallback) note(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running += n
}

func (f *fallback) runs() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running
}

// bestRig watches a database in the best way.
type bestRig struct {
	*rig
	best      *BestSource
	otherwise *fallback
	log       *coretest.Output
}

func newBestRig(r *rig, cfg BestConfig, schemas ...driver.Schema) *bestRig {
	b := &bestRig{rig: r, otherwise: &fallback{}, log: &coretest.Output{}}
	cfg.Logger = slog.New(slog.NewTextHandler(b.log, nil))
	r.sink = newFakeSink(schemas...)
	b.best = NewBest(r.dsn, b.otherwise, cfg)
	r.any = b.best
	return b
}

// uses waits until the source watches by the one of that name.
func (b *bestRig) uses(name string) {
	b.t.Helper()
	until(b.t, "watching by "+name, func() bool {
		select {
		case err := <-b.ended:
			b.t.Fatalf("Watch: %v\n%s", err, b.log)
		default:
		}
		s := b.best.Chosen()
		return s != nil && s.Name() == name
	})
	b.awaitWatching()
}

// logged wants that the log says which way was chosen, and why.
func (b *bestRig) logged(way, why string) {
	b.t.Helper()
	if text := b.log.String(); !strings.Contains(text, "level=INFO") || !strings.Contains(text, "way="+way+" ") || !strings.Contains(text, why) {
		b.t.Errorf("the log does not say %q because of %q:\n%s", way, why, text)
	}
}

// The log, where there is one and the role may.
func TestBestIsTheLog(t *testing.T) {
	b := newBestRig(newRig(t, markerTable, "CREATE TABLE a (id int PRIMARY KEY)"), BestConfig{}, marker, table("a", "id:int"))
	b.start()
	b.uses("pgsource")
	b.logged("log", "wal_level is logical")
	b.exec("INSERT INTO a VALUES (1)")
	b.expect("an insert", "a[1]")
	snap := openSnapshot(t, b.dsn)
	defer snap.Close()
	if err := b.best.Chosen().(driver.Follower).CatchUp(t.Context(), snap); err != nil {
		t.Error(err)
	}
	if err := b.stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Watch returned %v", err)
	}
	if b.best.Chosen() != nil || b.otherwise.runs() != 0 {
		t.Error("something is still chosen")
	}
}

// A role that may not replicate watches by triggers, as soon as they are installed,
// and by the log, as soon as it may; what it lacks is logged, and nothing is created.
func TestBestGoesOverToBetterWays(t *testing.T) {
	r := newRig(t, markerTable, "CREATE TABLE a (id int PRIMARY KEY)",
		"DROP ROLE IF EXISTS plain", "CREATE ROLE plain LOGIN", "GRANT SELECT ON a, marker TO plain")
	owner := r.dsn
	t.Cleanup(func() {
		conn := dial(t, owner)
		_, _ = conn.Exec(context.Background(), "DROP OWNED BY plain; DROP ROLE plain")
	})
	r.dsn = strings.Replace(r.dsn, "postgres@", "plain@", 1)
	b := newBestRig(r, BestConfig{LookInterval: 20 * time.Millisecond}, marker, table("a", "id:int"))
	b.start()
	b.uses("fallback")
	b.logged("otherwise", `the role lacks REPLICATION; mend it with: ALTER ROLE`)
	b.logged("otherwise", "it is not installed; mend it with: pgsource.Outbox.Install")
	var publications int
	if err := r.conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_publication").Scan(&publications); err != nil || publications != 0 {
		t.Errorf("%d publications, %v", publications, err)
	}

	if err := (Outbox{Readers: []string{"plain"}}).Install(t.Context(), owner, marker.Table, driver.Table{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	b.uses("pgsource.triggers")
	b.logged("triggers", "the role lacks REPLICATION")
	if b.otherwise.runs() != 0 {
		t.Error("the lesser way is still used")
	}
	b.exec("INSERT INTO a VALUES (1)")
	b.expect("an insert", "a[1]")

	b.exec("CREATE PUBLICATION bindery FOR TABLE a, marker", "ALTER ROLE plain REPLICATION")
	b.uses("pgsource")
	b.exec("INSERT INTO a VALUES (2)")
	b.expect("an insert", "a[2]")
	if b.sink.watching != 3 {
		t.Errorf("Watching was called %d times, want once for each way", b.sink.watching)
	}
}

// What no way could watch is no reason for a lesser one; a server that is away
// neither.
func TestBestWaitsForTheDatabase(t *testing.T) {
	b := newBestRig(newRig(t, markerTable), BestConfig{}, marker, table("later", "id:int"))
	b.start()
	if err := <-b.ended; !errors.Is(err, errNoTable) {
		t.Errorf("without a table Watch returned %v", err)
	}
	b.exec("CREATE TABLE later (id int PRIMARY KEY)")
	b.start()
	b.uses("pgsource")

	away := NewBest("postgres://nobody@127.0.0.1:1/x?connect_timeout=1", &fallback{})
	if err := away.Watch(t.Context(), newFakeSink(marker)); err == nil || driver.IsPermanent(err) || !strings.Contains(err.Error(), "choosing how to watch") {
		t.Errorf("without a server Watch returned %v", err)
	}
}

// A server without a log for logical replication.
func TestBestWithoutALog(t *testing.T) {
	t.Parallel() // mostly it waits
	server := pgtest.Start(t, pgtest.Setting("wal_level", "replica"))
	b := newBestRig(&rig{t: t, dsn: server.DSN("postgres")}, BestConfig{}, marker)
	b.conn = dial(t, b.dsn)
	b.exec(markerTable)
	b.sink = newFakeSink(marker)
	b.start()
	b.uses("fallback")
	b.logged("otherwise", "wal_level is replica")
}

// The way in use fails while a better one is tried: the source fails.
func TestBestFailsWithTheWayInUse(t *testing.T) {
	r := newRig(t, markerTable)
	b := newBestRig(r, BestConfig{}, marker)
	b.best.ways[0].check = func(context.Context) error { return errors.New("not now") }
	failing := errors.New("it broke")
	b.best.ways[2].source = sourceFunc(func(ctx context.Context, sink driver.Sink) error {
		sink.Watching()
		return failing
	})
	b.start()
	if err := <-b.ended; !errors.Is(err, failing) {
		t.Errorf("Watch returned %v", err)
	}
	b.best.ways[2].source = sourceFunc(func(context.Context, driver.Sink) error { panic("oh") })
	b.start()
	if err := <-b.ended; err == nil || !strings.Contains(err.Error(), "panic: oh") {
		t.Errorf("Watch returned %v", err)
	}
}

type sourceFunc func(context.Context, driver.Sink) error

func (sourceFunc) Name() string                                        { return "func" }
func (f sourceFunc) Watch(ctx context.Context, sink driver.Sink) error { return f(ctx, sink) }

func TestBestValidate(t *testing.T) {
	err := NewBest("postgres://user:secret@host:port/db", nil, BestConfig{
		LookInterval: -1, Log: Config{Database: "x", MaxKeys: -1}, Triggers: TriggerConfig{Tables: []driver.Table{{}}, PollInterval: -1},
	}, BestConfig{}).Validate()
	for _, want := range []string{"LookInterval", "config: Log names", "config: Triggers names", "MaxKeys -1", "PollInterval", "cannot parse", "no source is given", "more than one configuration"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the password shows: %v", err)
	}
	if err := NewBest("\x00=", &fallback{}).Watch(t.Context(), newFakeSink()); !driver.IsPermanent(err) {
		t.Errorf("Watch returned %v", err)
	}
	src := NewBest("", &fallback{}, BestConfig{Database: "d", Tables: []driver.Table{{Name: "t"}}})
	if !src.Scope().Covers(driver.Table{Database: "d", Name: "t"}) || src.Scope().Covers(driver.Table{Name: "t"}) {
		t.Error("the scope is another one")
	}
}

// holdingSink is a sink that can tell what bindings hold.
type holdingSink struct{ *fakeSink }

func (holdingSink) Held(driver.Table, func(driver.Key)) bool { return false }

// A source that compares finds what it needs of the sink.
func TestBestPassesTheHolderOn(t *testing.T) {
	b := newBestRig(newRig(t, markerTable), BestConfig{}, marker)
	b.best.ways = b.best.ways[2:]
	for _, sink := range []driver.Sink{b.sink, holdingSink{b.sink}} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.best.Watch(ctx, sink) }()
		until(t, "watching", func() bool { return b.otherwise.runs() == 1 && b.best.Chosen() != nil })
		cancel()
		<-done
		if _, want := sink.(driver.Holder); b.otherwise.holds != want {
			t.Errorf("the sink holds: %v, want %v", b.otherwise.holds, want)
		}
	}
}
