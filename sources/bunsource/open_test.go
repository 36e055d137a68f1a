package bunsource_test

import (
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/sourcetest/buntest"
)

const patience = buntest.Patience

var (
	must        = buntest.Must
	shutdown    = buntest.Shutdown
	sqliteDSN   = buntest.SQLiteDSN
	postgresDSN = buntest.PostgresDSN
	openPlain   = buntest.OpenPlain
	dialectOf   = buntest.DialectOf
)

// openSQLite returns two handles of one new database: one whose commits are
// seen, and one that knows nothing of Bindery.
func openSQLite(t testing.TB) (db, plain *bun.DB) {
	t.Helper()
	return openBoth(t, "sqlite", sqliteDSN(t))
}

// openPostgres is openSQLite for Postgres.
func openPostgres(t testing.TB) (db, plain *bun.DB) {
	t.Helper()
	return openBoth(t, "pgx", postgresDSN(t))
}

// openBoth is openSQLite for any database.
func openBoth(t testing.TB, driverName, dsn string) (db, plain *bun.DB) {
	t.Helper()
	db, err := bunsource.Open(driverName, dsn, dialectOf(driverName))
	must(t, err)
	db.SetMaxOpenConns(10)
	plain = openPlain(t, driverName, dsn)
	t.Cleanup(func() { must(t, db.Close()) })
	return db, plain
}

func isSQLite(db *bun.DB) bool { return db.Dialect().Name() == dialect.SQLite }
