package pgsource

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// What cannot be watched is an error that names the table and what mends it;
// and running that mends it.
func TestWhatCannotBeWatched(t *testing.T) {
	for _, c := range []struct {
		name, setup, mend, want string
		table                   driver.Schema
	}{
		{
			"no primary key", "CREATE TABLE t (id int NOT NULL)", "ALTER TABLE t REPLICA IDENTITY FULL",
			`table "t": the log does not tell which rows of "public"."t" are updated or deleted: it has no primary key, and so no replica identity; mend it with: ALTER TABLE "public"."t" REPLICA IDENTITY FULL`,
			table("t", "id:int"),
		},
		{
			"depended on, without a primary key", "CREATE TABLE t (id int NOT NULL)", "ALTER TABLE t REPLICA IDENTITY FULL",
			`it has no primary key, and so no replica identity; mend it with: ALTER TABLE "public"."t" REPLICA IDENTITY FULL`,
			table("t"),
		},
		{
			"identity nothing", "CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE t REPLICA IDENTITY NOTHING", "ALTER TABLE t REPLICA IDENTITY DEFAULT",
			`its replica identity is NOTHING; mend it with: ALTER TABLE "public"."t" REPLICA IDENTITY DEFAULT`,
			table("t", "id:int"),
		},
		{
			"identity of an index without the key",
			`CREATE TABLE t (id int PRIMARY KEY, "C" int NOT NULL UNIQUE); ALTER TABLE t REPLICA IDENTITY USING INDEX "t_C_key"`, "ALTER TABLE t REPLICA IDENTITY DEFAULT",
			`its replica identity (C) does not hold the binding's key (id); mend it with: ALTER TABLE "public"."t" REPLICA IDENTITY DEFAULT`,
			table("t", "id:int"),
		},
		{
			"the identity of one partition",
			"CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (9); ALTER TABLE t1 REPLICA IDENTITY NOTHING",
			"ALTER TABLE t1 REPLICA IDENTITY DEFAULT",
			`"public"."t1" are updated or deleted: its replica identity is NOTHING; mend it with: ALTER TABLE "public"."t1" REPLICA IDENTITY DEFAULT`,
			table("t", "id:int"),
		},
		{
			"a missing table", "", "CREATE TABLE t (id int PRIMARY KEY)",
			`table "t": it does not exist in the schemas of search_path ("$user", public)`, table("t", "id:int"),
		},
		{
			"a table missing in its schema", "", "CREATE SCHEMA s; CREATE TABLE s.t (id int PRIMARY KEY)",
			`table "s.t": it does not exist`, table("s.t", "id:int"),
		},
		{
			"a view", "CREATE VIEW t AS SELECT 1 AS id", "DROP VIEW t; CREATE TABLE t (id int PRIMARY KEY)",
			`"public"."t" is a view, whose changes Postgres does not log: say which tables it is made of (core.DependsOn), or watch it with another source`, table("t", "id:int"),
		},
		{
			"an unlogged table", "CREATE UNLOGGED TABLE t (id int PRIMARY KEY)", "ALTER TABLE t SET LOGGED",
			`"public"."t" is not logged; mend it with: ALTER TABLE "public"."t" SET LOGGED`, table("t", "id:int"),
		},
		{
			"a publication of some changes", "CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION bindery FOR TABLE t WITH (publish = 'insert')",
			"ALTER PUBLICATION bindery SET (publish = 'insert, update, delete, truncate')",
			`does not publish every kind of change; mend it with: ALTER PUBLICATION "bindery" SET (publish = 'insert, update, delete, truncate')`,
			table("t", "id:int"),
		},
		{
			"a publication that hides partitions",
			"CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE PUBLICATION bindery FOR TABLE t WITH (publish_via_partition_root)",
			"ALTER PUBLICATION bindery SET (publish_via_partition_root = false)",
			`table "t": publication "bindery" hides partitions; mend it with: ALTER PUBLICATION "bindery" SET (publish_via_partition_root = false)`,
			table("t", "id:int"),
		},
		{
			"a publication of some rows", "CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION bindery FOR TABLE t WHERE (id > 5)",
			"ALTER PUBLICATION bindery SET TABLE t", `table "t": publication "bindery" leaves rows out by a filter`, table("t", "id:int"),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.setup)
			r.sink, r.src = newFakeSink(c.table), New(r.dsn)
			r.start()
			err := <-r.ended
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), `pgsource: following publication "bindery": `) {
				t.Fatalf("error %v\nwant %s", err, c.want)
			}
			if driver.IsPermanent(err) {
				t.Error("the source would be given up")
			}
			r.exec(c.mend)
			r.watch(nil, c.table)
		})
	}
}

