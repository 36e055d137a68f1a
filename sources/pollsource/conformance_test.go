package pollsource

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"

	"github.com/binderyhq/bindery/sources/sourcetest"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

func TestConformance(t *testing.T) {
	const interval = 10 * time.Millisecond
	run := func(name string, open func(t *testing.T) (driverName, dsn string, d schema.Dialect), check func(*bun.DB) Check, keys bool) {
		t.Run(name, func(t *testing.T) {
			open(t) // starts the server, if there is one, before goroutines are counted
			sourcetest.Run(t, func() (sourcetest.Harness, error) {
				driverName, dsn, d := open(t)
				watched, err := sql.Open(driverName, dsn)
				if err != nil {
					return nil, err
				}
				other, err := sql.Open(driverName, dsn)
				if err != nil {
					return nil, err
				}
				h := &sourcetest.SQL{
					Subject: New(interval, check(bun.NewDB(watched, d))), Watched: watched, Other: other, Schema: sourcetest.SQLSchema("", ""),
					Can: sourcetest.Abilities{Keys: keys, KeyChanges: true, Bulk: true, OtherProcesses: true},
				}
				return h, h.Create(context.Background())
			})
		})
	}
	sqlite := func(t *testing.T) (string, string, schema.Dialect) {
		return "sqlite", sqliteFile(t) + "&_txlock=immediate", sqlitedialect.New()
	}
	postgres := func(t *testing.T) (string, string, schema.Dialect) {
		return "pgx", pgtest.Shared(t).CreateDatabase(t), pgdialect.New()
	}
	run("every/sqlite", sqlite, func(*bun.DB) Check { return nil }, false)
	run("data version/sqlite", sqlite, DataVersion, true)
	run("every/postgres", postgres, func(*bun.DB) Check { return nil }, false)
	run("xmin/postgres", postgres, func(db *bun.DB) Check { return XMin(db, 0) }, true)
}
