package pgsource

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// fails wants Watch to fail with the words, but not for good.
func (r *rig) fails(want string, schemas ...driver.Schema) {
	r.t.Helper()
	r.sink, r.triggers = newFakeSink(schemas...), NewTriggers(r.dsn)
	r.start()
	r.ends(want)
}

func (r *rig) ends(want string) {
	r.t.Helper()
	select {
	case err := <-r.ended:
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), `pgsource: reading the outbox "bindery": `) {
			r.t.Errorf("error %v\nwant %s", err, want)
		}
		if driver.IsPermanent(err) {
			r.t.Error("the source would be given up")
		}
	case <-time.After(patient):
		r.t.Fatalf("Watch does not fail with %s", want)
	}
}

// What cannot be watched is an error that names the table and what mends it;
// and running that mends it.
func TestWhatTriggersCannotWatch(t *testing.T) {
	r := newRig(t, markerTable)
	r.fails("it is not installed; mend it with: pgsource.Outbox.Install", marker)
	r.install(Outbox{})
	for _, c := range []struct {
		name, setup, mend, want string
		table                   driver.Schema
	}{
		{
			"no triggers", "CREATE TABLE a (id int PRIMARY KEY)", `SELECT "bindery".watch('"a"')`,
			`table "a": no triggers record its changes; mend it with: `, table("a", "id:int"),
		},
		{
			"another key", `CREATE TABLE b (id int PRIMARY KEY, "It's" int); SELECT bindery.watch('b')`, `SELECT "bindery".watch('"b"', ARRAY['It''s'])`,
			`table "b": its triggers record the key (id), and the binding's is (It's); mend it with: `, table("b", "It's:int"),
		},
		{
			"a disabled trigger", "CREATE TABLE c (id int PRIMARY KEY); SELECT bindery.watch('c'); ALTER TABLE c DISABLE TRIGGER ALL", `SELECT "bindery".watch('"c"')`,
			`table "c": triggers are missing or disabled on public.c; mend it with: `, table("c", "id:int"),
		},
		{
			"a child without triggers", "CREATE TABLE d (id int PRIMARY KEY); SELECT bindery.watch('d'); CREATE TABLE d2 () INHERITS (d)", `SELECT "bindery".watch('"d"')`,
			`table "d": triggers are missing or disabled on public.d2; mend it with: `, table("d", "id:int"),
		},
		{
			"a partition whose trigger is disabled",
			"CREATE TABLE e (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE e1 PARTITION OF e DEFAULT; SELECT bindery.watch('e'); ALTER TABLE e1 DISABLE TRIGGER ALL", `SELECT "bindery".watch('"e"')`,
			`table "e": triggers are missing or disabled on public.e1; mend it with: `, table("e", "id:int"),
		},
		{
			"a view", "CREATE VIEW v AS SELECT 1 AS id", "DROP VIEW v; CREATE TABLE v (id int PRIMARY KEY); SELECT bindery.watch('v')",
			`table "v": it is a view, which has no changes of its own: say which tables it is made of (core.DependsOn), or watch it with another source`, table("v", "id:int"),
		},
		{
			"no key", "CREATE TABLE h (id int); SELECT bindery.watch('h', '{}')", `SELECT "bindery".watch('"h"', ARRAY['id'])`,
			`table "h": its triggers record the key (), and the binding's is (id); mend it with: `, table("h", "id:int"),
		},
		{
			"a missing table", "", "CREATE TABLE f (id int PRIMARY KEY); SELECT bindery.watch('f')",
			`table "f": it does not exist in the schemas of search_path ("$user", public)`, table("f", "id:int"),
		},
		{
			"another version", "CREATE TABLE g (id int PRIMARY KEY); SELECT bindery.watch('g'); UPDATE bindery.settings SET version = 7", "UPDATE bindery.settings SET version = 1",
			"it is of another version, [[7]], than this program's, 1; mend it with: pgsource.Outbox.Install", table("g", "id:int"),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &rig{t: t, dsn: r.dsn, conn: r.conn}
			r.exec(c.setup)
			r.fails(c.want, c.table)
			if strings.HasSuffix(c.want, "with: ") {
				r.fails(c.want+c.mend, c.table)
			}
			r.exec(c.mend)
			r.watchTriggers(nil, c.table)
			if err := r.stop(); err != context.Canceled {
				t.Errorf("Watch returned %v", err)
			}
		})
	}
	for statement, want := range map[string]string{
		"CREATE VIEW w AS SELECT 1 AS id; SELECT bindery.watch('w')":                          "w is no table that can be watched",
		"CREATE TEMP TABLE temporary (id int PRIMARY KEY); SELECT bindery.watch('temporary')": "temporary is no table that can be watched",
		"CREATE TABLE keyless (id int); SELECT bindery.watch('keyless')":                      "keyless has no primary key",
		"SELECT bindery.watch('a', '{id,x}')":                                                 "a does not have all of the columns {id,x}",
		"SELECT bindery.watch('nowhere')":                                                     `relation "nowhere" does not exist`,
	} {
		if _, err := r.conn.Exec(t.Context(), statement); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", statement, err, want)
		}
	}
}

