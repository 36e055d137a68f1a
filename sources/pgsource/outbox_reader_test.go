package pgsource

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"
)

// handReader is a reader of the outbox that reads when a test says so.
type handReader struct {
	*outboxReader
	t       testing.TB
	routes  atomic.Pointer[captureRoutes]
	schemas []driver.Schema
}

// newReader begins to read what was installed for the tables.
func (r *rig) newReader(schemas ...driver.Schema) *handReader {
	r.t.Helper()
	ctx := r.t.Context()
	conn, err := connect(ctx, r.dsn, false)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { closeConn(conn) })
	h := &handReader{outboxReader: &outboxReader{conn: conn, schema: `"bindery"`, maxKeys: 100}, t: r.t, schemas: schemas}
	tables, err := NewTriggers(r.dsn).lookUpAll(ctx, conn, schemas, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	h.routes.Store(newCaptureRoutes(tables))
	if err := h.begin(ctx); err != nil {
		r.t.Fatal(err)
	}
	return h
}

// see reads, gives credit where that is due, and returns what would be reported.
func (h *handReader) see() string {
	h.t.Helper()
	all, _, err := h.read(h.t.Context(), &h.routes)
	if err == nil {
		err = h.attend(h.t.Context())
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return describe(all.Report(h.schemas))
}

func (h *handReader) expect(after, want string) {
	h.t.Helper()
	if got := h.see(); got != want {
		h.t.Errorf("after %s: read %q, want %q", after, got, want)
	}
}

// Whatever order transactions begin, write, roll back and commit in: each read
// finds just what was committed since the one before.
func TestRecordsOfTransactionsInAnyOrder(t *testing.T) {
	r := newRig(t, "CREATE TABLE a (id int PRIMARY KEY)")
	a := table("a", "id:int")
	r.install(Outbox{}, a)
	conns := make([]*pgx.Conn, 5)
	for i := range conns {
		conns[i] = dial(t, r.dsn)
	}
	next := 0
	rapid.Check(t, func(rt *rapid.T) {
		exec := func(i int, statement string) {
			if _, err := conns[i].Exec(t.Context(), statement); err != nil {
				rt.Fatalf("%s: %v", statement, err)
			}
		}
		h := r.newReader(a)
		defer closeConn(h.conn)
		h.below = 0 // whatever else runs on the server has not to do with the table
		open := make([]bool, len(conns))
		written := make([][]string, len(conns))
		var committed []string
		insert := func(i int) string {
			next++
			exec(i, fmt.Sprintf("INSERT INTO a VALUES (%d)", next))
			return fmt.Sprint(next)
		}
		look := func() {
			slices.Sort(committed)
			want := ""
			if len(committed) > 0 {
				want = "a[" + strings.Join(committed, " ") + "]"
			}
			if got := h.see(); got != want {
				rt.Fatalf("read %q, want %q", got, want)
			}
			committed = nil
		}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			i := rapid.IntRange(0, len(conns)-1).Draw(rt, "connection")
			switch step := rapid.SampledFrom([]string{"write", "write", "write", "end", "end", "roll back", "savepoint", "read", "read"}).Draw(rt, "step"); {
			case step == "read":
				look()
			case step == "write":
				if !open[i] {
					exec(i, "BEGIN ISOLATION LEVEL "+rapid.SampledFrom([]string{"READ COMMITTED", "REPEATABLE READ"}).Draw(rt, "level"))
					open[i] = true
				}
				written[i] = append(written[i], insert(i))
			case step == "savepoint" && open[i]:
				exec(i, "SAVEPOINT s")
				kept := insert(i)
				exec(i, "RELEASE s; SAVEPOINT s")
				insert(i)
				exec(i, "ROLLBACK TO s")
				written[i] = append(written[i], kept)
			case open[i]:
				if step == "roll back" {
					exec(i, "ROLLBACK")
				} else {
					exec(i, "COMMIT")
					committed = append(committed, written[i]...)
				}
				open[i], written[i] = false, nil
			}
		}
		for i := range conns {
			if open[i] {
				exec(i, "COMMIT")
				committed = append(committed, written[i]...)
			}
		}
		look()
		look()
	})
}

// endedSince, against asking each transaction.
func TestEndedSince(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(name string, from, to uint64) snapshot {
			s := snapshot{xmin: rapid.Uint64Range(from, to).Draw(rt, name+" xmin")}
			s.xmax = rapid.Uint64Range(s.xmin, to).Draw(rt, name+" xmax")
			for x := s.xmin; x < s.xmax; x++ {
				if x == s.xmin || rapid.Bool().Draw(rt, "running") {
					s.running = append(s.running, x)
				}
			}
			return s
		}
		earlier, later := draw("earlier", 3, 20), draw("later", 3, 30)
		limit := rapid.Uint64Range(0, 35).Draw(rt, "limit")
		want := false
		for x := uint64(3); x < limit; x++ {
			want = want || later.endedFull(x) && !earlier.endedFull(x)
		}
		if got := later.endedSince(&earlier, limit); got != want {
			rt.Fatalf("endedSince of %+v and %+v below %d is %v", earlier, later, limit, got)
		}
	})
}

