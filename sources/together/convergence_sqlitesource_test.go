package together_test

import (
	"testing"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/sqlitesource"
)

// addSQLiteNode adds a node that watches by SQLite's own hooks, and with more
// sources if there are any.
func (a *arena) addSQLiteNode(cfg sqlitesource.Config, more func(*bun.DB) []driver.Source) *node {
	a.t.Helper()
	source, err := sqlitesource.New(a.dsn, cfg)
	must(a.t, err)
	return a.addNode(a.openConnector(source.Connector()), func(db *bun.DB) []driver.Source { return append(more(db), source) })
}

func nothingElse(*bun.DB) []driver.Source { return nil }

func TestConvergenceSQLiteSource(t *testing.T) {
	t.Parallel() // mostly it waits
	t.Run("alone", func(t *testing.T) {
		a := newSQLiteArena(t, "WAL", "50")
		a.writeInProcess(a.addSQLiteNode(sqlitesource.Config{Interval: -1}, nothingElse))
		a.run()
	})
	t.Run("alone, others write", func(t *testing.T) {
		a := newSQLiteArena(t, "DELETE", "50")
		a.writeInProcess(a.addSQLiteNode(sqlitesource.Config{Interval: often, Audit: 5 * often}, nothingElse))
		a.writeOutside()
		a.run()
	})
	t.Run("two nodes, beneath hooks, others write", func(t *testing.T) {
		a := newSQLiteArena(t, "WAL", "50")
		for range 2 {
			a.writeInProcess(a.addSQLiteNode(sqlitesource.Config{Interval: often, Audit: 5 * often}, hooksAlone))
		}
		a.writeOutside()
		a.run()
	})
}
