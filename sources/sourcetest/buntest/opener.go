package buntest

import (
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/schema"
)

// Opener opens a handle of a database whose commits are seen, as bunsource.Open
// does. It is a parameter, since bunsource's own tests use this package.
type Opener func(driverName, dsn string, d schema.Dialect) (*bun.DB, error)

// SQLite returns two handles of one new database: one whose commits are seen, and
// one that knows nothing of Bindery.
func (open Opener) SQLite(t testing.TB) (db, plain *bun.DB) {
	t.Helper()
	return open.Both(t, "sqlite", SQLiteDSN(t))
}

// Postgres is SQLite for a new database of Postgres's.
func (open Opener) Postgres(t testing.TB) (db, plain *bun.DB) {
	t.Helper()
	return open.Both(t, "pgx", PostgresDSN(t))
}

// Both is SQLite for a database that exists.
func (open Opener) Both(t testing.TB, driverName, dsn string) (db, plain *bun.DB) {
	t.Helper()
	db, err := open(driverName, dsn, DialectOf(driverName))
	Must(t, err)
	db.SetMaxOpenConns(10)
	plain = OpenPlain(t, driverName, dsn)
	t.Cleanup(func() { Must(t, db.Close()) })
	return db, plain
}

// IsSQLite reports whether the handle is one of SQLite.
func IsSQLite(db *bun.DB) bool { return db.Dialect().Name() == dialect.SQLite }
