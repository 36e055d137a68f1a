package bunsource

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

func loaderSQLite(t testing.TB, params ...string) *bun.DB {
	t.Helper()
	params = append(params, "_pragma=busy_timeout(60000)", "_pragma=synchronous(OFF)")
	sqldb, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "test.db")+"?"+strings.Join(params, "&"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sqldb.Close() })
	return bun.NewDB(sqldb, sqlitedialect.New())
}

const walMode = "_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)"

func loaderPostgres(t testing.TB, clauses ...string) *bun.DB {
	t.Helper()
	sqldb, err := sql.Open("pgx", pgtest.Shared(t).CreateDatabase(t, clauses...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sqldb.Close() })
	return bun.NewDB(sqldb, pgdialect.New())
}

// eachDatabase runs a test on every database that a loader is promised to work
// with.
func eachDatabase(t *testing.T, test func(t *testing.T, db *bun.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, loaderSQLite(t, walMode)) })
	t.Run("postgres", func(t *testing.T) { test(t, loaderPostgres(t)) })
}

func mustExec(t testing.TB, db *bun.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// createTable makes the table of a model and fills it.
func createTable[T any](t testing.TB, db *bun.DB, rows ...T) {
	t.Helper()
	if _, err := db.NewCreateTable().Model((*T)(nil)).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(rows) > 0 {
		if _, err := db.NewInsert().Model(&rows).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func preparedLoader[T any](t testing.TB, db *bun.DB) *Loader[T] {
	t.Helper()
	l := NewLoader[T](db)
	if err := l.refine(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

func loadAll[T any](t testing.TB, l *Loader[T]) []*T {
	t.Helper()
	rows, err := l.Load(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// keyOf builds a row's key as the engine does, from the public methods.
func keyOf[T any](t testing.TB, l *Loader[T], row *T) driver.Key {
	t.Helper()
	s, err := l.Schema()
	if err != nil {
		t.Fatal(err)
	}
	vals := make([]any, len(s.Key))
	for i, k := range s.Key {
		vals[i] = l.Value(row, s.Column(k))
	}
	key, err := s.MakeKey(vals...)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
