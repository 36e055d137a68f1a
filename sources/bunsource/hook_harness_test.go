package bunsource

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/internal/wrapdriver"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

type hookItem struct {
	bun.BaseModel `bun:"table:items,alias:i"`

	ID        int64     `bun:",pk,autoincrement"`
	Name      string    `bun:",notnull"`
	Email     *string   `bun:",unique"`
	Price     int64     `bun:",notnull"`
	DeletedAt time.Time `bun:",soft_delete,nullzero"`
}

type hookPair struct {
	bun.BaseModel `bun:"table:Pairs"`

	A int64  `bun:",pk"`
	B string `bun:",pk"`
	N int64  `bun:",notnull"`
}

type hookPerson struct {
	bun.BaseModel `bun:"table:main.people,alias:p"`

	Code string `bun:",pk"`
	Age  int64  `bun:",notnull"`
}

// hookDB is a database under test: db is watched; plain is another handle of
// the same database, that is not.
type hookDB struct {
	db, plain *bun.DB
	source    *HookSource
	sink      *fakeSink
	wrapped   bool
	schemas   []driver.Schema
}

// hookDBs are the ways to watch a database. Each function opens two handles:
// one as a program opens it, and one that only reads.
func openHookDB(t testing.TB, d dialect.Name, wrapped bool, params ...string) (db, plain *bun.DB) {
	t.Helper()
	return openHookDBAs(t, d, wrapped, false, params...)
}

// openHookDBAs is openHookDB with a driver that may hide its row hooks, so that
// the hooks go by the text of statements.
func openHookDBAs(t testing.TB, d dialect.Name, wrapped, hidden bool, params ...string) (db, plain *bun.DB) {
	t.Helper()
	var driverName, dsn string
	newDB := func(sqldb *sql.DB) *bun.DB { return bun.NewDB(sqldb, pgdialect.New()) }
	if d == dialect.SQLite {
		driverName = "sqlite"
		params = append([]string{"_pragma=busy_timeout(60000)", walMode, "_txlock=immediate"}, params...)
		dsn = "file:" + filepath.Join(t.TempDir(), "hooks.db") + "?" + strings.Join(params, "&")
		newDB = func(sqldb *sql.DB) *bun.DB { return bun.NewDB(sqldb, sqlitedialect.New()) }
	} else {
		driverName, dsn = "pgx", pgtest.Shared(t).CreateDatabase(t)
	}
	open := func() *bun.DB {
		sqldb, err := sql.Open(driverName, dsn)
		if err != nil {
			t.Fatal(err)
		}
		return newDB(sqldb)
	}
	plain = open()
	if wrapped && hidden {
		db = OpenConnector(withoutRowHooks{wrapdriver.ByName{By: plain.Driver(), DSN: dsn}}, plain.Dialect())
	} else if wrapped {
		var err error
		if db, err = Open(driverName, dsn, plain.Dialect()); err != nil {
			t.Fatal(err)
		}
	} else {
		db = open()
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		plain.Close()
	})
	return db, plain
}

// withoutRowHooks is a connector whose connections offer no row hooks, as those
// of most drivers.
type withoutRowHooks struct{ wrapdriver.ByName }

func (c withoutRowHooks) Connect(ctx context.Context) (sqldriver.Conn, error) {
	made, err := c.ByName.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return struct{ usualConn }{made.(usualConn)}, nil
}

// usualConn is what drivers usually offer.
type usualConn interface {
	sqldriver.Conn
	sqldriver.ConnPrepareContext
	sqldriver.ExecerContext
	sqldriver.QueryerContext
	sqldriver.ConnBeginTx
	sqldriver.SessionResetter
	sqldriver.Validator
	sqldriver.Pinger
}

func newHookDB(t testing.TB, d dialect.Name, wrapped bool, cfg ...HooksConfig) *hookDB {
	t.Helper()
	db, plain := openHookDB(t, d, wrapped)
	return watchHookDB(t, db, plain, wrapped, cfg...)
}

// newTextDB is newHookDB for SQLite by the text of statements alone.
func newTextDB(t testing.TB, cfg ...HooksConfig) *hookDB {
	t.Helper()
	db, plain := openHookDBAs(t, dialect.SQLite, true, true)
	return watchHookDB(t, db, plain, true, cfg...)
}

func watchHookDB(t testing.TB, db, plain *bun.DB, wrapped bool, cfg ...HooksConfig) *hookDB {
	t.Helper()
	d := plain.Dialect().Name()
	h := &hookDB{db: db, plain: plain, wrapped: wrapped}
	if d == dialect.PG {
		mustExec(t, plain, `CREATE SCHEMA main`)
	}
	createTable[hookItem](t, plain)
	createTable[hookPair](t, plain)
	createTable[hookPerson](t, plain)
	mustExec(t, plain, `CREATE TABLE plain (id BIGINT PRIMARY KEY, n BIGINT)`)
	h.fill(t)
	h.schemas = append(h.schemas, hookSchema[hookItem](t, plain), hookSchema[hookPair](t, plain), hookSchema[hookPerson](t, plain))
	h.source = Hooks(db, cfg...)
	h.sink = newFakeSink(h.read, h.schemas...)
	startWatching(t, h.source, h.sink)
	return h
}

