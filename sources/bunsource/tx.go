package bunsource

import (
	sqldriver "database/sql/driver"
	"slices"

	"github.com/uptrace/bun/dialect"
)

// txPhase says whether a transaction is open on a connection.
type txPhase uint8

const (
	txNone  txPhase = iota
	txOpen          // what is written is gathered until the commit
	txDoubt         // not known: writes are reported at once, and again at the commit
)

// txState is the transaction of one connection, and the statements that run
// on it. database/sql uses a connection from one goroutine at a time.
type txState struct {
	tracker *tracker

	phase      txPhase
	pending    changeSet
	begun      *txRecord    // what Bun's BEGIN has put into its context, or nil
	running    []*execution // begun and not finished: their rows are open
	held       []*execution // finished, but committed only when running ones are
	savepoints []string     // with bySavepoint: those that are set
	// bySavepoint: the transaction was begun by a savepoint, and ends with it.
	bySavepoint bool
}

// begin notes that the driver has begun a transaction.
func (t *txState) begin(rec *txRecord) {
	if t.phase != txNone {
		// The one before has ended, unseen; with Postgres it may still be open.
		t.report(&t.pending)
	}
	t.enter()
	t.begun = rec
}

func (t *txState) enter() {
	if t.phase == txNone {
		t.pending.clear()
	}
	t.phase, t.begun, t.bySavepoint, t.savepoints = txOpen, nil, false, nil
}

func (t *txState) leave() {
	t.phase, t.begun, t.bySavepoint, t.savepoints = txNone, nil, false, nil
	t.pending.clear()
}

// closed notes that the connection is gone, and with it what is open on it.
func (t *txState) closed() {
	for _, x := range slices.Clone(t.running) {
		x.finish(nil, errUnseen)
	}
	t.leave()
}

// afterRead notes the outcome of a statement that does not write. After an
// error the database may have ended the transaction: SQLite rolls back by
// itself when it runs out of space, for example, and what follows commits at
// once.
func (t *txState) afterRead(err error) {
	if err != nil && t.phase == txOpen && !skipped(err) {
		t.failed()
	}
}

// failed notes that a statement of the open transaction has failed. Postgres
// then keeps the transaction until it is told to roll back.
func (t *txState) failed() {
	if t.tracker.dialect.Load().name != dialect.PG {
		t.phase = txDoubt
	}
}

// report reports changes at once, without anyone waiting for it.
func (t *txState) report(c *changeSet) {
	t.tracker.confirm(nil, c.changes(t.tracker.boundTables()))
}

// commit is a commit under way.
type commit struct {
	changes changeSet
	ann     *announced
}

// announce announces everything that a commit now would make visible.
func (t *txState) announce(more *effect) *commit {
	c := &commit{}
	c.changes.merge(&t.pending)
	for _, x := range t.running {
		x.eff.addTo(&c.changes)
	}
	if more != nil {
		more.addTo(&c.changes)
	}
	bound := t.tracker.boundTables()
	if changes := c.changes.changes(bound); !bound.single(changes) {
		c.ann = t.tracker.announce(changes)
	}
	return c
}

// done reports the commit. Whatever the error is it may have happened.
func (c *commit) done(t *tracker, err error) []awaited {
	b := t.boundTables()
	out := t.confirm(c.ann, c.changes.changes(b))
	if err != nil && inDoubt(err) {
		t.reportLater(c.changes.changes(b))
	}
	return out
}

// mayCommit reports whether the text may end a transaction so that its
// changes become visible.
func (t *txState) mayCommit(p *parsed) bool {
	for i := range p.ops {
		switch p.ops[i].kind {
		case opCommit, opCommitChain, opUnknown:
			return true
		case opBegin, opCommitImplicit:
			if t.phase != txNone {
				return true
			}
		case opRelease:
			if t.phase == txDoubt || t.bySavepoint && t.savepointNamed(p.ops[i].name) == 0 {
				return true
			}
		}
	}
	return false
}

// after takes over what the ops of a text that has run have made of the
// transaction. The error is that of the text.
func (t *txState) after(p *parsed, err error) {
	if err != nil {
		switch {
		case len(p.ops) == 1 && p.ops[0].kind == opBegin: // nothing has begun
		case len(p.ops) == 1 && p.ops[0].kind == opSavepoint && t.phase == txNone:
		default:
			t.phase = txDoubt
		}
		return
	}
	for i := range p.ops {
		switch o := &p.ops[i]; o.kind {
		case opBegin:
			t.enter()
		case opCommit, opRollback:
			t.leave()
		case opCommitImplicit:
			if t.phase != txNone {
				t.leave()
			}
		case opCommitChain, opRollbackChain:
			t.leave()
			t.enter()
		case opSavepoint:
			t.savepoint(p.dialect, o.name)
		case opRelease:
			t.released(o.name)
		case opUnknown:
			t.phase = txDoubt
		}
	}
}

// maxSavepoints bounds the savepoints of a transaction that one has begun.
const maxSavepoints = 1000

func (t *txState) savepoint(d dialect.Name, name string) {
	if t.phase == txNone && d == dialect.SQLite {
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

// driverTx is a transaction begun by [sql.DB.BeginTx] and the like.
type driverTx struct {
	inner sqldriver.Tx
	conn  *conn
}

// Commit implements [sqldriver.Tx].
func (t *driverTx) Commit() error {
	c := t.conn
	c.settleRaw()
	rec := c.tx.begun
	ending := c.tx.announce(nil)
	returned := false
	defer func() {
		if !returned { // the driver panics
			ending.done(c.tracker, errUnseen)
		}
	}()
	err := t.inner.Commit()
	returned = true
	out := ending.done(c.tracker, err)
	if err != nil {
		c.tx.phase = txDoubt
	} else {
		c.tx.leave()
	}
	rec.committed(out)
	return err
}

// Rollback implements [sqldriver.Tx].
func (t *driverTx) Rollback() error {
	err := t.inner.Rollback()
	if err != nil {
		t.conn.tx.phase = txDoubt
	} else {
		t.conn.tx.leave()
	}
	return err
}
