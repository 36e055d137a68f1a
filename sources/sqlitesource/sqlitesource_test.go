package sqlitesource_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/sqlitesource"
)

var shop = []string{
	`CREATE TABLE items (id INTEGER PRIMARY KEY, code TEXT UNIQUE, n INT)`,
	`CREATE TABLE pairs (n INT, b TEXT, a INT, PRIMARY KEY (a, b)) WITHOUT ROWID`,
	`CREATE TABLE parents (id INTEGER PRIMARY KEY)`,
	`CREATE TABLE children (id INTEGER PRIMARY KEY, parent REFERENCES parents ON DELETE CASCADE)`,
	`CREATE TABLE late (v INT, len GENERATED ALWAYS AS (length(k)) VIRTUAL, k TEXT PRIMARY KEY)`,
	`CREATE TABLE bits (k BLOB PRIMARY KEY, v REAL)`,
	`CREATE TRIGGER copies AFTER INSERT ON parents BEGIN INSERT INTO children VALUES (new.id * 10, new.id); END`,
	`INSERT INTO items VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)`,
	`INSERT INTO pairs VALUES (1, 'x', 1), (2, 'y', 2)`,
	`INSERT INTO late (v, k) VALUES (1, 'k')`,
}

func shopSchemas() []driver.Schema {
	return []driver.Schema{
		schemaOf("items", "id"), schemaOf("pairs", "a", "b text"), schemaOf("parents", "id"),
		schemaOf("children", "id"), schemaOf("late", "k text"), schemaOf("bits", "k blob"),
	}
}

func TestKeysAreExact(t *testing.T) {
	r := newRig(t, quiet, shop, shopSchemas()...)
	for _, c := range []struct{ statement, want string }{
		{`INSERT INTO items VALUES (4, 'd', 4), (5, 'e', 5)`, "items(4;5)"},
		{`UPDATE items SET n = n + 1 WHERE n > 3`, "items(4;5)"},
		{`UPDATE items SET id = 7 WHERE id = 5`, "items(5;7)"},
		{`DELETE FROM items WHERE code = 'd'`, "items(4)"},
		{`DELETE FROM items WHERE id = 99`, ""},
		{`REPLACE INTO items VALUES (8, 'a', 0)`, "items(1;8)"}, // displaces the row of another key
		{`UPDATE OR REPLACE items SET code = 'b' WHERE id = 3`, "items(2;3)"},
		{`INSERT INTO items VALUES (8, 'q', 1) ON CONFLICT DO NOTHING`, ""},
		{`INSERT INTO items VALUES (8, 'q', 1) ON CONFLICT (id) DO UPDATE SET n = 5`, "items(8)"},
		{`DELETE FROM items`, "items(3;7;8)"},
		{`UPDATE pairs SET a = 9 WHERE b = 'x'`, "pairs(1,x;9,x)"},
		{`REPLACE INTO pairs VALUES (5, 'y', 2)`, "pairs(2,y)"},
		{`DELETE FROM pairs`, "pairs(2,y;9,x)"},
		{`INSERT INTO parents VALUES (5)`, "children(50) parents(5)"},
		{`DELETE FROM parents`, "children(50) parents(5)"},
		{`UPDATE late SET k = 'ö,' || k`, "late(%C3%B6%2Ck;k)"},
		{`INSERT INTO bits VALUES (x'00ff', 1)`, "bits(00ff)"},
		{`BEGIN; INSERT INTO items VALUES (1, 'x', 1); INSERT INTO pairs VALUES (1, 'x', 1); COMMIT`, "items(1) pairs(1,x)"},
		{`INSERT INTO items VALUES (2, 'y', 1); INSERT INTO items VALUES (3, 'z', 1)`, "items(2) items(3)"},
		{`BEGIN; INSERT INTO items VALUES (4, 'w', 1); ROLLBACK`, ""},
		{`SAVEPOINT a; DELETE FROM items WHERE id = 1; SAVEPOINT b; DELETE FROM items WHERE id = 2; ROLLBACK TO b; RELEASE a`, "items(1;2)"},
		{`SELECT * FROM items`, ""},
		{`BEGIN IMMEDIATE; COMMIT`, ""},
		// Several statements that also change the schema may end within a transaction, where
		// it cannot be compared: each commit reports everything.
		{`CREATE TEMP TABLE items (id); INSERT INTO temp.items VALUES (1); DROP TABLE temp.items`, "* *"},
	} {
		t.Run(c.statement, func(t *testing.T) {
			r.t = t
			if got := r.reported(func() { r.exec(c.statement) }); got != c.want {
				t.Errorf("reported %q, want %q", got, c.want)
			}
		})
	}
}