func TestServersThatWillNotDo(t *testing.T) {
	t.Parallel() // mostly it waits
	server := pgtest.Start(t, pgtest.Setting("wal_level", "replica"))
	r := &rig{t: t, dsn: server.DSN("postgres"), sink: newFakeSink(marker)}
	r.src = New(r.dsn)
	r.start()
	if err := <-r.ended; err == nil || !strings.Contains(err.Error(), "wal_level is replica; mend it with: ALTER SYSTEM SET wal_level = logical") {
		t.Errorf("error %v", err)
	}
	server.Stop(t)
	r.start()
	if err := <-r.ended; err == nil || driver.IsPermanent(err) {
		t.Errorf("without a server: error %v", err)
	}
}

func TestValidate(t *testing.T) {
	err := New("postgres://user:secret@host:port/db", Config{
		Tables: []driver.Table{{}}, MaxKeys: -1, ReceiveTimeout: -1, StartTimeout: -2, AuditInterval: -3,
	}).Validate()
	for _, want := range []string{"Tables[0]", "MaxKeys -1", "ReceiveTimeout", "StartTimeout", "AuditInterval", "cannot parse"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the password shows: %v", err)
	}
	if err := New("postgres://nobody@127.0.0.1/x").Validate(); err != nil {
		t.Error(err)
	}
	if err := New("\x00=").Watch(t.Context(), newFakeSink()); !driver.IsPermanent(err) {
		t.Errorf("Watch returned %v", err)
	}
	src := New("", Config{Database: "d", Tables: []driver.Table{{Name: "t"}, {Schema: "s", Name: "u"}}})
	for table, want := range map[driver.Table]bool{
		{Database: "d", Name: "t"}: true, {Database: "d", Schema: "x", Name: "t"}: true, {Name: "t"}: false,
		{Database: "d", Schema: "s", Name: "u"}: true, {Database: "d", Name: "u"}: false,
	} {
		if src.Scope().Covers(table) != want {
			t.Errorf("Covers(%v) is %v", table, !want)
		}
	}
}

