package bunsource

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"

	"github.com/binderyhq/bindery/sources/bunsource/internal/keyproof"
	"github.com/binderyhq/bindery/sources/internal/fanout"
	"github.com/binderyhq/bindery/sources/internal/sqltext"
)

// execution is a writing statement that runs on a connection.
type execution struct {
	conn   *conn
	p      *sqltext.Text
	rec    *stmtRecord    // what the query hook put into the context, or nil
	bound  *fanout.Tables // what was bound when eff was found out
	eff    keyproof.Effect
	ann    *fanout.Announced
	ending *commit // of a text that may commit a transaction
	inTx   bool    // it belongs to the open transaction
	counts bool    // it may commit, and is counted
	open   bool    // its rows are not closed
	shared bool    // p is a prepared statement's
	ended  bool
	err    error
}

// start notes that a statement is about to run, and announces what it may
// commit.
func (c *conn) start(p *sqltext.Text, rec *stmtRecord, args []sqldriver.NamedValue) *execution {
	rec.reached(c)
	bound := c.tracker.Tables()
	x := &execution{conn: c, p: p, rec: rec, bound: bound, eff: effectOf(p, bound, args)}
	switch {
	case p.Control && (c.tx.mayCommit(p) || c.tx.phase != txOpen && x.eff.Writes()):
		x.ending = c.tx.announce(&x.eff)
	case p.Control:
	case c.tx.phase == txOpen:
		x.inTx = true
	case !x.eff.Atomic():
		x.ann = c.tracker.Announce(effectChanges(&x.eff, bound))
	}
	if x.counts = x.ending != nil || !x.inTx && !p.Control; x.counts {
		c.tracker.commits.Begin()
	}
	c.tx.running = append(c.tx.running, x)
	return x
}

// abort ends an execution whose driver has panicked; it does nothing to one
// that has ended, or whose rows are open.
func (x *execution) abort() {
	if !x.ended && !x.open {
		x.finish(nil, errUnseen)
	}
}

// release gives the parsed text back. The execution is over.
func (x *execution) release() {
	if !x.shared && x.ended && x.p != nil {
		p := x.p
		x.p = nil
		p.Release()
	}
}

// finish notes that the statement has run: it has returned, or its rows are
// closed. Only the first call counts.
func (x *execution) finish(res sqldriver.Result, err error) {
	if x.ended {
		return
	}
	ran := x.open
	x.ended, x.open, x.err = true, false, err
	if x.counts {
		x.conn.tracker.commits.End(max(1, x.p.Statements))
	}
	t := &x.conn.tx
	t.running = slices.DeleteFunc(t.running, func(y *execution) bool { return x == y })
	if err != nil && skipped(err) && !ran && x.ending == nil {
		x.ann.Withdraw() // it did not run: database/sql goes another way
		x.flushHeld()
		return
	}
	if err == nil {
		x.eff.Learn(x.conn.tracker.autoIncrements, res)
	}
	switch {
	case x.p.Control:
		x.finishControl()
	case x.inTx:
		if t.phase == txNone {
			return // the transaction has ended before the rows were closed, and reported them
		}
		t.pending.addEffect(&x.eff)
		if err != nil && t.phase == txOpen {
			t.failed()
		}
	default:
		t.held = append(t.held, x)
		x.flushHeld()
	}
}

func (x *execution) finishControl() {
	t := &x.conn.tx
	if x.ending != nil {
		out := x.ending.done(x.conn.tracker, x.err)
		x.rec.committed(out)
	}
	t.after(x.p, x.err)
	if t.phase != txNone {
		t.pending.addEffect(&x.eff)
	}
}

// flushHeld reports the statements that were transactions of their own, once
// no other on the connection has its rows open: SQLite commits them together.
func (x *execution) flushHeld() {
	t := &x.conn.tx
	if slices.ContainsFunc(t.running, func(y *execution) bool { return !y.inTx && !y.p.Control }) {
		return
	}
	held := t.held
	t.held = nil
	for _, y := range held {
		y.report()
	}
}

// report reports a statement that was a transaction of its own.
func (x *execution) report() {
	c := x.conn
	b := c.tracker.Tables()
	changes := effectChanges(&x.eff, b)
	if b != x.bound {
		var now changeSet // something may have been bound meanwhile
		now.addEffect(&x.eff)
		changes = now.changes(b)
	}
	out := c.tracker.Confirm(x.ann, changes)
	if x.err != nil && inDoubt(x.err) {
		c.tracker.ReportLater(changes)
	}
	if c.tx.phase != txNone {
		c.tx.pending.addEffect(&x.eff) // begun while the rows were open, or in doubt
		return
	}
	x.rec.committed(out)
}

// errUnseen stands for an outcome that nobody has seen: the driver panicked,
// or the connection was closed over a statement.
var errUnseen = errors.New("bunsource: the outcome is not known")

// skipped reports whether the error says that the statement was not run.
func skipped(err error) bool {
	return errors.Is(err, sqldriver.ErrSkip) || errors.Is(err, sqldriver.ErrBadConn)
}

// inDoubt reports whether the error leaves it open what the database does with
// the statement, or when: the connection is lost, or nobody waited.
func inDoubt(err error) bool {
	var network net.Error
	return errors.Is(err, errUnseen) || errors.Is(err, sqldriver.ErrBadConn) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network)
}