func TestEveryWayToRunAStatement(t *testing.T) {
	r := newRig(t, quiet, shop, shopSchemas()...)
	ctx := t.Context()
	is := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	scan := func(q interface {
		QueryRowContext(context.Context, string, ...any) *sql.Row
	}, text string,
	) {
		t.Helper()
		var id int
		is(q.QueryRowContext(ctx, text).Scan(&id))
	}
	conn, err := r.db.Conn(ctx)
	is(err)
	defer conn.Close()
	prepared, err := r.db.PrepareContext(ctx, `UPDATE items SET n = ? WHERE id = ? RETURNING id`)
	is(err)
	defer prepared.Close()
	for _, c := range []struct {
		name  string
		want  string
		write func()
	}{
		{"QueryRow", "items(20)", func() { scan(r.db, `INSERT INTO items VALUES (20, 'aa', 1) RETURNING id`) }},
		{"Conn", "items(21)", func() { scan(conn, `INSERT INTO items VALUES (21, 'bb', 1) RETURNING id`) }},
		{"prepared", "items(1)", func() { _, err := prepared.Exec(5, 1); is(err) }},
		{"prepared query", "items(1)", func() { var id int; is(prepared.QueryRow(6, 1).Scan(&id)) }},
		{"rows half read", "items(1;2;3)", func() {
			rows, err := r.db.QueryContext(ctx, `UPDATE items SET n = 9 WHERE id < 4 RETURNING id`)
			is(err)
			rows.Next()
			is(rows.Close())
		}},
		{"rows read", "items(1;2;3)", func() {
			rows, err := r.db.QueryContext(ctx, `UPDATE items SET n = 8 WHERE id < 4 RETURNING id`)
			is(err)
			for rows.Next() {
			}
			is(rows.Err())
		}},
		{"Tx", "items(1;30)", func() {
			tx, err := r.db.BeginTx(ctx, nil)
			is(err)
			scan(tx, `INSERT INTO items VALUES (30, 'cc', 1) RETURNING id`)
			r.execOn(tx, `DELETE FROM items WHERE id = 1`)
			if rec := r.sink.Record(); rec.Covers(driver.Table{Name: "items"}, driver.KeyOf(30)) {
				t.Error("reported before the commit")
			}
			is(tx.Commit())
		}},
		{"Tx rolled back", "", func() {
			tx, err := r.db.BeginTx(ctx, nil)
			is(err)
			r.execOn(tx, `DELETE FROM items`)
			is(tx.Rollback())
		}},
		{"Tx cancelled", "", func() {
			ctx, cancel := context.WithCancel(ctx)
			tx, err := r.db.BeginTx(ctx, nil)
			is(err)
			r.execOn(tx, `DELETE FROM items`)
			cancel()
			if err := tx.Commit(); err == nil {
				t.Error("committed")
			}
			is(r.db.PingContext(t.Context()))
		}},
		{"raw", "* items(40)", func() {
			is(conn.Raw(func(c any) error {
				if sqlitesource.Unwrap(c) == c {
					t.Error("not unwrapped")
				}
				_, err := sqlitesource.Unwrap(c).(sqldriver.ExecerContext).ExecContext(ctx, `INSERT INTO items VALUES (40, 'dd', 1)`, nil)
				return err
			}))
			is(conn.Close())
			conn, err = r.db.Conn(ctx)
			is(err)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.t = t
			if got := r.reported(c.write); got != c.want {
				t.Errorf("reported %q, want %q", got, c.want)
			}
		})
	}
}

func TestAnnouncedBeforeVisible(t *testing.T) {
	r := newRig(t, quiet, shop, shopSchemas()...)
	var announced int
	count := func() (n int) {
		if err := r.plain.QueryRow(`SELECT count(*) FROM items`).Scan(&n); err != nil {
			t.Error(err)
		}
		return n
	}
	s := &announceSink{Sink: r.sink, on: func() { announced = count() }}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.source.Watch(ctx, s) }()
	r.await("watching twice", func(rec *coretest.Record) bool { return rec.Watching == 2 })
	r.exec(`DELETE FROM items WHERE id < 3`)
	if announced != 3 || count() != 1 {
		t.Errorf("when it was announced %d rows were visible, want 3; and then %d, want 1", announced, count())
	}
	before := r.sink.Record().Announced
	r.exec(`UPDATE items SET n = 0 WHERE id = 3`)
	if r.sink.Record().Announced != before {
		t.Error("a single row was announced")
	}
	r.check()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type announceSink struct {
	*coretest.Sink
	on func()
}

func (s *announceSink) Announce(c ...driver.Change) driver.Announcement {
	s.on()
	return s.Sink.Announce(c...)
}

