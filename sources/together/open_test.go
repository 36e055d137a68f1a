// Package together_test holds sources, bindings and databases to what they promise
// together: every version is a state of the database (the bank), and in the end
// all bindings show what the database holds (convergence), whatever is written
// and whatever breaks.
package together_test

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
	dialectOf   = buntest.DialectOf
	eventually  = buntest.Eventually
	within      = buntest.Within

	opener = buntest.Opener(func(driverName, dsn string, d schema.Dialect) (*bun.DB, error) {
		return bunsource.Open(driverName, dsn, d)
	})
	openSQLite   = opener.SQLite
	openPostgres = opener.Postgres
	openBoth     = opener.Both
	isSQLite     = buntest.IsSQLite
)
