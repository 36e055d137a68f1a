package commits

import (
	"context"
	"slices"

	"github.com/binderyhq/bindery/sources/bunsource/internal/keyproof"
	"github.com/binderyhq/bindery/sources/internal/fanout"
	"github.com/binderyhq/bindery/sources/internal/sqltext"
	"github.com/binderyhq/bindery/sources/internal/wrapdriver"
)

// txPhase says whether a transaction is open on a connection.
type txPhase uint8

const (
	txNone  txPhase = iota
	txOpen          // writes are gathered until the commit
	txDoubt         // perhaps open: writes are reported at once, and again at the commit
)

// txState is the transaction of one connection, and the statements that run
// on it. database/sql uses a connection from one goroutine at a time.
type txState struct {
	tracker *Tracker

	phase      txPhase
	pending    ChangeSet
	writer     context.Context //nolint:containedctx // BeginTx's, for its values; nil if a statement began it
	begun      *TxRecord       // the record in the context of Bun's BEGIN, or nil
	running    []*execution    // begun and not finished: their rows are open
	held       []*execution    // finished, but committed only when running ones are
	savepoints []string        // with bySavepoint: those that are set
	// bySavepoint: the transaction was begun by a savepoint, and ends with it.
	bySavepoint bool
	// blind: statements no longer tell whether a transaction is open, as after
	// MySQL's SET autocommit.
	blind bool
}

// begin notes that the driver has begun a transaction.
func (t *txState) begin(writer context.Context, rec *TxRecord) {
	if t.phase != txNone {
		// The transaction before has ended unseen; in Postgres it may still be open.
		t.report(&t.pending)
	}
	t.enter()
	t.begun, t.writer = rec, writer
}

func (t *txState) enter() {
	if t.phase == txNone {
		t.pending.Clear()
	}
	t.phase, t.begun, t.writer, t.bySavepoint, t.savepoints = txOpen, nil, nil, false, nil
}

func (t *txState) leave() {
	t.phase, t.begun, t.writer, t.bySavepoint, t.savepoints = txNone, nil, nil, false, nil
	if t.blind {
		t.phase = txDoubt
	}
	t.pending.Clear()
}

// closed notes that the connection is gone, with its open transaction and rows.
func (t *txState) closed() {
	for _, x := range slices.Clone(t.running) {
		x.finish(nil, wrapdriver.ErrUnseen)
	}
	t.leave()
}

// afterRead notes the outcome of a statement that does not write. After an
// error the database may have ended the transaction: SQLite rolls back by
// itself when it runs out of space, for example, and what follows commits at
// once.
func (t *txState) afterRead(err error) {
	if err != nil && t.phase == txOpen && !wrapdriver.Skipped(err) {
		t.failed()
	}
}

// failed notes that a statement of the open transaction has failed. Postgres
// then keeps the transaction until it is told to roll back.
func (t *txState) failed() {
	if t.tracker.Dialect() != sqltext.Postgres {
		t.phase = txDoubt
	}
}

// ended notes that the driver has ended the transaction, if there is no error.
func (t *txState) ended(err error) {
	if err != nil {
		t.phase = txDoubt
		return
	}
	t.leave()
}

// report reports changes at once. Nobody waits for the report.
func (t *txState) report(c *ChangeSet) {
	t.tracker.Confirm(t.writer, nil, c.Changes(t.tracker.Tables()))
}

// commit is a commit under way.
type commit struct {
	changes ChangeSet
	ann     *fanout.Announced
	writer  context.Context //nolint:containedctx // that of whoever has begun it
}

// announce announces every change that a commit would make visible now.
func (t *txState) announce(more *keyproof.Effect) *commit {
	c := &commit{writer: t.writer}
	c.changes.Merge(&t.pending)
	for _, x := range t.running {
		c.changes.AddEffect(&x.eff)
	}
	if more != nil {
		c.changes.AddEffect(more)
	}
	bound := t.tracker.Tables()
	if changes := c.changes.Changes(bound); !bound.Single(changes) {
		c.ann = t.tracker.Announce(changes)
	}
	return c
}

// done reports the commit. With any error it may still have happened.
func (c *commit) done(t *Tracker, err error) []fanout.Awaited {
	b := t.Tables()
	out := t.Confirm(c.writer, c.ann, c.changes.Changes(b))
	if err != nil && InDoubt(err) {
		t.ReportLater(c.changes.Changes(b))
	}
	return out
}

// mayCommit reports whether the text may end a transaction so that its
// changes become visible.
func (t *txState) mayCommit(p *sqltext.Text) bool {
	for i := range p.Ops {
		switch p.Ops[i].Effect {
		case sqltext.Commit, sqltext.CommitChain, sqltext.Unknown, sqltext.UnknownForGood:
			return true
		case sqltext.Begin, sqltext.CommitImplicit:
			if t.phase != txNone {
				return true
			}
		case sqltext.ReleasePoint:
			if t.phase == txDoubt || t.bySavepoint && t.savepointNamed(p.Ops[i].Name) == 0 {
				return true
			}
		}
	}
	return false
}

// after updates the transaction's state after a text has run. err is the text's.
func (t *txState) after(p *sqltext.Text, err error) {
	if err != nil {
		switch {
		case len(p.Ops) == 1 && p.Ops[0].Effect == sqltext.Begin: // nothing has begun
		case len(p.Ops) == 1 && p.Ops[0].Effect == sqltext.Savepoint && t.phase == txNone:
		default:
			t.phase = txDoubt
			t.blind = t.blind || slices.ContainsFunc(p.Ops, func(o sqltext.Op) bool { return o.Effect == sqltext.UnknownForGood })
		}
		return
	}
	for i := range p.Ops {
		switch o := &p.Ops[i]; o.Effect {
		case sqltext.Begin:
			t.enter()
		case sqltext.Commit, sqltext.Rollback:
			t.leave()
		case sqltext.CommitImplicit:
			if t.phase != txNone {
				t.leave()
			}
		case sqltext.CommitChain, sqltext.RollbackChain:
			t.leave()
			t.enter()
		case sqltext.Savepoint:
			t.savepoint(p.Dialect, o.Name)
		case sqltext.ReleasePoint:
			t.released(o.Name)
		case sqltext.Unknown:
			t.phase = txDoubt
		case sqltext.UnknownForGood:
			t.phase, t.blind = txDoubt, true
		}
	}
}

// maxSavepoints bounds the savepoints of a transaction that one has begun.
const maxSavepoints = 1000

func (t *txState) savepoint(d sqltext.Dialect, name string) {
	if t.phase == txNone && d == sqltext.SQLite {
		t.enter()
		t.bySavepoint = true
	}
	if !t.bySavepoint {
		return
	}
	if len(t.savepoints) == maxSavepoints {
		t.phase = txDoubt
		return
	}
	t.savepoints = append(t.savepoints, name)
}

// savepointNamed returns the place of the savepoint that a RELEASE means, the last
// of its name, or -1.
func (t *txState) savepointNamed(name string) int {
	for i := len(t.savepoints) - 1; i >= 0; i-- {
		if t.savepoints[i] == name {
			return i
		}
	}
	return -1
}

func (t *txState) released(name string) {
	if !t.bySavepoint {
		return
	}
	if i := t.savepointNamed(name); i >= 0 {
		t.savepoints = t.savepoints[:i]
	}
	if len(t.savepoints) == 0 {
		t.leave()
	}
}
