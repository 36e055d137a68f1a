package bunsource_test

import (
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

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

	opener = buntest.Opener(func(driverName, dsn string, d schema.Dialect) (*bun.DB, error) {
		return bunsource.Open(driverName, dsn, d)
	})
	openSQLite   = opener.SQLite
	openPostgres = opener.Postgres
	openBoth     = opener.Both
	isSQLite     = buntest.IsSQLite
)
