package commits

import (
	"context"
	"sync"

	"github.com/binderyhq/bindery/sources/internal/fanout"
	"github.com/binderyhq/bindery/sources/internal/wrapdriver"
)

type (
	stmtKey   struct{} // context key of a Statement
	txKey     struct{} // context key of a Transaction
	bypassKey struct{} // context key of the mark that Bypass leaves
)

// Bypass returns a context for the loader's own statements, which the hooks ignore
// because they only read.
func Bypass(ctx context.Context) context.Context { return context.WithValue(ctx, bypassKey{}, true) }

// Bypassed reports whether the context comes from [Bypass].
func Bypassed(ctx context.Context) bool { return ctx.Value(bypassKey{}) != nil }

// Statement is a query hook's record in a statement's context. Through it the wrapped
// connection tells the hook which reports to wait for. It embeds a StatementRecord.
type Statement interface{ statement() *StatementRecord }

// Transaction is the same for a transaction. It embeds a TxRecord.
type Transaction interface{ transaction() *TxRecord }

// WithStatement returns a context for a statement.
func WithStatement(ctx context.Context, s Statement) context.Context {
	return context.WithValue(ctx, stmtKey{}, s)
}

// WithTransaction returns a context for a transaction and its statements.
func WithTransaction(ctx context.Context, t Transaction) context.Context {
	return context.WithValue(ctx, txKey{}, t)
}

// StatementOf returns the statement that the context is for, or nil.
func StatementOf(ctx context.Context) Statement {
	s, _ := ctx.Value(stmtKey{}).(Statement)
	return s
}

// TransactionOf returns the transaction that the context is for, or nil.
func TransactionOf(ctx context.Context) Transaction {
	t, _ := ctx.Value(txKey{}).(Transaction)
	return t
}

// StatementRecord is shared by the query hook and the wrapper, for one statement. It
// is nil for a statement without a hook.
type StatementRecord struct {
	// Text is the statement as it is executed. It distinguishes the statement from
	// others with the same context, such as those of a model's hooks.
	Text string
	outcome
}

func (r *StatementRecord) statement() *StatementRecord { return r }

// TxRecord is shared by the query hook and the wrapper, for one transaction.
type TxRecord struct{ outcome }

func (r *TxRecord) transaction() *TxRecord { return r }

// outcome is the wrapper's part of a record, for the hook.
type outcome struct {
	mu    sync.Mutex
	conn  *wrapdriver.Conn // the connection that ran it: the wrapper was there
	uses  uint64           // conn.Uses at that time
	waits []fanout.Awaited // the reports of its commits
}

// maxWaits bounds the reports kept for a hook that never takes them.
const maxWaits = 64

// note notes the connection. It reports false when another was noted before.
func (o *outcome) note(c *wrapdriver.Conn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.conn != nil && o.conn != c {
		return false
	}
	o.conn, o.uses = c, c.Uses()
	return true
}

func (o *outcome) add(waits []fanout.Awaited) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waits) < maxWaits { // else nobody takes them
		o.waits = append(o.waits, waits...)
	}
}

// Seen reports whether a wrapped connection has run it.
func (o *outcome) Seen() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.conn != nil
}

// Take returns the reports that a writer waits for, and forgets them. held says that the
// connection has not gone back to the pool; seen is [outcome.Seen].
func (o *outcome) Take() (waits []fanout.Awaited, held, seen bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.conn == nil {
		return nil, false, false
	}
	waits, o.waits = o.waits, nil
	return waits, o.conn.Uses() == o.uses, true
}

// reached notes that the statement has reached a wrapped connection.
func (r *StatementRecord) reached(c *wrapdriver.Conn) {
	if r != nil {
		// A retry after driver.ErrBadConn comes on another connection.
		r.mu.Lock()
		r.conn, r.uses = c, c.Uses()
		r.mu.Unlock()
	}
}

// committed keeps the reports of the statement's commit, for the hook to wait for.
func (r *StatementRecord) committed(waits []fanout.Awaited) {
	if r != nil {
		r.add(waits)
	}
}

func (r *TxRecord) committed(waits []fanout.Awaited) {
	if r != nil {
		r.add(waits)
	}
}

// recordOf returns the record of a statement with the text, and whether the
// statement bypasses the hooks.
func recordOf(ctx context.Context, text string) (rec *StatementRecord, bypass bool) {
	if Bypassed(ctx) {
		return nil, true
	}
	if s := StatementOf(ctx); s != nil {
		if rec = s.statement(); rec.Text != text {
			rec = nil
		}
	}
	return rec, false
}

// txRecordOf returns the record of the transaction that begins on the
// connection, or nil if the context belongs to an outer transaction.
func txRecordOf(ctx context.Context, c *wrapdriver.Conn) *TxRecord {
	if t := TransactionOf(ctx); t != nil {
		if rec := t.transaction(); rec.note(c) {
			return rec
		}
	}
	return nil
}
