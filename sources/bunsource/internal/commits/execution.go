package commits

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
	"github.com/binderyhq/bindery/sources/internal/wrapdriver"
)

// execution is a writing statement that runs on a connection.
type execution struct {
	session *session
	writer  context.Context //nolint:containedctx // the statement's, for its values
	p       *sqltext.Text
	rec     *StatementRecord // from the query hook, in the context; or nil
	bound   *fanout.Tables   // the bound tables when eff was made
	eff     keyproof.Effect
	ann     *fanout.Announced
	ending  *commit // if the text may commit a transaction
	inTx    bool    // it belongs to the open transaction
	counts  bool    // it may commit, and is counted
	open    bool    // its rows are not closed
	ended   bool
	err     error

	takes   bool // its rows hold keys
	rowsEnd bool // the first result was read to its end
}

// start notes that a statement is about to run, and announces the changes that it
// may commit.
func (s *session) start(writer context.Context, p *sqltext.Text, rec *StatementRecord, args []sqldriver.NamedValue) *execution {
	rec.reached(s.conn)
	bound := s.tracker.Tables()
	x := &execution{session: s, writer: writer, p: p, rec: rec, bound: bound, eff: EffectOf(p, bound, args)}
	switch {
	case p.Control && (s.tx.mayCommit(p) || s.tx.phase != txOpen && x.eff.Writes()):
		if x.ending = s.tx.announce(&x.eff); x.ending.writer == nil {
			x.ending.writer = writer
		}
	case p.Control:
	case s.tx.phase == txOpen:
		x.inTx = true
	case !x.eff.Atomic():
		x.ann = s.tracker.Announce(ChangesOf(&x.eff, bound))
	}
	if x.counts = x.ending != nil || !x.inTx && !p.Control; x.counts {
		s.tracker.Commits().Begin()
	}
	s.tx.running = append(s.tx.running, x)
	return x
}

// Rows implements [wrapdriver.Call].
func (x *execution) Rows() bool {
	x.open, x.takes = true, x.eff.TakesRows()
	return true
}

// Next implements [wrapdriver.Call].
func (x *execution) Next(columns func() []string, row []sqldriver.Value, err error) {
	switch {
	case err == nil && x.takes && !x.rowsEnd:
		x.eff.TakeRow(columns, row)
	case errors.Is(err, io.EOF):
		x.rowsEnd = true
	}
}

// NextResult implements [wrapdriver.Call].
func (x *execution) NextResult() { x.takes = x.takes && x.rowsEnd }

// Done implements [wrapdriver.Call].
func (x *execution) Done(res sqldriver.Result, err error) {
	if x.takes && err == nil {
		x.eff.Settle(x.rowsEnd)
	}
	x.finish(res, err)
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
		x.session.tracker.Commits().End() // it may not have written
	}
	t := &x.session.tx
	t.running = slices.DeleteFunc(t.running, func(y *execution) bool { return x == y })
	if err != nil && wrapdriver.Skipped(err) && !ran && x.ending == nil {
		x.ann.Withdraw() // it did not run: database/sql tries another way
		x.flushHeld()
		return
	}
	if err == nil {
		x.eff.Learn(x.session.tracker.AutoIncrements, res)
	}
	switch {
	case x.p.Control:
		x.finishControl()
	case x.inTx:
		if t.phase == txNone {
			return // the transaction has ended before the rows were closed, and reported them
		}
		t.pending.AddEffect(&x.eff)
		if err != nil && t.phase == txOpen {
			t.failed()
		}
	default:
		t.held = append(t.held, x)
		x.flushHeld()
	}
}

func (x *execution) finishControl() {
	t := &x.session.tx
	if x.ending != nil {
		out := x.ending.done(x.session.tracker, x.err)
		x.rec.committed(out)
	}
	t.after(x.p, x.err)
	if t.phase != txNone {
		t.pending.AddEffect(&x.eff)
	}
}

// flushHeld reports the statements outside transactions, once no other on the
// connection has open rows: SQLite commits them together.
func (x *execution) flushHeld() {
	t := &x.session.tx
	if slices.ContainsFunc(t.running, func(y *execution) bool { return !y.inTx && !y.p.Control }) {
		return
	}
	held := t.held
	t.held = nil
	for _, y := range held {
		y.report()
	}
}

// report reports a statement outside a transaction.
func (x *execution) report() {
	c := x.session
	b := c.tracker.Tables()
	changes := ChangesOf(&x.eff, b)
	if b != x.bound {
		var now ChangeSet // more tables may be bound by now
		now.AddEffect(&x.eff)
		changes = now.Changes(b)
	}
	out := c.tracker.Confirm(x.writer, x.ann, changes)
	if x.err != nil && InDoubt(x.err) {
		c.tracker.ReportLater(changes)
	}
	if c.tx.phase != txNone {
		c.tx.pending.AddEffect(&x.eff) // begun while the rows were open, or in doubt
		return
	}
	x.rec.committed(out)
}

// InDoubt reports whether, after this error, the database may still run or may have
// run the statement: the connection was lost, or the caller stopped waiting.
func InDoubt(err error) bool {
	var network net.Error
	return errors.Is(err, wrapdriver.ErrUnseen) || errors.Is(err, sqldriver.ErrBadConn) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network)
}