// TestCommitThatFails has a COMMIT refused, which leaves the transaction open
// to be committed later.
func TestCommitThatFails(t *testing.T) {
	r := newRig(t, quiet, shop, shopSchemas()...)
	ctx := t.Context()
	conn, err := r.db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// Deferred constraints are checked at the commit.
	r.execOn(conn, `BEGIN`, `PRAGMA defer_foreign_keys = 1`, `INSERT INTO children VALUES (1, 77)`)
	if _, err := conn.ExecContext(ctx, `COMMIT`); err == nil {
		t.Fatal("the commit did not fail")
	}
	r.check()
	if got := r.reported(func() { r.execOn(conn, `INSERT INTO parents VALUES (77)`, `COMMIT`) }); got != "children(1;770) parents(77)" {
		t.Errorf("reported %q", got)
	}
}

func TestSchemaChangesReportEverything(t *testing.T) {
	r := newRig(t, quiet, shop, shopSchemas()...)
	r.wants("*", `ALTER TABLE items ADD COLUMN extra DEFAULT 5`)
	r.wants("items(1)", `UPDATE items SET extra = 6 WHERE id = 1`)
	// The key moves to another place, by another process.
	r.execOn(r.plain, `CREATE TABLE new (n, k TEXT, v, len, PRIMARY KEY (k))`, `INSERT INTO new SELECT 1, k, v, 0 FROM late`,
		`DROP TABLE late`, `ALTER TABLE new RENAME TO late`)
	r.follow([]driver.Change{{}})
	r.wants("*", `UPDATE late SET v = 7`)
	r.wants("late(k)", `UPDATE late SET v = 8`)
	r.execOn(r.plain, `ALTER TABLE late DROP COLUMN n`)
	r.follow([]driver.Change{{}})
	if got := r.reported(func() { r.exec(`UPDATE late SET v = 9`) }); !strings.Contains(got, "*") {
		t.Errorf("reported %q", got)
	}
	r.wants("late(k)", `UPDATE late SET v = 10`)
	r.wants("* *", `CREATE TABLE more (id); UPDATE late SET v = 11`)
}

func TestViewsAndVirtualTablesAreReportedWhole(t *testing.T) {
	setup := append(shop, `CREATE VIEW cheap AS SELECT id FROM items WHERE n < 2`, `CREATE VIRTUAL TABLE words USING fts5(id, w)`)
	r := newRig(t, quiet, setup, schemaOf("cheap", "id"), schemaOf("words", "id"), schemaOf("items", "id"))
	r.wants("cheap items(1) words", `UPDATE items SET n = 5 WHERE id = 1`)
	r.wants("cheap words", `INSERT INTO words VALUES (1, 'hello')`)
	r.wants("cheap words", `DELETE FROM pairs`)
}

func TestAttachedDatabases(t *testing.T) {
	other := schemaOf("x", "id")
	other.Table.Schema = "other"
	r := newRig(t, quiet, shop, schemaOf("items", "id"))
	r.sink.Schemas = append(r.sink.Schemas, other)
	r.db.SetMaxOpenConns(1)
	file := strings.TrimSuffix(strings.TrimPrefix(r.dsn, "file:"), r.dsn[strings.Index(r.dsn, "?"):]) + "2"
	r.exec(`ATTACH '`+file+`' AS other`, `CREATE TABLE other.x (id INTEGER PRIMARY KEY)`)
	if got := r.reported(func() { r.exec(`INSERT INTO x VALUES (1)`) }); got != "other.x(1)" && got != "*" {
		t.Errorf("reported %q", got)
	}
	r.wants("items(4) other.x(2)", `BEGIN; INSERT INTO x VALUES (2); INSERT INTO items VALUES (4, 'd', 1); COMMIT`)
	r.wants("", `DETACH other`)
	r.wants("items(4)", `DELETE FROM items WHERE id = 4`)
}

func TestWatchedInTheMiddleOfATransaction(t *testing.T) {
	r := newRig(t, quiet, shop, shopSchemas()...)
	src, err := sqlitesource.New(r.dsn, quiet)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(src.Connector())
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	r.execOn(tx, `UPDATE items SET n = 50`)
	r.source = src
	r.watch()
	r.await("watching", func(rec *coretest.Record) bool { return rec.Watching == 2 })
	if got := r.reported(func() {
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}); got != "*" {
		t.Errorf("reported %q, want everything", got)
	}
}

