package sqlitesource_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/binderyhq/bindery/sources/sourcetest"
	"github.com/binderyhq/bindery/sources/sqlitesource"
)

func TestConformance(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE"} {
		t.Run(mode, func(t *testing.T) {
			sourcetest.Run(t, func() (sourcetest.Harness, error) { return newHarness(t.TempDir(), mode) })
		})
	}
}

func newHarness(dir, mode string) (sourcetest.Harness, error) {
	dsn := "file:" + filepath.Join(dir, "test.db") + "?_pragma=busy_timeout(60000)&_txlock=immediate&_pragma=synchronous(OFF)&_pragma=journal_mode(" + mode + ")"
	src, err := sqlitesource.New(dsn, sqlitesource.Config{Interval: 10 * time.Millisecond, Audit: 100 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	other, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	h := &sourcetest.SQL{
		Subject: src, Watched: sql.OpenDB(src.Connector()), Other: other, Schema: sourcetest.SQLSchema("", ""),
		Can: sourcetest.Abilities{Keys: true, KeyChanges: true, Bulk: true, OtherProcesses: true, WholeTransactions: true},
	}
	return h, h.Create(context.Background())
}
