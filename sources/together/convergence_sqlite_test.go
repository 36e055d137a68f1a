package together_test

import (
	sqldriver "database/sql/driver"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pollsource"
)

// newSQLiteArena makes a database file, in a mode of journal. Whoever finds it
// locked waits for busy and then fails.
func newSQLiteArena(t *testing.T, journal, busy string) *arena {
	t.Helper()
	dsn := "file:" + filepath.Join(t.TempDir(), "test.db") + "?_pragma=busy_timeout(" + busy + ")&_pragma=journal_mode(" + journal +
		")&_pragma=synchronous(OFF)&_txlock=immediate"
	a := newArena(t, "sqlite", dsn, errors.New("database or disk is full (13)"))
	locked := func(begin string) func() {
		return func() {
			conn, err := a.plain.DB.Conn(t.Context())
			if err != nil {
				return // others were faster: opening a connection takes a lock, too
			}
			defer conn.Close()
			if _, err := conn.ExecContext(t.Context(), begin); err != nil {
				return // others were faster
			}
			a.pause(300)
			_, err = conn.ExecContext(t.Context(), "ROLLBACK")
			must(t, err)
		}
	}
	run := func(statement string) func() {
		return func() { _, _ = a.plain.DB.ExecContext(t.Context(), statement) } // it may find the database locked
	}
	a.faults = append(a.faults,
		fault{"the database is locked for writing", locked("BEGIN IMMEDIATE")},
		fault{"the database is locked altogether", locked("BEGIN EXCLUSIVE")}, // in WAL mode readers do not mind
		fault{"the file is rewritten", run("VACUUM")},
		fault{"the log is emptied", run("PRAGMA wal_checkpoint(TRUNCATE)")},
	)
	return a
}

// openNode opens a handle of the database whose commits are seen.
func (a *arena) openNode(dsn string) *bun.DB {
	a.t.Helper()
	return a.openConnector(connectorOf(a.t, a.driver, dsn))
}

// openConnector opens a handle whose reads fail when those of the arena do.
func (a *arena) openConnector(c sqldriver.Connector) *bun.DB {
	a.t.Helper()
	db := bunsource.OpenConnector(&brittleConnector{Connector: c, disk: &a.disk}, dialectOf(a.driver))
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	a.t.Cleanup(func() { must(a.t, db.Close()) })
	return db
}

// writeInProcess lets writers write through the handle of a node, with Bun and
// without.
func (a *arena) writeInProcess(n *node) {
	a.group.add(n.db, false, a.seed)
	a.group.add(n.db, false, a.seed)
	a.group.add(n.db, true, a.seed)
}

// writeOutside lets others write, who know nothing of Bindery: in this process,
// and in another.
func (a *arena) writeOutside() {
	a.group.add(a.plain, true, a.seed)
	a.startProcess()
}

func hooksAlone(db *bun.DB) []driver.Source {
	return []driver.Source{bunsource.Hooks(db)}
}

// often is the interval of polls in these tests.
const often = 20 * time.Millisecond

func TestConvergenceSQLite(t *testing.T) {
	t.Parallel() // mostly it waits
	for _, journal := range []string{"WAL", "DELETE"} {
		t.Run("hooks, journal "+journal, func(t *testing.T) {
			a := newSQLiteArena(t, journal, "50")
			a.writeInProcess(a.addNode(a.openNode(a.dsn), hooksAlone))
			a.run()
		})
		t.Run("hooks and poll, others write, journal "+journal, func(t *testing.T) {
			a := newSQLiteArena(t, journal, "50")
			a.writeInProcess(a.addNode(a.openNode(a.dsn), func(db *bun.DB) []driver.Source {
				return append(hooksAlone(db), pollsource.New(often, pollsource.DataVersion(db)))
			}))
			a.writeOutside()
			a.run()
		})
	}
	t.Run("two nodes, hooks and poll, others write", func(t *testing.T) {
		a := newSQLiteArena(t, "WAL", "100")
		for range 2 {
			a.writeInProcess(a.addNode(a.openNode(a.dsn), func(db *bun.DB) []driver.Source {
				return append(hooksAlone(db), pollsource.Every(often))
			}))
		}
		a.writeOutside()
		a.run()
	})
}
