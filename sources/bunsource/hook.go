package bunsource

import (
	"context"
	"sync"

	"github.com/binderyhq/bindery/sources/internal/fanout"
	"github.com/binderyhq/bindery/sources/internal/sqltext"
	"github.com/uptrace/bun"
)

// queryHook is the query hook of a *bun.DB. What it does depends on the
// driver:
//
// With a wrapped driver the wrapper sees everything that matters, and in the
// right order. The hook puts a record into the context, by which the wrapper
// tells it what to wait for, and waits when Bun is done with the statement.
//
// Without one the hook does what it can by itself, see hook_only.go.
type queryHook struct {
	tracker *tracker
}

var _ bun.QueryHook = (*queryHook)(nil)

type (
	stmtKey   struct{} // context key of a *stmtRecord
	txKey     struct{} // context key of a *txRecord
	bypassKey struct{} // context key of the mark that withoutHooks leaves
)

// withoutHooks returns a context whose statements are not looked at: the
// loader's own, which only read.
func withoutHooks(ctx context.Context) context.Context {
	return context.WithValue(ctx, bypassKey{}, true)
}

func isBypass(ctx context.Context) bool { return ctx.Value(bypassKey{}) != nil }

// stmtRecord is what the hook and the wrapper know together of one statement.
// A nil *stmtRecord is that of a statement which has not come through Bun.
type stmtRecord struct {
	event *bun.QueryEvent
	outcome
	alone *aloneStmt // without the wrapper
}

// outcome is what the wrapper has to say to the hook.
type outcome struct {
	mu    sync.Mutex
	conn  *conn            // the connection that ran it: the wrapper was there
	uses  uint64           // conn.uses at that time
	waits []fanout.Awaited // what it has committed
}

// maxWaits bounds what is kept for a hook that does not come.
const maxWaits = 64

// note notes the connection. It reports false when another was noted before.
func (o *outcome) note(c *conn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.conn != nil && o.conn != c {
		return false
	}
	o.conn, o.uses = c, c.uses.Load()
	return true
}

func (o *outcome) add(waits []fanout.Awaited) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waits) < maxWaits { // else nobody takes them
		o.waits = append(o.waits, waits...)
	}
}

// take returns what there is to wait for, and forgets it. held says that the
// connection has not gone back to the pool.
func (o *outcome) take() (waits []fanout.Awaited, held, seen bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.conn == nil {
		return nil, false, false
	}
	waits, o.waits = o.waits, nil
	return waits, o.conn.uses.Load() == o.uses, true
}

// reached notes that the statement has reached a wrapped connection.
func (r *stmtRecord) reached(c *conn) {
	if r != nil {
		// A retry after driver.ErrBadConn comes on another connection.
		r.mu.Lock()
		r.conn, r.uses = c, c.uses.Load()
		r.mu.Unlock()
	}
}

// committed takes what the statement's commit is waited for with.
func (r *stmtRecord) committed(waits []fanout.Awaited) {
	if r != nil {
		r.add(waits)
	}
}

// txRecord is what the hook knows of a transaction that Bun has begun: it is
// in the context that Bun keeps for it.
type txRecord struct {
	event *bun.QueryEvent
	outcome
	outer *txRecord // that of the context it was begun with, or nil
	alone *aloneTx  // without the wrapper
}

// reached notes the connection of the transaction. It reports false when it
// is not that of the record: the context is an outer transaction's.
func (r *txRecord) reached(c *conn) bool { return r.note(c) }

func (r *txRecord) committed(waits []fanout.Awaited) {
	if r != nil {
		r.add(waits)
	}
}

// recordOf returns the record of a statement, and whether the statement is to
// be left alone. The text tells a statement from others that are given the
// context of its record, by the hooks of a model for example.
func recordOf(ctx context.Context, query string) (rec *stmtRecord, bypass bool) {
	if isBypass(ctx) {
		return nil, true
	}
	rec, _ = ctx.Value(stmtKey{}).(*stmtRecord)
	if rec != nil && rec.event.Query != query {
		rec = nil
	}
	return rec, false
}

func txRecordOf(ctx context.Context) *txRecord {
	rec, _ := ctx.Value(txKey{}).(*txRecord)
	return rec
}

// BeforeQuery implements [bun.QueryHook].
func (h *queryHook) BeforeQuery(ctx context.Context, e *bun.QueryEvent) context.Context {
	if isBypass(ctx) {
		return ctx
	}
	if e.IQuery == nil && e.Query == "BEGIN" {
		if rec := txRecordOf(ctx); rec != nil && rec.event == e {
			return ctx // the hook was added twice
		}
		// The text BEGIN may as well be executed on a connection: that is told
		// from the other afterwards.
		return context.WithValue(ctx, txKey{}, &txRecord{event: e, outer: txRecordOf(ctx)})
	}
	if sqltext.OnlyReads(e.Query, h.tracker.dialect.Load().name) {
		return ctx
	}
	if rec, _ := ctx.Value(stmtKey{}).(*stmtRecord); rec != nil && rec.event == e {
		return ctx
	}
	rec := &stmtRecord{event: e}
	if !h.tracker.wrapped {
		h.before(ctx, rec)
	}
	return context.WithValue(ctx, stmtKey{}, rec)
}

// AfterQuery implements [bun.QueryHook].
func (h *queryHook) AfterQuery(ctx context.Context, e *bun.QueryEvent) {
	if isBypass(ctx) {
		return
	}
	tx := txRecordOf(ctx)
	if tx != nil && tx.event == e {
		h.afterBegin(tx)
		return
	}
	rec, _ := ctx.Value(stmtKey{}).(*stmtRecord)
	if rec == nil || rec.event != e {
		return
	}
	waits, held, seen := rec.take()
	ends := e.IQuery == nil && (e.Query == "COMMIT" || e.Query == "ROLLBACK")
	switch {
	case seen:
	case ends && tx != nil:
		if waits, held, seen = tx.take(); !seen {
			waits = h.afterEnd(tx, rec)
		}
	case ends:
		// A transaction that was begun before the hook was added.
		waits = h.tracker.Confirm(nil, h.tracker.Tables().Everything())
	default:
		waits = h.after(rec)
	}
	if e.Err == nil {
		h.wait(ctx, e.DB, waits, held || !h.tracker.wrapped)
	}
}

// wait waits until the bindings concerned have caught up with a write, so that
// whoever made it reads it.
func (h *queryHook) wait(ctx context.Context, db *bun.DB, waits []fanout.Awaited, held bool) {
	if len(waits) == 0 {
		return
	}
	if held {
		// The engine needs a connection to read with. While this one is not given
		// back there may be none, and waiting would be in vain.
		if s := db.DB.Stats(); s.MaxOpenConnections > 0 && s.InUse >= s.MaxOpenConnections {
			return
		}
	}
	for _, w := range waits {
		w.Wait(ctx, w.Receipt)
	}
}