func TestValidateTriggers(t *testing.T) {
	err := NewTriggers("postgres://user:secret@host:port/db", TriggerConfig{
		Tables: []driver.Table{{}}, Outbox: "public", MaxKeys: -1, PollInterval: -1, AnswerTimeout: -2, AuditInterval: -3,
	}).Validate()
	for _, want := range []string{"Tables[0]", `Schema "public"`, "MaxKeys -1", "PollInterval", "AnswerTimeout", "AuditInterval", "cannot parse"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the password shows: %v", err)
	}
	if err := NewTriggers("\x00=").Watch(t.Context(), newFakeSink()); !driver.IsPermanent(err) {
		t.Errorf("Watch returned %v", err)
	}
	if err := NewTriggers("postgres://nobody@127.0.0.1/x").CatchUp(t.Context(), nil); err == nil {
		t.Error("a source that does not watch has caught up")
	}
	src := NewTriggers("", TriggerConfig{Database: "d", Tables: []driver.Table{{Name: "t"}}})
	if !src.Scope().Covers(driver.Table{Database: "d", Schema: "x", Name: "t"}) || src.Scope().Covers(driver.Table{Name: "t"}) || len(src.Scope().Tables) != 1 {
		t.Error("it covers other tables than those named")
	}
	for _, o := range []Outbox{
		{Schema: "pg_mine"},
		{Schema: "public"},
		{Schema: `a"b`},
		{Schema: "1"},
		{Schema: strings.Repeat("x", 41)},
		{Readers: []string{""}},
		{MaxKeys: -1},
		{Retention: time.Millisecond},
		{Retention: -1},
		{LockTimeout: -1},
	} {
		if _, err := o.SQL(); err == nil || !strings.HasPrefix(err.Error(), "pgsource: outbox: ") {
			t.Errorf("%+v: error %v", o, err)
		}
		if err := o.Install(t.Context(), "host=127.0.0.1 port=1"); err == nil || strings.Contains(err.Error(), "connect") {
			t.Errorf("%+v: error %v", o, err)
		}
	}
}

