package commits

import (
	"context"
	sqldriver "database/sql/driver"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/schema"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/keyproof"
	"github.com/binderyhq/bindery/sources/internal/fanout"
	"github.com/binderyhq/bindery/sources/internal/sqlitefile"
	"github.com/binderyhq/bindery/sources/internal/sqlitehooks"
	"github.com/binderyhq/bindery/sources/internal/sqltext"
	"github.com/binderyhq/bindery/sources/internal/wrapdriver"
)

// Tracker is where the query hook and the driver wrapper of one *sql.DB meet the
// sinks of the registries that watch it. It is safe for concurrent use.
type Tracker struct {
	*fanout.Hub
	dialect atomic.Pointer[dialectInfo]
	rows    *sqlitehooks.Host // sees rows where the driver shows them
	wrapped bool
	callers callers
}

var _ wrapdriver.Observer = (*Tracker)(nil)

// dialectInfo is what Bun knows of the database.
type dialectInfo struct {
	name   sqltext.Dialect
	tables *schema.Tables
}

// NewTracker returns a tracker; wrapped says that the driver is wrapped, with
// the tracker as its observer.
func NewTracker(wrapped bool) *Tracker {
	t := &Tracker{Hub: fanout.NewHub(""), wrapped: wrapped}
	t.dialect.Store(&dialectInfo{})
	t.callers.defined = make(chan struct{}, 1)
	t.rows = &sqlitehooks.Host{Hub: t.Hub, Logger: slog.Default, Statement: t.rowStatement, Begin: t.rowTransaction}
	return t
}

// Commits counts the connections' commits, so that a check can tell other processes'
// commits to a SQLite file from these.
func (t *Tracker) Commits() *sqlitefile.Ledger { return &t.rows.Commits }

// Wrapped reports whether the driver is wrapped.
func (t *Tracker) Wrapped() bool { return t.wrapped }

// Dialect returns the dialect of the database's SQL.
func (t *Tracker) Dialect() sqltext.Dialect { return t.dialect.Load().name }

// Open implements [wrapdriver.Observer]. The session observes changed rows if the
// driver shows them, and otherwise parses the statements.
func (t *Tracker) Open(ctx context.Context, conn *wrapdriver.Conn, inner sqldriver.Conn) (wrapdriver.Session, error) {
	if s, ok := t.rows.Open(ctx, conn, inner); ok {
		return s, nil
	}
	return newSession(t, conn), nil
}

// rowStatement returns the function that takes the reports of a statement's commit.
func (*Tracker) rowStatement(ctx context.Context, text string, conn *wrapdriver.Conn) (func([]fanout.Awaited), bool) {
	rec, bypass := recordOf(ctx, text)
	if bypass {
		return nil, false
	}
	rec.reached(conn)
	return rec.committed, true
}

// rowTransaction does the same for a transaction.
func (*Tracker) rowTransaction(ctx context.Context, conn *wrapdriver.Conn) (func([]fanout.Awaited), bool) {
	if Bypassed(ctx) {
		return nil, false
	}
	return txRecordOf(ctx, conn).committed, true
}

// SetDialect sets the database's dialect and Bun's tables.
func (t *Tracker) SetDialect(d schema.Dialect) {
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

// Parse says what an SQL text writes. It returns nil for one that only reads.
func (t *Tracker) Parse(query string) *sqltext.Text {
	d := t.dialect.Load().name
	p := sqltext.Parse(query, d)
	if p != nil {
		t.callers.noteDefinition(p)
	}
	if t.callers.call(query, d) {
		return sqltext.WithAny(p, query, d)
	}
	return p
}

// EffectOf returns the effect of a parsed statement on the bound tables.
func EffectOf(p *sqltext.Text, b *fanout.Tables, args []sqldriver.NamedValue) keyproof.Effect {
	return keyproof.Of(p, func(t sqltext.Table) []*driver.Schema { return b.Match(t.Schema, t.Name) }, args)
}

// ChangesOf returns the changes of an effect.
func ChangesOf(e *keyproof.Effect, b *fanout.Tables) []driver.Change {
	if e.Any() {
		return b.Everything()
	}
	return e.Changes()
}

// AutoIncrements reports whether Bun's model of the table says that the
// database generates its key.
func (t *Tracker) AutoIncrements(table driver.Table) bool {
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
