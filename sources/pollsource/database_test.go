package pollsource

import (
	"context"
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

func sqliteFile(t testing.TB) string {
	t.Helper()
	return "file:" + filepath.Join(t.TempDir(), "test.db") + "?_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)"
}

func openSQLite(t testing.TB, dsn string) *bun.DB {
	t.Helper()
	return bun.NewDB(open(t, "sqlite", dsn), sqlitedialect.New())
}

func openPostgres(t testing.TB) *bun.DB {
	t.Helper()
	return bun.NewDB(open(t, "pgx", pgtest.Shared(t).CreateDatabase(t)), pgdialect.New())
}

func open(t testing.TB, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func eachDatabase(t *testing.T, test func(t *testing.T, db *bun.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, openSQLite(t, sqliteFile(t))) })
	t.Run("postgres", func(t *testing.T) { test(t, openPostgres(t)) })
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func exec(t testing.TB, db execer, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func begin(t testing.TB, db *bun.DB, statements ...string) *sql.Tx {
	t.Helper()
	tx, err := db.DB.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	exec(t, tx, statements...)
	return tx
}

func commit(t testing.TB, tx *sql.Tx) {
	t.Helper()
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// items is the schema of most tables here.
func items(name string) driver.Schema {
	return driver.Schema{
		Table: driver.Table{Name: name}, Key: []string{"id"},
		Columns: []driver.Column{{Name: "id", Kind: value.KindInt}},
	}
}

// looker drives a watcher, look by look.
type looker struct {
	watcher
	t testing.TB
}

func watch(t testing.TB, c Check, schema driver.Schema) looker {
	t.Helper()
	if err := c.validate(); err != nil {
		t.Fatal(err)
	}
	l := looker{c.watch(schema), t}
	t.Cleanup(func() {
		if err := l.close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func (l looker) next() finding {
	l.t.Helper()
	f, err := l.look(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	return f
}

// wants checks what the next look finds: keys of ints; "*" is the whole table.
func (l looker) wants(keys ...any) {
	l.t.Helper()
	f := l.next()
	whole := len(keys) == 1 && keys[0] == "*"
	if f.whole != whole {
		l.t.Errorf("whole table: %v, want %v", f.whole, whole)
	}
	if whole || f.whole {
		return
	}
	wanted := []driver.Key{}
	for _, k := range keys {
		wanted = append(wanted, driver.KeyOf(k))
	}
	got := append([]driver.Key{}, f.keys...)
	slices.Sort(got)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		l.t.Errorf("found %v, want %v", got, wanted)
	}
}

// wantsQuiet checks that the next look finds nothing.
func (l looker) wantsQuiet() {
	l.t.Helper()
	if f := l.next(); f.whole || len(f.keys) > 0 || f.changed {
		l.t.Errorf("found %+v, want nothing", f)
	}
}

func wantErr(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one that says %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("the error does not say %q: %v", p, err)
		}
	}
}

// clock is set by the test.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Unix(1_000_000, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}
