package pgsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// A commit waits for a standby that does not exist: it is in the log, and
// nobody sees it. It must not be reported before it is visible, not even to a
// snapshot that asks whether it was told everything; and others are not held up.
func TestNothingIsReportedBeforeItIsVisible(t *testing.T) {
	t.Parallel() // mostly it waits
	server := pgtest.Start(t)
	r := &rig{t: t, dsn: server.CreateDatabase(t)}
	r.conn = dial(t, r.dsn)
	r.exec(markerTable, "CREATE TABLE a (id int PRIMARY KEY)", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SET synchronous_commit = local")
	r.watch(nil, marker, table("a", "id:int"))
	r.exec("SELECT pg_reload_conf()")
	writer := dial(t, r.dsn)
	until(t, "the setting is in force", func() bool {
		var v string
		return r.conn.QueryRow(t.Context(), "SHOW synchronous_standby_names").Scan(&v) == nil && v == "nobody"
	})
	written := make(chan error, 1)
	go func() {
		_, err := writer.Exec(context.Background(), "SET synchronous_commit = on; INSERT INTO a VALUES (1)")
		written <- err
	}()
	until(t, "the commit waits for a standby", func() bool {
		var n int
		err := r.conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").Scan(&n)
		return err == nil && n == 1
	})
	r.exec("INSERT INTO a VALUES (2)")
	r.expect("a commit behind one that is not visible", "a[2]")
	// The log has been received up to here, and so has the invisible commit.
	if commits, _ := r.src.current.waiting(); commits != 1 {
		t.Errorf("%d commits wait to become visible, want 1", commits)
	}
	snap := openSnapshot(t, r.dsn)
	if err := r.src.CatchUp(t.Context(), snap); err != nil {
		t.Error(err)
	}
	snap.Close()
	r.expect("catching up with a snapshot that does not show it", "")
	r.exec("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
	if err := <-written; err != nil {
		t.Error(err)
	}
	r.sink.until(t, "the commit's report", func() bool { return len(r.sink.reports) > 0 })
	if got := r.sink.take(); got != "a[1]" {
		t.Errorf("reported %s when it became visible", got)
	}
}

// A commit is in the log, not visible, and of a table that nobody has bound
// then. When the table is bound later it must not be forgotten.
func TestBoundBeforeItIsVisible(t *testing.T) {
	t.Parallel() // mostly it waits
	server := pgtest.Start(t)
	r := &rig{t: t, dsn: server.CreateDatabase(t)}
	r.conn = dial(t, r.dsn)
	r.exec(markerTable, "CREATE TABLE a (id int PRIMARY KEY)", "CREATE PUBLICATION bindery FOR ALL TABLES",
		"ALTER SYSTEM SET autovacuum = off", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SET synchronous_commit = local")
	r.watch(&Config{AuditInterval: time.Hour}, marker)
	r.expect("nothing", "")
	r.exec("SELECT pg_reload_conf()")
	until(t, "the setting is in force", func() bool {
		var v string
		return r.conn.QueryRow(t.Context(), "SHOW synchronous_standby_names").Scan(&v) == nil && v == "nobody"
	})
	writer := dial(t, r.dsn)
	written := make(chan error, 1)
	go func() {
		_, err := writer.Exec(context.Background(), "SET synchronous_commit = on; INSERT INTO a VALUES (1)")
		written <- err
	}()
	until(t, "the commit waits for a standby", func() bool {
		var n int
		err := r.conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").Scan(&n)
		return err == nil && n == 1
	})
	snap := openSnapshot(t, r.dsn)
	if err := r.src.CatchUp(t.Context(), snap); err != nil { // so the log was received up to here
		t.Error(err)
	}
	snap.Close()
	r.sink.bind(table("a", "id:int"))
	r.sink.until(t, "the new table's report", func() bool { return len(r.sink.reports) > 0 })
	if got := r.sink.take(); got != "a*" {
		t.Errorf("reported %s when it was bound", got)
	}
	r.exec("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
	if err := <-written; err != nil {
		t.Error(err)
	}
	r.sink.until(t, "the commit's report", func() bool { return len(r.sink.reports) > 0 })
	if got := r.sink.take(); got != "a*" {
		t.Errorf("reported %s when it became visible", got)
	}
}

// openSnapshot opens a snapshot as a loader does.
func openSnapshot(t *testing.T, dsn string) *questioned {
	t.Helper()
	conn := dial(t, dsn)
	tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	return &questioned{func(ctx context.Context, statement string) (text string, err error) {
		err = tx.QueryRow(ctx, statement).Scan(&text)
		return text, err
	}, func() { _ = tx.Rollback(t.Context()) }}
}

func until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patient); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// Whenever a key is reported, a fresh read shows its row; and whenever a source
// has caught up with a snapshot, all rows that this shows have been reported.
func TestReportsAndSnapshotsUnderLoad(t *testing.T) {
	for _, c := range []struct {
		name  string
		watch func(*rig, ...driver.Schema)
	}{
		{"log", func(r *rig, s ...driver.Schema) { r.watchBy("log", s...) }},
		{"triggers", func(r *rig, s ...driver.Schema) { r.watchBy("triggers", s...) }},
		// Nothing but the snapshots has the outbox read.
		{"silent triggers", func(r *rig, s ...driver.Schema) {
			r.install(Outbox{Silent: true}, s...)
			r.watchTriggers(&TriggerConfig{PollInterval: time.Hour}, s...)
		}},
	} {
		t.Run(c.name, func(t *testing.T) { testReportsAndSnapshotsUnderLoad(t, c.watch) })
	}
}

func testReportsAndSnapshotsUnderLoad(t *testing.T, watch func(*rig, ...driver.Schema)) {
	r := newRig(t, markerTable, "CREATE TABLE a (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text)",
		"CREATE TABLE noise (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text)")
	watch(r, marker, table("a", "id:int"))
	reader := dial(t, r.dsn)
	reported := make(map[driver.Key]bool)
	var problems []string
	var mu sync.Mutex
	r.sink.mu.Lock()
	r.sink.visible = func(c driver.Change) {
		mu.Lock()
		defer mu.Unlock()
		var ids []string
		for _, k := range c.Keys {
			reported[k] = true
			ids = append(ids, k.String())
		}
		var n int
		if err := reader.QueryRow(context.Background(), "SELECT count(*) FROM a WHERE id::text = ANY ($1)", ids).Scan(&n); err != nil || n != len(ids) {
			problems = append(problems, fmt.Sprintf("%d rows were reported, a read finds %d, %v", len(ids), n, err))
		}
	}
	r.sink.mu.Unlock()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers sync.WaitGroup
	for i := range 3 {
		conn := dial(t, r.dsn)
		writers.Go(func() {
			for n := 0; n < 300 && ctx.Err() == nil; n++ { // fewer rows than would be reported as the whole table
				statement := "INSERT INTO a (v) SELECT 'x' FROM generate_series(1, 3)"
				if (n+i)%3 == 0 {
					statement = "INSERT INTO noise (v) VALUES ('x')"
				}
				if _, err := conn.Exec(context.Background(), statement); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	enough := func() bool { // which takes more than 30 looks where the writers get little of the machine
		mu.Lock()
		defer mu.Unlock()
		return len(reported) >= 100
	}
	for n := 0; n < 30 || n < 3000 && !enough(); n++ {
		snap := openSnapshot(t, r.dsn)
		if err := r.source().CatchUp(t.Context(), snap); err != nil {
			t.Fatal(err)
		}
		ids, err := snap.Scalar(t.Context(), "SELECT coalesce(string_agg(id::text, ','), '') FROM a")
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		for id := range strings.SplitSeq(ids, ",") {
			if key, err := r.sink.schemas[1].ParseKey(id); id != "" && (err != nil || !reported[key]) {
				problems = append(problems, "row "+id+" is in the snapshot and was not reported")
			}
		}
		mu.Unlock()
		snap.Close()
	}
	stop()
	writers.Wait()
	_ = r.stop() // it uses the reader
	mu.Lock()
	defer mu.Unlock()
	if len(problems) > 0 {
		t.Errorf("%d problems, such as: %s", len(problems), problems[0])
	}
	if len(reported) < 100 {
		t.Errorf("only %d rows were reported", len(reported))
	}
}

func TestCatchUpAgainstItsLimits(t *testing.T) {
	r := newRig(t, markerTable)
	snap := openSnapshot(t, r.dsn)
	defer snap.Close()
	if err := New(r.dsn).CatchUp(t.Context(), snap); err == nil {
		t.Error("a source that does not watch has caught up")
	}
	r.watch(nil, marker)
	if err := r.src.CatchUp(t.Context(), unquestioned{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("without a snapshot: error %v", err)
	}
	// What only an open transaction has written is in no flushed log: it must
	// not be waited for.
	other := dial(t, r.dsn)
	if _, err := other.Exec(t.Context(), "BEGIN; INSERT INTO marker DEFAULT VALUES"); err != nil {
		t.Fatal(err)
	}
	fresh := openSnapshot(t, r.dsn)
	defer fresh.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	if err := r.src.CatchUp(ctx, fresh); err != nil {
		t.Error(err)
	}
	// A session that ends lets go of who waits.
	waiting := &questioned{scalar: func(context.Context, string) (string, error) { return "FFFF/0 3:3:", nil }}
	done := make(chan error, 1)
	go func() { done <- r.src.CatchUp(t.Context(), waiting) }()
	r.exec("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active AND database = current_database()")
	if err := <-done; err == nil {
		t.Error("caught up with what was never written")
	}
	// What the server says, or that nothing can be written any more.
	if err := <-r.ended; err == nil || !strings.HasPrefix(err.Error(), "pgsource: following publication") {
		t.Errorf("Watch returned %v", err)
	}
	if !slices.ContainsFunc(r.sink.reports, func(c []driver.Change) bool { return describe(c) == "marker*" }) {
		t.Error("the end of the session did not have the table read")
	}
}
