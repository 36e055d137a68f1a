package together_test

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pollsource"
	"github.com/binderyhq/bindery/sources/sqlitesource"
)

// TestMarksOfSQLite: a node's own marks hold for its writes and for those of other
// processes, which are found because SQLite is asked. Other nodes do not understand
// them, though they are on the same file: no log position backs them.
func TestMarksOfSQLite(t *testing.T) {
	dsn := sqliteDSN(t)
	hooked, plain := openBoth(t, "sqlite", dsn)
	createCounters(t, plain)
	a := openMarkNode(t, hooked, nil, bunsource.Hooks(hooked), pollsource.New(time.Hour, pollsource.DataVersion(hooked)))
	b := openMarkNode(t, plain, nil, pollsource.New(time.Hour, pollsource.DataVersion(plain)))
	t.Run("hooks and data_version", func(t *testing.T) { neverAWrongYes(t, []*bun.DB{hooked, plain}, a) })
	t.Run("data_version", func(t *testing.T) { neverAWrongYes(t, []*bun.DB{hooked, plain}, b) })
	t.Run("SQLite's own hooks", func(t *testing.T) {
		source, err := sqlitesource.New(dsn, sqlitesource.Config{Interval: time.Hour})
		must(t, err)
		sqldb := sql.OpenDB(source.Connector())
		t.Cleanup(func() { must(t, sqldb.Close()) })
		db := bun.NewDB(sqldb, sqlitedialect.New())
		neverAWrongYes(t, []*bun.DB{db, plain}, openMarkNode(t, db, nil, source))
	})
	mark := a.mark(t)
	if err := b.reg.Reach(t.Context(), mark); !errors.Is(err, core.ErrForeignMark) {
		t.Errorf("another node: %v", err)
	}
}
