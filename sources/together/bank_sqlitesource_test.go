package together_test

import (
	"database/sql"
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/sqlitesource"
)

// TestBankWithSQLiteSource is the bank with SQLite's own hooks, alone and
// beneath those of Bun.
func TestBankWithSQLiteSource(t *testing.T) {
	for name, async := range map[string]bool{"waiting": false, "async": true} {
		t.Run(name, func(t *testing.T) {
			dsn := sqliteDSN(t)
			plain := openPlain(t, "sqlite", dsn)
			createBank(t, plain)
			source, err := sqlitesource.New(dsn, sqlitesource.Config{Async: async})
			must(t, err)
			sqldb := sql.OpenDB(source.Connector())
			t.Cleanup(func() { must(t, sqldb.Close()) })
			db := bun.NewDB(sqldb, sqlitedialect.New())
			b := openBank(t, db, source)
			workDay(t, db)
			b.close(t, plain)
		})
	}
	t.Run("beneath hooks", func(t *testing.T) {
		dsn := sqliteDSN(t)
		plain := openPlain(t, "sqlite", dsn)
		createBank(t, plain)
		source, err := sqlitesource.New(dsn)
		must(t, err)
		db := bunsource.OpenConnector(source.Connector(), sqlitedialect.New())
		t.Cleanup(func() { must(t, db.Close()) })
		b := openBank(t, db, bunsource.Hooks(db), source)
		workDay(t, db)
		b.close(t, plain)
	})
}
