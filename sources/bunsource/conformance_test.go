package bunsource

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"

	"github.com/binderyhq/bindery/sources/sourcetest"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// TestConformance is not parallel: the suite looks for goroutines that are left in
// the process.
func TestConformance(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		sourcetest.Run(t, func() (sourcetest.Harness, error) {
			dsn := "file:" + filepath.Join(t.TempDir(), "test.db") + "?_pragma=busy_timeout(60000)&_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)"
			return newConformance("sqlite", dsn, sqlitedialect.New())
		})
	})
	t.Run("postgres", func(t *testing.T) {
		server := pgtest.Shared(t)
		sourcetest.Run(t, func() (sourcetest.Harness, error) {
			return newConformance("pgx", server.CreateDatabase(t), pgdialect.New())
		})
	})
}

func newConformance(driverName, dsn string, d schema.Dialect) (sourcetest.Harness, error) {
	db, err := Open(driverName, dsn, d)
	if err != nil {
		return nil, err
	}
	other, err := sql.Open(driverName, dsn)
	if err != nil {
		return nil, err
	}
	h := &sourcetest.SQL{
		Subject: Hooks(db), Watched: db.DB, Other: other, Schema: sourcetest.SQLSchema("", ""),
		Can: sourcetest.Abilities{Keys: true, KeyChanges: true, Bulk: true, WholeTransactions: true},
	}
	return h, h.Create(context.Background())
}