// Without credit nothing is recorded, and nobody misses it.
func TestCreditRunsOut(t *testing.T) {
	r := newRig(t, "CREATE TABLE a (id int PRIMARY KEY)")
	a := table("a", "id:int")
	r.install(Outbox{}, a)
	records := func(want int) {
		t.Helper()
		var n int
		if err := r.conn.QueryRow(t.Context(), "SELECT count(*) FROM bindery.outbox").Scan(&n); err != nil || n != want {
			t.Errorf("%d records, %v; want %d", n, err, want)
		}
	}
	r.exec("INSERT INTO a VALUES (1)")
	records(0) // nobody has ever read
	old := dial(t, r.dsn)
	oldExec := func(statement string) {
		t.Helper()
		if _, err := old.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	oldExec("BEGIN; INSERT INTO a VALUES (2)")
	first := r.newReader(a)
	second := r.newReader(a)
	r.exec("INSERT INTO a VALUES (3)")
	records(1)
	first.expect("an insert", "a[3]")
	oldExec("COMMIT") // it wrote before there was credit
	first.expect("a commit without record", "a*")
	second.expect("both", "a*")
	r.exec("INSERT INTO a VALUES (4)")
	first.expect("an insert", "a[4]")
	second.expect("an insert", "a[4]")

	r.exec(fmt.Sprintf("SELECT setval('bindery.credit', %d)", outboxCredit), "INSERT INTO a VALUES (5)")
	oldExec("BEGIN; INSERT INTO a VALUES (6)")
	records(2)
	first.expect("the credit has run out", "a*")
	first.expect("nothing", "")
	r.exec("INSERT INTO a VALUES (7)")
	records(3)
	first.expect("an insert", "a[7]")
	// It finds new credit, and that it had run out before.
	second.expect("the credit had run out", "a*")
	oldExec("COMMIT")
	first.expect("another commit without record", "a*")
	second.expect("another commit without record", "a*")
	first.expect("nothing", "")

	// Credit is given in time.
	r.exec(fmt.Sprintf("SELECT setval('bindery.credit', %d)", outboxCredit/4), "INSERT INTO a VALUES (8)")
	first.expect("an insert", "a[8]")
	r.exec("INSERT INTO a VALUES (9)")
	var used int
	if err := r.conn.QueryRow(t.Context(), "SELECT last_value FROM bindery.credit").Scan(&used); err != nil || used > 2 {
		t.Errorf("%d of the credit used, %v", used, err)
	}
	second.expect("two inserts", "a[8 9]")
}

// Old records are deleted, and who has not read them finds that out.
func TestRetention(t *testing.T) {
	r := newRig(t, "CREATE TABLE a (id int PRIMARY KEY)")
	a := table("a", "id:int")
	r.install(Outbox{}, a)
	slow, open := r.newReader(a), dial(t, r.dsn)
	tidy := func(want bool) {
		t.Helper()
		var more bool
		if err := r.conn.QueryRow(t.Context(), "SELECT bindery.tidy()").Scan(&more); err != nil || more != want {
			t.Errorf("tidy returned %v, %v; want %v", more, err, want)
		}
	}
	records := func(want int) {
		t.Helper()
		var n int
		if err := r.conn.QueryRow(t.Context(), "SELECT count(*) FROM bindery.outbox").Scan(&n); err != nil || n != want {
			t.Errorf("%d records, %v; want %d", n, err, want)
		}
	}
	// A long time passes for what has ended by now.
	later := func(interval string) { r.exec("UPDATE bindery.epochs SET at = at - interval '" + interval + "'") }

	if _, err := open.Exec(t.Context(), "BEGIN; INSERT INTO a VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	r.exec("INSERT INTO a VALUES (2)")
	tidy(false)
	later("1 hour")
	r.exec("INSERT INTO a VALUES (3)")
	tidy(false) // 2 is younger than the one that has not ended
	records(2)
	if _, err := open.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	tidy(false)
	records(3)
	slow.expect("nothing was deleted", "a[1 2 3]")
	later("1 hour")
	tidy(false)
	records(0)
	slow.expect("what it had read was deleted", "")

	r.exec("INSERT INTO a VALUES (4)")
	tidy(false)
	later("1 hour")
	young := r.newReader(a)
	young.below = 0 // whatever else runs on the server has not to do with the table
	r.exec("INSERT INTO a VALUES (5)")
	tidy(false)
	records(1)
	slow.expect("what it had not read was deleted", "a*")
	young.expect("what came before it was deleted", "a[5]")

	// Far too many are deleted sooner, some at a time.
	r.exec(fmt.Sprintf("INSERT INTO bindery.outbox SELECT pg_current_xact_id(), 0 FROM generate_series(1, %d)", outboxCredit+1))
	tidy(false)
	later("11 seconds")
	more := 0
	for n := outboxCredit + 2; n > 0; n -= tidyRows {
		records(n)
		if n > outboxCredit { // then they are few enough
			tidy(true)
			later("1 hour")
			continue
		}
		more++
		tidy(n >= tidyRows)
	}
	records(0)

	// A restored database may have records of another server.
	r.exec("INSERT INTO bindery.outbox SELECT '999999999999'::xid8, (SELECT n FROM bindery.captures), '{{77}}'", "UPDATE bindery.settings SET floor = '999999999999'")
	young.expect("records of another server", "")
	young.expect("records of another server, again", "")
	tidy(false)
	records(0)
	var floor string
	if err := r.conn.QueryRow(t.Context(), "SELECT floor::text FROM bindery.settings").Scan(&floor); err != nil || floor != "0" {
		t.Errorf("the floor is %s, %v", floor, err)
	}

	// One at a time.
	if _, err := open.Exec(t.Context(), "BEGIN; SELECT bindery.tidy()"); err != nil {
		t.Fatal(err)
	}
	tidy(false)
}

// What is remembered of one read is bounded, and so is a record.
func TestBulkRecords(t *testing.T) {
	r := newRig(t, "CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE long (k text PRIMARY KEY)", "ALTER TABLE long ALTER k SET STORAGE EXTERNAL",
		"CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id)", "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000000)")
	schemas := []driver.Schema{table("a", "id:int"), table("long", "k:text"), table("p", "id:int")}
	r.install(Outbox{MaxKeys: 50}, schemas...)
	h := r.newReader(schemas...)
	h.below = 0
	numbers := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprint(i+1))
		}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	for _, c := range []struct{ statement, want string }{
		{"INSERT INTO a SELECT generate_series(1, 50)", "a[" + numbers(50) + "]"},
		{"INSERT INTO a SELECT generate_series(51, 101)", "a*"},
		{"UPDATE a SET id = -id WHERE id <= 25", ""}, // see below
		{"UPDATE a SET id = id WHERE id BETWEEN 51 AND 100", ""},
		{"DELETE FROM a WHERE id > 50", "a*"},
		{"DO $$ BEGIN FOR i IN 1..60 LOOP INSERT INTO a VALUES (1000 + i); END LOOP; END $$", ""},
		{"INSERT INTO p SELECT generate_series(1, 101)", "p*"}, // by row: more than the reader's own bound
		{"INSERT INTO p SELECT generate_series(201, 203)", "p[201 202 203]"},
		{"INSERT INTO long SELECT repeat(md5(i::text), 80) FROM generate_series(1, 51) i", "long*"},
	} {
		r.exec(c.statement)
		got := h.see()
		if c.want == "" {
			if got == "" || strings.Contains(got, "*") {
				t.Errorf("after %s: read %s, want keys", c.statement, got)
			}
			continue
		}
		if got != c.want {
			t.Errorf("after %s: read %s, want %s", c.statement, got, c.want)
		}
	}
	// Long keys, of which a notification would hold three.
	r.exec("INSERT INTO long SELECT repeat(md5((-i)::text), 80) FROM generate_series(1, 50) i")
	if got := h.see(); strings.Count(got, " ") != 49 || len(got) < 50*32*80 {
		t.Errorf("50 long keys are %d bytes, %d spaces", len(got), strings.Count(got, " "))
	}
}

// What is bound while a read is under way is not missed by it: the read of the
// table that follows may be earlier than the snapshot.
func TestRoutesAreThoseAfterTheSnapshot(t *testing.T) {
	r := newRig(t, markerTable, "CREATE TABLE a (id int PRIMARY KEY)")
	a := table("a", "id:int")
	r.install(Outbox{}, marker, a)
	h, both := r.newReader(marker), r.newReader(marker, a)
	h.below, h.schemas = 0, both.schemas
	locker := dial(t, r.dsn)
	if _, err := locker.Exec(t.Context(), "BEGIN; LOCK TABLE bindery.settings"); err != nil {
		t.Fatal(err)
	}
	read := make(chan string, 1)
	go func() {
		defer close(read)
		read <- h.see()
	}()
	r.untilLocked()
	h.routes.Store(both.routes.Load())
	r.exec("INSERT INTO a VALUES (1)")
	if _, err := locker.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if got := <-read; got != "a[1]" {
		t.Errorf("read %q", got)
	}
}