// A role that may do no more than it needs: replicate, and read the tables. The
// owner makes the publication.
func TestLeastPrivileges(t *testing.T) {
	r := newRig(t, markerTable, "CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY)",
		"DROP ROLE IF EXISTS follower", "CREATE ROLE follower LOGIN REPLICATION", "GRANT SELECT ON a, marker TO follower")
	t.Cleanup(func() {
		conn := dial(t, r.dsn)
		_, _ = conn.Exec(context.Background(), "DROP OWNED BY follower; DROP ROLE follower")
	})
	owner := r.dsn
	r.dsn = strings.Replace(r.dsn, "postgres@", "follower@", 1)
	fails := func(want string, schemas ...driver.Schema) {
		t.Helper()
		r.sink, r.src = newFakeSink(schemas...), New(r.dsn)
		r.start()
		if err := <-r.ended; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	fails(`publication "bindery" does not exist: the role may not run what is needed`, marker)
	r.exec("CREATE PUBLICATION bindery FOR TABLE marker")
	fails(`let the owner run: ALTER PUBLICATION "bindery" ADD TABLE "public"."a"`, marker, table("a", "id:int"))
	r.exec("ALTER PUBLICATION bindery ADD TABLE a")
	r.watch(nil, marker, table("a", "id:int"))
	r.exec("INSERT INTO a VALUES (1)")
	r.expect("an insert", "a[1]")
	snap := openSnapshot(t, owner)
	if err := r.src.CatchUp(t.Context(), snap); err != nil {
		t.Error(err)
	}
	snap.Close()
	if err := r.stop(); err != context.Canceled {
		t.Errorf("Watch returned %v", err)
	}
	r.exec("ALTER ROLE follower NOREPLICATION")
	fails("replication", marker, table("a", "id:int"))

	// The source keeps its hands off a publication that is not its own.
	r.dsn = owner
	r.sink, r.src = newFakeSink(marker, table("b", "id:int")), New(owner, Config{FixedPublication: true})
	r.start()
	if err := <-r.ended; err == nil || !strings.Contains(err.Error(), `publication "bindery" lacks it; mend it with: ALTER PUBLICATION "bindery" ADD TABLE "public"."b"`) {
		t.Errorf("error %v", err)
	}
}

// A slot waits for the transactions that write; the error says so.
func TestStartWaitsForWriters(t *testing.T) {
	r := newRig(t, markerTable)
	other := dial(t, r.dsn)
	if _, err := other.Exec(t.Context(), "BEGIN; INSERT INTO marker DEFAULT VALUES"); err != nil {
		t.Fatal(err)
	}
	// A busy machine can keep the source from getting as far as the slot; then another
	// one is given longer.
	for timeout := 300 * time.Millisecond; ; timeout *= 4 {
		r.sink, r.src = newFakeSink(marker), New(r.dsn, Config{StartTimeout: timeout})
		r.start()
		err := <-r.ended
		if err != nil && strings.Contains(err.Error(), "no replication slot within "+timeout.String()+": the server waits for the end of transactions") {
			break
		}
		if timeout > 10*time.Second {
			t.Fatalf("error %v", err)
		}
	}
	until(t, "no slot is left behind", func() bool {
		var n int
		err := r.conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()").Scan(&n)
		return err == nil && n == 0
	})
}

// Tables come and go while the source runs, and are made anew behind its back.
func TestTablesComeAndGo(t *testing.T) {
	r := newRig(t, markerTable, "CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY)")
	r.watch(&Config{AuditInterval: 50 * time.Millisecond}, marker)
	r.exec("INSERT INTO a VALUES (1)")
	r.expect("an insert into a table that is not bound", "")
	// A transaction that wrote before the table was published, and ends later.
	other := dial(t, r.dsn)
	if _, err := other.Exec(t.Context(), "BEGIN; INSERT INTO a VALUES (2)"); err != nil {
		t.Fatal(err)
	}
	r.sink.bind(table("a", "id:int"))
	saw := func(what string) {
		t.Helper()
		r.sink.until(t, what, func() bool {
			select {
			case err := <-r.ended:
				t.Fatalf("waiting for %s: Watch: %v", what, err)
			default:
			}
			return slices.ContainsFunc(r.sink.reports, func(c []driver.Change) bool { return describe(c) == "a*" })
		})
		r.exec("INSERT INTO marker DEFAULT VALUES") // behind it, all that is on its way
		r.sink.until(t, "the marker", func() bool {
			return slices.ContainsFunc(r.sink.reports, func(c []driver.Change) bool { return strings.Contains(describe(c), "marker") })
		})
		r.sink.take()
	}
	saw("the new table's report")
	r.exec("INSERT INTO a VALUES (3)")
	r.expect("an insert into the new table", "a[3]")
	if _, err := other.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	saw("the transaction that was not published")
	r.exec("BEGIN; DROP TABLE a; CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (7); COMMIT")
	saw("the table that was made anew")
	r.exec("INSERT INTO a VALUES (8)")
	r.expect("an insert into the table that was made anew", "a[8]")
	r.exec("ALTER PUBLICATION bindery DROP TABLE a")
	saw("the table that was taken out of the publication")
	r.exec("INSERT INTO a VALUES (9)")
	r.expect("an insert into the table that was published again", "a[9]")
	// A table that is dropped holds up nobody, and is followed when it is back.
	r.exec("DROP TABLE a")
	saw("the table that was dropped")
	r.exec("CREATE TABLE swap (id int PRIMARY KEY, n text)", "INSERT INTO swap VALUES (1, 'x')", "ALTER TABLE swap RENAME TO a")
	saw("the table that came in its place")
	r.exec("INSERT INTO a VALUES (10)")
	r.expect("an insert into the table that came in its place", "a[10]")
}

// Whatever changes how rows look, without a message in the log, has the whole table
// reported; so does a relation message with other types.
func TestAlteredTables(t *testing.T) {
	r := newRig(t, markerTable, "CREATE TYPE mood AS ENUM ('sad', 'ok')", "CREATE DOMAIN small AS int",
		"CREATE TABLE a (id int PRIMARY KEY, n numeric(8,2), s text, m mood, d small, b bool DEFAULT true)", "INSERT INTO a VALUES (1, 1, 'x', 'ok', 1)",
		"CREATE TABLE other (id int PRIMARY KEY)", "INSERT INTO other VALUES (1)")
	for _, way := range []struct {
		name string
		cfg  Config
		dml  bool
	}{
		{"by the catalogue", Config{SchemaInterval: 5 * time.Millisecond}, false},
		{"by relation messages", Config{SchemaInterval: time.Hour}, true},
	} {
		t.Run(way.name, func(t *testing.T) {
			r.t = t
			r.watch(&way.cfg, marker, table("a", "id:int"), table("other", "id:int"))
			defer func() { _ = r.stop() }()
			r.exec("INSERT INTO a (id) VALUES (2)")
			r.expect("an insert", "a[2]")
			r.exec("DELETE FROM a WHERE id = 2") // not beside the insert: both may come in one report
			r.expect("a delete", "a[2]")
			statements := []string{
				"ALTER TABLE a ALTER n TYPE numeric(9,3)", "ALTER TABLE a ALTER n TYPE text USING n::text || '!'", "ALTER TABLE a ALTER n TYPE numeric(8,2) USING 1",
				"ALTER TABLE a ALTER id TYPE bigint", "ALTER TABLE a ALTER id TYPE int", "ALTER TABLE a ALTER s TYPE varchar(10)", "ALTER TABLE a ALTER s TYPE text",
				"ALTER TABLE a RENAME s TO z", "ALTER TABLE a RENAME z TO s", "ALTER TABLE a ADD c int DEFAULT 7", "ALTER TABLE a DROP c",
			}
			if !way.dml {
				statements = append(statements, "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'", "ALTER TYPE mood RENAME VALUE 'fine' TO 'ok'", "ALTER DOMAIN small SET NOT NULL",
					"ALTER DOMAIN small DROP NOT NULL", "ALTER TABLE a ALTER s SET NOT NULL", "ALTER TABLE a ALTER s DROP NOT NULL", "ALTER TABLE a ALTER b DROP DEFAULT",
					"ALTER TABLE a ALTER b SET DEFAULT true", "ALTER TABLE a ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON a USING (id > 0)", "ALTER POLICY p ON a USING (id > 1)",
					"DROP POLICY p ON a", "ALTER TABLE a DISABLE ROW LEVEL SECURITY", "VACUUM FULL a")
			}
			for _, s := range statements {
				r.exec(s)
				want := "a*"
				if way.dml {
					r.exec("UPDATE a SET b = b")
				}
				r.sink.until(t, s, func() bool {
					return slices.ContainsFunc(r.sink.reports, func(c []driver.Change) bool { return describe(c) == want })
				})
				r.sink.take()
			}
			r.exec("UPDATE other SET id = id")
			r.expect("an update", "other[1]")
		})
	}
}

// The memory of a transaction is bounded.
func TestHugeTransactions(t *testing.T) {
	r := newRig(t, markerTable, "CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY)")
	r.watch(&Config{MaxKeys: 100}, marker, table("a", "id:int"), table("b", "id:int"))
	r.exec("INSERT INTO b SELECT generate_series(1, 3)")
	r.expect("a small transaction", "b[1 2 3]")
	r.exec("BEGIN; INSERT INTO a SELECT generate_series(1, 5000); INSERT INTO b VALUES (4); COMMIT")
	r.expect("a huge transaction", "a* b[4]")
}