func hookSchema[T any](t testing.TB, db *bun.DB) driver.Schema {
	t.Helper()
	s, err := preparedLoader[T](t, db).Schema()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fill gives the tables the rows that every test begins with.
func (h *hookDB) fill(t testing.TB) {
	t.Helper()
	for _, table := range []string{"items", `"Pairs"`, "main.people"} {
		mustExec(t, h.plain, "DELETE FROM "+table)
	}
	var items []hookItem
	for i := range int64(10) {
		email := fmt.Sprintf("e%d@example.com", i)
		items = append(items, hookItem{ID: i + 1, Name: fmt.Sprintf("item %d", i), Email: &email, Price: i * 10})
	}
	var pairs []hookPair
	for i := range int64(6) {
		pairs = append(pairs, hookPair{A: i % 3, B: string(rune('x' + i/3)), N: i})
	}
	people := []hookPerson{{Code: "ann", Age: 30}, {Code: "bob's", Age: 40}, {Code: "Zoë", Age: 50}}
	for _, rows := range []any{&items, &pairs, &people} {
		if _, err := h.plain.NewInsert().Model(rows).Exec(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if h.plain.Dialect().Name() == dialect.PG {
		mustExec(t, h.plain, `SELECT setval('items_id_seq', 100)`)
	}
}

// read reads all tables, on a connection that has seen nothing of the test.
func (h *hookDB) read() state {
	out := state{}
	for i := range h.schemas {
		s := &h.schemas[i]
		out[s.Table] = map[driver.Key]string{}
		rows, err := h.plain.DB.Query(fmt.Sprintf(`SELECT * FROM %s`, sqlName(s.Table)))
		if err != nil {
			panic(fmt.Sprintf("reading %v: %v", s.Table, err))
		}
		names, err := rows.Columns()
		if err != nil {
			panic(err)
		}
		for rows.Next() {
			vals := make([]any, len(names))
			dest := make([]any, len(names))
			for i := range vals {
				dest[i] = &vals[i]
			}
			if err := rows.Scan(dest...); err != nil {
				panic(err)
			}
			var key []any
			for _, k := range s.Key {
				for i, name := range names {
					if name == k {
						key = append(key, vals[i])
					}
				}
			}
			k, err := s.MakeKey(key...)
			if err != nil {
				panic(err)
			}
			out[s.Table][k] = fmt.Sprint(vals)
		}
		if err := rows.Err(); err != nil {
			panic(fmt.Sprintf("reading %v: %v", s.Table, err))
		}
		rows.Close()
	}
	return out
}

func sqlName(t driver.Table) string {
	if t.Schema != "" {
		return `"` + t.Schema + `"."` + t.Name + `"`
	}
	return `"` + t.Name + `"`
}

// check runs writes and holds what was reported against what has changed.
// late allows reports to come after the writes have returned.
func (h *hookDB) check(t *testing.T, late bool, write func()) []fakeReport {
	t.Helper()
	before := h.read()
	h.sink.take()
	write()
	var reports []fakeReport
	deadline := time.Now().Add(60 * time.Second)
	for {
		reports = append(reports, h.sink.take()...)
		missing := unreported(before, h.read(), reports)
		if len(missing) == 0 {
			break
		}
		if !late || time.Now().After(deadline) {
			t.Errorf("changed, and not reported when it could be seen:\n\t%s\nreported:\n\t%v", strings.Join(missing, "\n\t"), changesOf(reports))
			break
		}
		time.Sleep(5 * time.Millisecond) // until the next of the late reports
	}
	if n := h.sink.announced(); n > 0 {
		t.Errorf("%d announcements are still open", n)
	}
	return reports
}

func changesOf(reports []fakeReport) (out []string) {
	for _, r := range reports {
		out = append(out, fmt.Sprint(r.changes))
	}
	return out
}

// reportedKeys returns how many keys were reported of one table, and whether
// anything was reported as a whole.
func reportedKeys(reports []fakeReport) (keys int, whole bool) {
	for _, r := range reports {
		for _, c := range r.changes {
			keys += len(c.Keys)
			whole = whole || c.Keys == nil
		}
	}
	return keys, whole
}

// eachHookDB runs a test on each database, with and without the wrapper, and
// on SQLite by its row hooks and by text.
func eachHookDB(t *testing.T, test func(t *testing.T, h *hookDB)) {
	t.Helper()
	t.Run("SQLite/text", func(t *testing.T) { test(t, newTextDB(t)) })
	for _, d := range []dialect.Name{dialect.SQLite, dialect.PG} {
		for _, wrapped := range []bool{true, false} {
			name := d.String() + "/hook"
			if wrapped {
				name = d.String() + "/wrapper"
			}
			t.Run(name, func(t *testing.T) { test(t, newHookDB(t, d, wrapped)) })
		}
	}
}

func must(t testing.TB, what any, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v: %v", reflect.TypeOf(what), err)
	}
}

// collectGarbage has the cleanups of what is garbage run.
func collectGarbage() { runtime.GC() }
