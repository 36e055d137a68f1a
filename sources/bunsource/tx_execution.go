package bunsource

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

// execution is a writing statement that runs on a connection.
type execution struct {
	conn   *conn
	p      *parsed
	rec    *stmtRecord // what the query hook put into the context, or nil
	eff    effect
	ann    *announced
	ending *commit // of a text that may commit a transaction
	inTx   bool    // it belongs to the open transaction
	open   bool    // its rows are not closed
	shared bool    // p is a prepared statement's
	ended  bool
	err    error
}

// start notes that a statement is about to run, and announces what it may
// commit.
func (c *conn) start(p *parsed, rec *stmtRecord, args []sqldriver.NamedValue) *execution {
	rec.reached(c)
	x := &execution{conn: c, p: p, rec: rec, eff: effectOf(p, c.tracker.boundTables(), args)}
	switch {
	case p.control && (c.tx.mayCommit(p) || c.tx.phase != txOpen && x.eff.writes()):
		x.ending = c.tx.announce(&x.eff)
	case p.control:
	case c.tx.phase == txOpen:
		x.inTx = true
	case !x.eff.atomic():
		x.ann = c.tracker.announce(x.eff.changes())
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
		p.release()
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
	t := &x.conn.tx
	t.running = slices.DeleteFunc(t.running, func(y *execution) bool { return x == y })
	if err != nil && skipped(err) && !ran && x.ending == nil {
		x.ann.withdraw() // it did not run: database/sql goes another way
		x.flushHeld()
		return
	}
	if err == nil {
		x.eff.learn(x.conn.tracker, res)
	}
	switch {
	case x.p.control:
		x.finishControl()
	case x.inTx:
		if t.phase == txNone {
			return // the transaction has ended before the rows were closed, and reported them
		}
		x.eff.addTo(&t.pending)
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
		x.eff.addTo(&t.pending)
	}
}

// flushHeld reports the statements that were transactions of their own, once
// no other on the connection has its rows open: SQLite commits them together.
func (x *execution) flushHeld() {
	t := &x.conn.tx
	if slices.ContainsFunc(t.running, func(y *execution) bool { return !y.inTx && !y.p.control }) {
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
	b := c.tracker.boundTables()
	changes := x.eff.changes()
	if b != x.eff.bound {
		var now changeSet // something may have been bound meanwhile
		x.eff.addTo(&now)
		changes = now.changes(b)
	}
	out := c.tracker.confirm(x.ann, changes)
	if x.err != nil && inDoubt(x.err) {
		c.tracker.reportLater(changes)
	}
	if c.tx.phase != txNone {
		x.eff.addTo(&c.tx.pending) // begun while the rows were open, or in doubt
		return
	}
	x.rec.committed(out)
}

// learn takes from the driver's result what the text did not say.
func (e *effect) learn(t *tracker, res sqldriver.Result) {
	if res == nil || !e.counted {
		return
	}
	n, err := res.RowsAffected()
	switch {
	case err != nil:
		return
	case n == 0:
		e.nothing()
		return
	case n != 1:
		return
	}
	for i := range e.tables {
		for j := range e.tables[i].bound {
			b := &e.tables[i].bound[j]
			if !b.generated || !t.autoIncrements(b.schema.Table) {
				continue
			}
			id, err := res.LastInsertId()
			if err != nil || id == 0 {
				return
			}
			if key, err := b.schema.MakeKey(value.Int(id)); err == nil {
				b.keys, b.known = []driver.Key{key}, true
			}
		}
	}
}

// errUnseen stands for an outcome that nobody has seen: the driver panicked,
// or the connection was closed over a statement.
var errUnseen = errors.New("bunsource: the outcome is not known")

// writes reports whether the statement writes anything.
func (e *effect) writes() bool { return e.any || len(e.tables) > 0 }

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
