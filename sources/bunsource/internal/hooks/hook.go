package hooks

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/sources/bunsource/internal/commits"
	"github.com/binderyhq/bindery/sources/internal/fanout"
)

// Hook is the query hook of all *bun.DB over one *sql.DB. What it does depends
// on the driver:
//
// A wrapped driver sees all writes, in the right order. The hook puts a record into
// the context, in which the wrapper leaves the reports to wait for, and waits when
// Bun is done with the statement.
//
// Without a wrapper the hook does what it can by itself, see alone.go.
type Hook struct {
	tracker *commits.Tracker
	stray   strayChanges // without the wrapper
}

var _ bun.QueryHook = (*Hook)(nil)

// New returns the hook of a tracker.
func New(t *commits.Tracker) *Hook { return &Hook{tracker: t} }

// stmtRecord is the hook's record of one statement.
type stmtRecord struct {
	commits.StatementRecord
	event *bun.QueryEvent
	alone *aloneStmt // without the wrapper
}

// txRecord is the hook's record of a transaction that Bun has begun. It is in
// the context that Bun keeps for the transaction.
type txRecord struct {
	commits.TxRecord
	event *bun.QueryEvent
	outer *txRecord // from the context it was begun with, or nil
	alone *aloneTx  // without the wrapper
}

func stmtRecordOf(ctx context.Context) *stmtRecord {
	rec, _ := commits.StatementOf(ctx).(*stmtRecord)
	return rec
}

func txRecordOf(ctx context.Context) *txRecord {
	rec, _ := commits.TransactionOf(ctx).(*txRecord)
	return rec
}

// BeforeQuery implements [bun.QueryHook].
func (h *Hook) BeforeQuery(ctx context.Context, e *bun.QueryEvent) context.Context {
	if commits.Bypassed(ctx) {
		return ctx
	}
	if e.IQuery == nil && e.Query == "BEGIN" {
		if rec := txRecordOf(ctx); rec != nil && rec.event == e {
			return ctx // the hook was added twice
		}
		// A program may also execute BEGIN as text. That shows only when the
		// statement has ended.
		return commits.WithTransaction(ctx, &txRecord{event: e, outer: txRecordOf(ctx)})
	}
	if h.tracker.OnlyReads(e.Query) {
		return ctx
	}
	if rec := stmtRecordOf(ctx); rec != nil && rec.event == e {
		return ctx
	}
	rec := &stmtRecord{event: e}
	rec.Text = e.Query
	if !h.tracker.Wrapped() {
		h.before(ctx, rec)
	}
	return commits.WithStatement(ctx, rec)
}

// AfterQuery implements [bun.QueryHook].
func (h *Hook) AfterQuery(ctx context.Context, e *bun.QueryEvent) {
	if commits.Bypassed(ctx) {
		return
	}
	tx := txRecordOf(ctx)
	if tx != nil && tx.event == e {
		h.afterBegin(tx)
		return
	}
	rec := stmtRecordOf(ctx)
	if rec == nil || rec.event != e {
		return
	}
	waits, held, seen := rec.Take()
	ends := e.IQuery == nil && (e.Query == "COMMIT" || e.Query == "ROLLBACK")
	switch {
	case seen:
	case ends && tx != nil:
		if waits, held, seen = tx.Take(); !seen {
			waits = h.afterEnd(ctx, tx, rec)
		}
	case ends:
		// A transaction that was begun before the hook was added.
		waits = h.tracker.ReportAll()
	default:
		waits = h.after(ctx, rec)
	}
	if e.Err == nil {
		h.wait(ctx, e.DB, waits, held || !h.tracker.Wrapped())
	}
}

// wait waits until the affected bindings have caught up with a write, so that its
// writer reads it.
func (h *Hook) wait(ctx context.Context, db *bun.DB, waits []fanout.Awaited, held bool) {
	if len(waits) == 0 {
		return
	}
	if held {
		// The engine needs a connection to read with. If this one is the pool's last,
		// the wait could only end by its timeout.
		if s := db.DB.Stats(); s.MaxOpenConnections > 0 && s.InUse >= s.MaxOpenConnections {
			return
		}
	}
	for _, w := range waits {
		w.Wait(ctx, w.Receipt)
	}
}