// Installing again changes nothing, and locks nothing.
func TestInstallAgain(t *testing.T) {
	r := newRig(t, markerTable, "CREATE TABLE a (id int PRIMARY KEY)",
		"CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id)", "CREATE TABLE p1 PARTITION OF p DEFAULT")
	tables := []driver.Table{{Name: "marker"}, {Name: "a"}, {Schema: "public", Name: "p"}}
	count := func(query string) (n int) {
		t.Helper()
		if err := r.conn.QueryRow(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const triggers = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'bindery%'"

	// A writer is in the way.
	writer := dial(t, r.dsn)
	if _, err := writer.Exec(t.Context(), "BEGIN; INSERT INTO a VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	err := Outbox{LockTimeout: 50 * time.Millisecond}.Install(t.Context(), r.dsn, tables...)
	if err == nil || !strings.Contains(err.Error(), "a table stayed locked for 50ms, by a transaction that is open, and nothing was changed") || !strings.Contains(err.Error(), "ON public.a") {
		t.Errorf("error %v", err)
	}
	if n := count(triggers) + count("SELECT count(*) FROM pg_namespace WHERE nspname = 'bindery'"); n > 0 {
		t.Errorf("a failed installation has left %d things", n)
	}
	if _, err := writer.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}

	// Several at once.
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if err := (Outbox{LockTimeout: patient}).Install(t.Context(), r.dsn, tables...); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	want := 4 + 4 + 2 + 2
	if n := count(triggers); n != want {
		t.Errorf("%d triggers, want %d", n, want)
	}
	if _, err := writer.Exec(t.Context(), "BEGIN; INSERT INTO a VALUES (2); INSERT INTO p VALUES (2)"); err != nil {
		t.Fatal(err)
	}
	if err := (Outbox{LockTimeout: 50 * time.Millisecond}).Install(t.Context(), r.dsn, tables...); err != nil {
		t.Errorf("with nothing to change: %v", err)
	}
	if _, err := writer.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}

	// What differs is replaced, and what was dropped is forgotten.
	first := count("SELECT max(n) FROM bindery.captures")
	r.install(Outbox{MaxKeys: 7, Silent: true}, table("a"), table("p"), table("marker"))
	if n := count(triggers); n != want || count("SELECT min(n) FROM bindery.captures") <= first {
		t.Errorf("%d triggers, want %d new ones", n, want)
	}
	if n := count("SELECT count(*) FROM pg_proc WHERE proname LIKE 'capture%'"); n != 3 {
		t.Errorf("%d functions, want 3", n)
	}
	r.exec("DROP TABLE p")
	r.install(Outbox{RowTriggers: true}, table("a"))
	if n := count(triggers); n != 2+4 || count("SELECT count(*) FROM bindery.captures") != 2 || count("SELECT count(*) FROM pg_proc WHERE proname LIKE 'capture%'") != 2 {
		t.Errorf("%d triggers", n)
	}

	// A newer outbox is left alone.
	r.exec("UPDATE bindery.settings SET version = 2")
	if err := (Outbox{}).Install(t.Context(), r.dsn); err == nil || !strings.Contains(err.Error(), "the outbox is of version 2, this program knows versions up to 1") {
		t.Errorf("error %v", err)
	}
	r.exec("UPDATE bindery.settings SET version = 1")

	uninstall := func() error { return Outbox{}.Uninstall(t.Context(), r.dsn) }
	if err := (Outbox{}).Unwatch(t.Context(), r.dsn, driver.Table{Name: "a"}, driver.Table{Name: "nowhere"}, driver.Table{Name: "$do$ {{schema}}"}); err != nil {
		t.Error(err)
	}
	if n := count(triggers); n != 4 {
		t.Errorf("%d triggers, want those of the other table", n)
	}
	r.exec("CREATE TABLE bindery.mine (id int)")
	if err := uninstall(); err == nil || !strings.Contains(err.Error(), "cannot drop schema bindery") || count(triggers) != 4 {
		t.Errorf("error %v", err)
	}
	r.exec("DROP TABLE bindery.mine")
	for range 2 {
		if err := uninstall(); err != nil {
			t.Error(err)
		}
	}
	if n := count(triggers) + count("SELECT count(*) FROM pg_namespace WHERE nspname = 'bindery'"); n > 0 {
		t.Errorf("%d things are left", n)
	}
	r.exec("INSERT INTO a VALUES (3)")
}

// Tables and triggers come and go while the source runs.
func TestCapturesComeAndGo(t *testing.T) {
	r := newRig(t, markerTable, "CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY)")
	a := table("a", "id:int")
	r.install(Outbox{}, marker, a)
	r.watchTriggers(&TriggerConfig{AuditInterval: 50 * time.Millisecond}, marker)
	r.exec("INSERT INTO a VALUES (1)")
	r.expect("an insert into a table that is not bound", "")
	saw := func(what string) {
		t.Helper()
		r.sink.until(t, what, func() bool {
			return slices.ContainsFunc(r.sink.reports, func(c []driver.Change) bool { return strings.Contains(describe(c), "a*") })
		})
		r.exec("INSERT INTO marker DEFAULT VALUES") // behind it, all that is on its way
		r.sink.until(t, "the marker", func() bool {
			return slices.ContainsFunc(r.sink.reports, func(c []driver.Change) bool { return strings.Contains(describe(c), "marker") })
		})
		r.sink.take()
	}
	other := dial(t, r.dsn)
	if _, err := other.Exec(t.Context(), "BEGIN; INSERT INTO a VALUES (2)"); err != nil {
		t.Fatal(err)
	}
	r.sink.bind(a)
	saw("the new table's report")
	r.exec("INSERT INTO a VALUES (3)")
	r.expect("an insert into the new table", "a[3]")
	if _, err := other.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	r.expect("a commit from before it was bound", "a[2]")
	// Another way of recording.
	r.install(Outbox{RowTriggers: true}, a)
	saw("the new triggers")
	r.exec("INSERT INTO a VALUES (4)")
	r.expect("an insert recorded by row", "a[4]")
	r.exec("BEGIN; DROP TABLE a; CREATE TABLE a (id int PRIMARY KEY); SELECT bindery.watch('a'); INSERT INTO a VALUES (7); COMMIT")
	saw("the table that was made anew")
	r.exec("INSERT INTO a VALUES (8)")
	r.expect("an insert into the table that was made anew", "a[8]")
	if err := (Outbox{}).Unwatch(t.Context(), r.dsn, driver.Table{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	r.ends(`table "a": no triggers record its changes`)
	if !slices.ContainsFunc(r.sink.reports, func(c []driver.Change) bool { return describe(c) == "a*+marker*" }) {
		t.Error("the end of the session did not have the tables read")
	}
	if err := (Outbox{}).Uninstall(t.Context(), r.dsn); err != nil {
		t.Fatal(err)
	}
	r.fails("it is not installed", marker)
}

// What changes rows and fires no trigger is noticed by the audit.
func TestTriggersAndDefinitions(t *testing.T) {
	r := newRig(t, markerTable, "CREATE TABLE a (id int PRIMARY KEY, v int)",
		"CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id)", "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)",
		"CREATE TABLE p2 (id int PRIMARY KEY)", "INSERT INTO p2 VALUES (11)")
	schemas := []driver.Schema{marker, table("a", "id:int"), table("p", "id:int")}
	r.install(Outbox{}, schemas...)
	r.watchTriggers(&TriggerConfig{AuditInterval: 20 * time.Millisecond}, schemas...)
	for _, c := range []struct{ statement, want string }{
		{"ALTER TABLE a ADD COLUMN w int DEFAULT 7", "a*"},
		{"ALTER TABLE a ALTER v TYPE text USING 'altered'", "a*"},
		{"ALTER TABLE a DROP COLUMN w", "a*"},
		{"ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20)", "p*"},
		{"TRUNCATE p2", "p*"},
		{"ALTER TABLE p DETACH PARTITION p2", "p*"},
		{"DROP TABLE p1", "p*"},
	} {
		r.exec(c.statement)
		r.sink.until(t, "a report after "+c.statement, func() bool { return len(r.sink.reports) > 0 })
		r.expect(c.statement, c.want)
	}
}

// Three roles, none of which may do more than it needs: one that owns the tables
// and installs, one that reads the outbox, and one that writes.
func TestLeastPrivilegesOfTriggers(t *testing.T) {
	r := newRig(t)
	super := r.conn
	drop := func() {
		for _, role := range []string{"shop_owner", "shop_reader", "shop_writer"} {
			_, _ = super.Exec(context.Background(), "DROP OWNED BY "+role+" CASCADE") // it may not exist
			_, _ = super.Exec(context.Background(), "DROP ROLE "+role)
		}
	}
	drop()
	t.Cleanup(drop)
	r.exec("CREATE ROLE shop_owner LOGIN", "CREATE ROLE shop_reader LOGIN", "CREATE ROLE shop_writer LOGIN",
		"REVOKE ALL ON SCHEMA public FROM PUBLIC", "GRANT USAGE ON SCHEMA public TO shop_reader, shop_writer", "GRANT USAGE, CREATE ON SCHEMA public TO shop_owner",
		"DO $$ BEGIN EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO shop_owner, shop_writer', current_database()); END $$")
	as := func(role string) string { return strings.Replace(r.dsn, "postgres@", role+"@", 1) }
	r.dsn = as("shop_owner")
	r.conn = dial(t, r.dsn)
	r.exec(markerTable, "CREATE TABLE a (id int PRIMARY KEY)", "GRANT INSERT, UPDATE, DELETE, SELECT ON a TO shop_writer")
	schemas := []driver.Schema{marker, table("a", "id:int")}
	r.install(Outbox{}, schemas...)

	writer := dial(t, strings.Replace(r.dsn, "shop_owner@", "shop_writer@", 1))
	reader := dial(t, strings.Replace(r.dsn, "shop_owner@", "shop_reader@", 1))
	refused := func(who *pgx.Conn, statements ...string) {
		t.Helper()
		for _, s := range statements {
			if _, err := who.Exec(t.Context(), s); err == nil || !strings.Contains(err.Error(), "permission denied") && !strings.Contains(err.Error(), "must be owner") {
				t.Errorf("%s as %s: error %v", s, who.Config().User, err)
			}
		}
	}
	owner := r.dsn
	r.dsn = reader.Config().ConnString()
	r.fails("the role may not read it", schemas...)
	if err := (Outbox{Readers: []string{"shop_reader"}}).Install(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	r.watchTriggers(&TriggerConfig{AuditInterval: 20 * time.Millisecond}, schemas...)
	// Whatever a writer puts in the way is not run by the owner's triggers.
	for _, s := range []string{
		"CREATE SCHEMA evil", "GRANT ALL ON SCHEMA evil TO PUBLIC", "CREATE FUNCTION evil.concat(int) RETURNS text LANGUAGE sql AS $$ SELECT '666' $$",
		"CREATE FUNCTION evil.nextval(text) RETURNS bigint LANGUAGE sql AS $$ SELECT 1000000000::bigint $$",
		"CREATE TEMP TABLE new_rows (id int)", "INSERT INTO pg_temp.new_rows VALUES (667)", "SET search_path = evil, pg_catalog, public",
		"INSERT INTO a VALUES (1), (2)",
	} {
		if _, err := writer.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	r.expect("a writer", "a[1 2]")
	snap := openSnapshot(t, owner)
	if err := r.triggers.CatchUp(t.Context(), snap); err != nil {
		t.Error(err)
	}
	snap.Close()
	if _, err := writer.Exec(t.Context(), "RESET search_path; CREATE TABLE evil.mine (id int)"); err != nil {
		t.Fatal(err)
	}
	refused(writer, "SELECT * FROM bindery.outbox", "INSERT INTO bindery.outbox VALUES ('3', 1, NULL)", "SELECT nextval('bindery.credit')",
		"SELECT bindery.attend()", "SELECT bindery.watch('a')", "SELECT bindery.tidy()")
	refused(reader, "SELECT * FROM a", "INSERT INTO a VALUES (9)", "DELETE FROM bindery.outbox", "INSERT INTO bindery.outbox VALUES ('3', 1, NULL)",
		"UPDATE bindery.settings SET floor = '0'", "SELECT nextval('bindery.credit')", "SELECT setval('bindery.credit', 1)", "TRUNCATE bindery.outbox",
		"SELECT bindery.watch('a')", "SELECT bindery.unwatch('a')", "SELECT * FROM bindery.epochs", "ALTER TABLE a DISABLE TRIGGER ALL")
	// The function of the triggers is nobody else's to use.
	refused(writer, "CREATE TRIGGER x AFTER TRUNCATE ON evil.mine EXECUTE FUNCTION bindery.capture_2()")
	if err := r.stop(); err != context.Canceled {
		t.Errorf("Watch returned %v", err)
	}
}

// A prepared transaction outlives a crash. What it has recorded does not, and
// when it is committed the whole table is reported.
func TestPreparedTransactions(t *testing.T) {
	t.Parallel() // mostly it waits
	server := pgtest.Start(t, pgtest.Setting("max_prepared_transactions", "5"), pgtest.Setting("wal_level", "replica"))
	r := &rig{t: t, dsn: server.CreateDatabase(t)}
	r.conn = dial(t, r.dsn)
	r.exec(markerTable, "CREATE TABLE a (id int PRIMARY KEY)")
	schemas := []driver.Schema{marker, table("a", "id:int")}
	r.install(Outbox{}, schemas...)
	r.watchTriggers(&TriggerConfig{PollInterval: 20 * time.Millisecond}, schemas...)
	r.exec("BEGIN; INSERT INTO a VALUES (1)")
	if _, err := r.conn.Exec(t.Context(), "PREPARE TRANSACTION 'one'"); err == nil || !strings.Contains(err.Error(), "NOTIFY") {
		t.Errorf("error %v", err)
	}
	_ = r.stop()
	r.install(Outbox{Silent: true}, schemas...)
	r.watchTriggers(&TriggerConfig{PollInterval: 20 * time.Millisecond}, schemas...)
	r.exec("BEGIN; INSERT INTO a VALUES (2); PREPARE TRANSACTION 'two'")
	r.exec("BEGIN; INSERT INTO a VALUES (3); PREPARE TRANSACTION 'three'")
	r.expect("prepared transactions", "")
	r.exec("COMMIT PREPARED 'two'")
	r.expect("a prepared transaction that was committed", "a[2]")
	r.exec("CHECKPOINT")
	server.Kill(t)
	r.ends("")
	server.Restart(t)
	r.conn = dial(t, r.dsn)
	r.watchTriggers(&TriggerConfig{PollInterval: 20 * time.Millisecond}, schemas...)
	r.expect("a crash", "")
	r.exec("COMMIT PREPARED 'three'")
	r.sink.until(t, "the report of what was prepared before the crash", func() bool {
		return slices.ContainsFunc(r.sink.reports, func(c []driver.Change) bool { return strings.Contains(describe(c), "a*") })
	})
}

// deaf is when a source gives up a server that does not answer. The tests that wait for
// it run beside each other; a server on a busy machine must be in time all the same.
const deaf = 5 * time.Second

// A network that was cut off is noticed by who reads.
func TestTriggersWithoutAnswer(t *testing.T) {
	t.Parallel() // mostly it waits
	r, hole := newDeafRig(t)
	r.watchTriggers(&TriggerConfig{AnswerTimeout: deaf, PollInterval: 100 * time.Millisecond}, marker)
	r.expect("nothing", "")
	hole.deaf.Store(true)
	r.ends("no answer within " + deaf.String())
}

// And by who listens, where nobody reads for a long time.
func TestTriggersWithoutAnswerOrPoll(t *testing.T) {
	t.Parallel() // mostly it waits
	r, hole := newDeafRig(t)
	r.watchTriggers(&TriggerConfig{AnswerTimeout: deaf, PollInterval: time.Hour}, marker)
	r.expect("nothing", "")
	hole.deaf.Store(true)
	r.ends("listening: no answer within " + deaf.String())
}

// newDeafRig is a rig with the outbox installed, and a network that can be cut.
func newDeafRig(t *testing.T) (*rig, *blackHole) {
	t.Helper()
	r := newRig(t, markerTable)
	r.install(Outbox{}, marker)
	addr := pgtest.Shared(t).Addr()
	hole := newBlackHole(t, addr)
	r.dsn = strings.Replace(r.dsn, addr, hole.listener.Addr().String(), 1)
	return r, hole
}

// Who waits to catch up is let go when that cannot be.
func TestTriggersCatchUpAgainstTheirLimits(t *testing.T) {
	r := newRig(t, markerTable)
	r.install(Outbox{}, marker)
	r.watchTriggers(&TriggerConfig{PollInterval: time.Hour}, marker)
	// A read that cannot be made: somebody has locked the outbox.
	locker := dial(t, r.dsn)
	if _, err := locker.Exec(t.Context(), "BEGIN; LOCK TABLE bindery.settings"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	caught := make(chan error, 1)
	go func() { caught <- r.triggers.CatchUp(ctx, nil) }()
	r.untilLocked()
	cancel(errors.New("enough"))
	if err := <-caught; err == nil || !strings.Contains(err.Error(), "pgsource: catching up: enough") {
		t.Errorf("error %v", err)
	}
	go func() { caught <- r.triggers.CatchUp(t.Context(), nil) }()
	r.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN "bindery"' AND datname = current_database()`)
	if err := <-caught; err == nil {
		t.Error("caught up, though nothing could be read")
	}
	r.ends("terminating connection")
	if err := r.triggers.CatchUp(t.Context(), nil); err != errNotReading {
		t.Errorf("error %v", err)
	}
}

// untilLocked waits until somebody waits for a lock in the database.
func (r *rig) untilLocked() {
	r.t.Helper()
	until(r.t, "somebody waits for a lock", func() bool {
		var n int
		err := r.conn.QueryRow(r.t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()").Scan(&n)
		return err == nil && n == 1
	})
}

// A quiet database is no silent one, and notifications may be lost.
func TestTriggersWithoutNotifications(t *testing.T) {
	t.Parallel() // mostly it waits
	r := newRig(t, markerTable)
	r.install(Outbox{}, marker)
	r.watchTriggers(&TriggerConfig{AnswerTimeout: deaf, PollInterval: 50 * time.Millisecond}, marker)
	until(t, "the listening connection was tried", func() bool {
		var n int
		err := r.conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT 1' AND datname = current_database()").Scan(&n)
		return err == nil && n == 1
	})
	r.exec("INSERT INTO marker DEFAULT VALUES")
	r.sink.until(t, "a report", func() bool { return len(r.sink.reports) > 0 })
	r.sink.take()
	r.install(Outbox{Silent: true}, marker)
	r.sink.until(t, "new triggers", func() bool { return len(r.sink.reports) > 0 })
	r.sink.take()
	r.expect("nothing", "")
}

// A table that is only depended on need not have a key.
func TestTriggersWithoutKey(t *testing.T) {
	for _, rows := range []string{"false", "true"} {
		r := newRig(t, markerTable, "CREATE TABLE log (line text)")
		r.install(Outbox{}, marker)
		r.exec("SELECT bindery.watch('log', '{}', for_each_row => " + rows + ")")
		r.watchTriggers(nil, marker, table("log"))
		for _, c := range []struct{ statement, want string }{
			{"INSERT INTO log VALUES ('x'), (NULL)", "log*"},
			{"UPDATE log SET line = 'y'", "log*"},
			{"UPDATE log SET line = 'z' WHERE false", ""},
			{"DELETE FROM log", "log*"},
			{"TRUNCATE log", "log*"},
		} {
			r.exec(c.statement)
			r.expect(c.statement, c.want)
		}
	}
}
