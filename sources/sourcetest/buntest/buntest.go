package buntest

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// Patience is how long tests wait for what is certain to come.
const Patience = 60 * time.Second

// Long reports whether tests may take their time: the environment variable
// BINDERY_LONG_TESTS is set.
func Long() bool { return os.Getenv("BINDERY_LONG_TESTS") != "" }

// Must ends the test with an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Shutdown shuts a registry down, which must succeed.
func Shutdown(t testing.TB, reg *core.Registry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := reg.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// Eventually waits until check returns nil, for [Patience] at most.
func Eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	Within(t, Patience, what, check)
}

// Within waits until check returns nil, or ends the test.
func Within(t testing.TB, limit time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		time.Sleep(2 * time.Millisecond) // between two looks
	}
}

// SQLiteDSN names a new database file for the driver "sqlite".
func SQLiteDSN(t testing.TB) string {
	t.Helper()
	return "file:" + filepath.Join(t.TempDir(), "test.db") +
		"?_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_txlock=immediate"
}

// PostgresDSN makes a database for the driver "pgx", in which writers that lock
// each other out are soon told so.
func PostgresDSN(t testing.TB) string {
	t.Helper()
	return pgtest.Shared(t).CreateDatabase(t) + "&deadlock_timeout=20ms"
}

// OpenPlain opens a handle of a database that knows nothing of Bindery.
func OpenPlain(t testing.TB, driverName, dsn string) *bun.DB {
	t.Helper()
	sqldb, err := sql.Open(driverName, dsn)
	Must(t, err)
	t.Cleanup(func() { Must(t, sqldb.Close()) })
	return bun.NewDB(sqldb, DialectOf(driverName))
}

// DialectOf returns the dialect of the drivers "sqlite" and "pgx".
func DialectOf(driverName string) schema.Dialect {
	if driverName == "sqlite" {
		return sqlitedialect.New()
	}
	return pgdialect.New()
}
