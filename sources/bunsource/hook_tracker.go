package bunsource

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/keyproof"
	"github.com/binderyhq/bindery/sources/internal/fanout"
	"github.com/binderyhq/bindery/sources/internal/sqlitefile"
	"github.com/binderyhq/bindery/sources/internal/sqltext"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/schema"
)

// tracker is where the hook and the driver wrapper of one *sql.DB meet the
// sinks of the registries that watch it. It is safe for concurrent use.
type tracker struct {
	wrapped bool // the driver is wrapped

	*fanout.Hub
	dialect atomic.Pointer[dialectInfo]
	commits sqlitefile.Ledger // of a wrapped driver

	mu     sync.Mutex // guards what follows
	hooked []weak.Pointer[bun.DB]

	stray strayChanges // hook only
}

// dialectInfo is what Bun knows of the database.
type dialectInfo struct {
	name   sqltext.Dialect
	tables *schema.Tables
}

func newTracker() *tracker {
	t := &tracker{Hub: fanout.NewHub("")}
	t.dialect.Store(&dialectInfo{})
	return t
}

// trackers finds the tracker of a *sql.DB whose driver is not wrapped. An
// entry goes when its *sql.DB does.
var trackers sync.Map // weak.Pointer[sql.DB] -> *tracker

// trackerOf returns the tracker of a *sql.DB, and makes one where there is
// none. A wrapped driver holds its own.
func trackerOf(db *sql.DB) *tracker {
	if d, ok := db.Driver().(*wrappedDriver); ok {
		return d.tracker
	}
	key := weak.Make(db)
	if t, ok := trackers.Load(key); ok {
		return t.(*tracker)
	}
	t, loaded := trackers.LoadOrStore(key, newTracker())
	if !loaded {
		runtime.AddCleanup(db, func(key weak.Pointer[sql.DB]) { trackers.Delete(key) }, key)
	}
	return t.(*tracker)
}

// databaseName returns the name that the user gave the database, "" for the
// usual one. It is asked of the *sql.DB, so every copy of a *bun.DB
// (WithQueryHook, WithNamedArg) has the same.
func databaseName(db *bun.DB) string {
	return trackerOf(db.DB).UseDatabase()
}

func (t *tracker) setDialect(d schema.Dialect) {
	t.dialect.Store(&dialectInfo{name: textDialectOf(d.Name()), tables: d.Tables()})
}

// textDialectOf returns the dialect as sqltext has it.
func textDialectOf(d dialect.Name) sqltext.Dialect {
	switch d {
	case dialect.SQLite:
		return sqltext.SQLite
	case dialect.PG:
		return sqltext.Postgres
	case dialect.MySQL:
		return sqltext.MySQL
	default:
		return sqltext.Other
	}
}

// parse says what an SQL text writes; nil: nothing.
func (t *tracker) parse(query string) *sqltext.Text {
	return sqltext.Parse(query, t.dialect.Load().name)
}

// effectOf returns what a parsed statement may change in the tables bound.
func effectOf(p *sqltext.Text, b *fanout.Tables, args []sqldriver.NamedValue) keyproof.Effect {
	return keyproof.Of(p, func(t sqltext.Table) []*driver.Schema { return b.Match(t.Schema, t.Name) }, args)
}

// effectChanges returns the changes of an effect.
func effectChanges(e *keyproof.Effect, b *fanout.Tables) []driver.Change {
	if e.Any() {
		return b.Everything()
	}
	return e.Changes()
}

// autoIncrements reports whether Bun's model of the table says that the
// database makes its key.
func (t *tracker) autoIncrements(table driver.Table) bool {
	tables := t.dialect.Load().tables
	if tables == nil {
		return false
	}
	for _, m := range tables.All() {
		if strings.EqualFold(m.Name, table.Name) {
			return len(m.PKs) == 1 && m.PKs[0].AutoIncrement
		}
	}
	return false
}