func TestBoundInTheMiddleOfATransaction(t *testing.T) {
	r := newRig(t, quiet, append(shop, `CREATE VIEW cheap AS SELECT id FROM items WHERE n < 2`), schemaOf("pairs", "a", "b text"))
	tx, err := r.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	r.execOn(tx, `UPDATE items SET n = 50 WHERE id = 1`)
	r.source.Watch(canceled(), &coretest.Sink{}) // what comes or goes has the tables asked for anew
	r.sink.Schemas = append(r.sink.Schemas, schemaOf("items", "id"), schemaOf("cheap", "id"))
	if got := r.reported(func() {
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}); got != "cheap items" {
		t.Errorf("reported %q", got)
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestHugeTransactionIsReportedWhole(t *testing.T) {
	r := newRig(t, quiet, shop, schemaOf("items", "id"))
	r.wants("items", `WITH RECURSIVE c(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM c WHERE i < 70000) INSERT INTO items SELECT i, NULL, 1 FROM c`)
}

func TestKeysThatDoNotConvert(t *testing.T) {
	r := newRig(t, quiet, []string{`CREATE TABLE loose (id TEXT PRIMARY KEY, len GENERATED ALWAYS AS (length(id)) STORED)`}, schemaOf("loose", "id text"))
	whole := schemaOf("loose", "id")
	r.sink.Schemas = []driver.Schema{whole}
	r.source.Watch(canceled(), &coretest.Sink{})
	r.wants("loose", `INSERT INTO loose (id) VALUES ('no number')`)
}

func TestOtherProcesses(t *testing.T) {
	r := newRig(t, sqlitesource.Config{Interval: timeout / 4000, Audit: timeout / 400}, shop, shopSchemas()...)
	caughtUp := func(rec *coretest.Record) bool { return r.behind() == "" }
	for range 5 {
		r.execOn(r.plain, `UPDATE items SET n = n + 1`)
		r.await("what another process wrote", caughtUp)
		r.exec(`UPDATE items SET n = n + 1 WHERE id = 1`)
		r.execOn(r.plain, `UPDATE items SET n = n + 1`)
		r.exec(`UPDATE items SET n = n + 1 WHERE id = 2`)
		r.await("what another process wrote beside this one", caughtUp)
	}
}

// TestOthersCommitsHaveALog: what another process has written is told by the write-ahead
// log, and own commits, with which SQLite may begin the log anew, do not matter.
func TestOthersCommitsHaveALog(t *testing.T) {
	r := newRig(t, sqlitesource.Config{Interval: time.Hour}, shop, shopSchemas()...)
	items := r.schemas[0]
	at := driver.Position("")
	for step := range 3 {
		r.exec("PRAGMA wal_checkpoint(TRUNCATE)", "INSERT INTO items (n) VALUES (-1)")
		r.execOn(r.plain, "UPDATE items SET n = n + 1 WHERE id = 2")
		var log driver.ChangeLog
		r.await("what another process wrote", func(rec *coretest.Record) bool {
			compared := 0
			for _, c := range rec.Changes {
				if c.Compare {
					compared++
					log = c.Log
				}
			}
			return compared > step
		})
		if log == nil {
			t.Fatal("there is no log")
		}
		told, err := log.Changed(t.Context(), []driver.Table{items.Table}, at)
		if err != nil {
			t.Fatal(err)
		}
		key, err := items.MakeKey(2)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(told[items.Table], key) || len(told) != 1 { // and perhaps what was inserted
			t.Errorf("told %v", told)
		}
		if at, err = log.Position(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOwnWritesAreNotTakenForOthers holds the audit off and looks often.
func TestOwnWritesAreNotTakenForOthers(t *testing.T) {
	r := newRig(t, sqlitesource.Config{Interval: timeout / 20000, Audit: -1}, shop, shopSchemas()...)
	for range 300 {
		r.exec(`UPDATE items SET n = n + 1 WHERE id = 1`)
	}
	r.check()
	for _, c := range r.sink.Record().Changes {
		if c.Keys == nil {
			t.Fatalf("own writes were reported as %v", c)
		}
	}
}

func TestConfiguration(t *testing.T) {
	if _, err := sqlitesource.New("file:x?%zz"); err == nil || !strings.HasPrefix(err.Error(), "sqlitesource: ") {
		t.Errorf("error %v", err)
	}
	src, err := sqlitesource.New(":memory:", sqlitesource.Config{WaitTimeout: -1, Database: "d"})
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Watch(t.Context(), &coretest.Sink{}); !driver.IsPermanent(err) {
		t.Errorf("error %v", err)
	}
	if src.Scope().Covers(driver.Table{Name: "x"}) || !src.Scope().Covers(driver.Table{Name: "x", Database: "d"}) {
		t.Error("covers another database")
	}
	missing, err := sqlitesource.New("file:" + t.TempDir() + "/no/such/dir.db")
	if err != nil {
		t.Fatal(err)
	}
	if err := missing.Watch(t.Context(), &coretest.Sink{}); err == nil || driver.IsPermanent(err) {
		t.Errorf("error %v", err)
	}
}
