package hooks

import (
	"context"
	sqldriver "database/sql/driver"
	"runtime"
	"sync"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/commits"
	"github.com/binderyhq/bindery/sources/bunsource/internal/keyproof"
	"github.com/binderyhq/bindery/sources/internal/fanout"
	"github.com/binderyhq/bindery/sources/internal/sqltext"
)

// Without the driver wrapper the hook knows a transaction only by its context. It
// reports a statement with that context at the commit. Any other statement may belong
// to any open transaction, so the hook reports it at once and again whenever one of
// them has ended.

// aloneStmt is a writing statement that only the hook sees.
type aloneStmt struct {
	bound  *fanout.Tables // the bound tables when eff was made
	eff    keyproof.Effect
	ann    *fanout.Announced
	tx     *txRecord // its context's transaction, or nil
	model  *modelKey // where a generated key will be, or nil
	ends   bool      // the text may end a transaction
	answer bool      // it has RETURNING
	done   bool

	cleanup runtime.Cleanup // in case AfterQuery is never called
}

// aloneTx is a transaction that only the hook sees.
type aloneTx struct {
	id      uint64
	cleanup runtime.Cleanup

	mu      sync.Mutex // guards what follows
	pending commits.ChangeSet
	running map[*aloneStmt]struct{}
	ended   bool
}

// enter adds a statement to the transaction, unless that has ended.
func (t *aloneTx) enter(a *aloneStmt) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return false
	}
	if t.running == nil {
		t.running = make(map[*aloneStmt]struct{})
	}
	t.running[a] = struct{}{}
	return true
}

// leave notes that a statement of the transaction has run. It reports false
// when the transaction has ended before.
func (t *aloneTx) leave(a *aloneStmt) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.running, a)
	if t.ended {
		return false
	}
	t.pending.AddEffect(&a.eff)
	return true
}

// gathered returns a copy of the transaction's changes. With end it ends the
// transaction.
func (t *aloneTx) gathered(end bool) *commits.ChangeSet {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &commits.ChangeSet{}
	if t.ended {
		return c
	}
	t.ended = end
	c.Merge(&t.pending)
	for a := range t.running {
		c.AddEffect(&a.eff)
	}
	return c
}

// strayChanges are changes of statements whose transaction is not known. They are
// kept while a transaction is open that may be theirs.
type strayChanges struct {
	mu      sync.Mutex
	last    uint64              // the youngest transaction
	open    map[uint64]struct{} // those in flight
	changes commits.ChangeSet
	upTo    uint64 // the youngest transaction that the changes may belong to
}

func (s *strayChanges) begin() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	if s.open == nil {
		s.open = make(map[uint64]struct{})
	}
	s.open[s.last] = struct{}{}
	return s.last
}

// end ends a transaction and returns the changes to report again.
func (s *strayChanges) end(id uint64) *commits.ChangeSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &commits.ChangeSet{}
	if _, ok := s.open[id]; !ok {
		return c
	}
	delete(s.open, id)
	c.Merge(&s.changes)
	for other := range s.open {
		if other <= s.upTo {
			return c
		}
	}
	s.changes.Clear()
	return c
}

// add keeps changes until the transactions that are open now have ended.
func (s *strayChanges) add(e *keyproof.Effect) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) > 0 {
		s.changes.AddEffect(e)
		s.upTo = s.last
	}
}

// afterBegin notes that Bun has begun a transaction.
func (h *Hook) afterBegin(tx *txRecord) {
	// A result means that BEGIN was executed as a statement, whose context
	// nobody keeps.
	if tx.Seen() || tx.event.Err != nil || tx.event.Result != nil || tx.alone != nil {
		return
	}
	id := h.stray.begin()
	tx.alone = &aloneTx{id: id}
	// A transaction whose context was cancelled ends without a word to Bun, if
	// nobody calls Rollback. It has ended when nobody holds it any more.
	tx.alone.cleanup = runtime.AddCleanup(tx, func(id uint64) { h.endStray(id) }, id)
}

func (h *Hook) endStray(id uint64) []fanout.Awaited {
	c := h.stray.end(id)
	if c.Empty() {
		return nil
	}
	return h.tracker.Confirm(context.Background(), nil, c.Changes(h.tracker.Tables()))
}

// before announces what a statement may commit.
func (h *Hook) before(ctx context.Context, rec *stmtRecord) {
	e := rec.event
	tx := txRecordOf(ctx)
	if e.IQuery == nil && (e.Query == "COMMIT" || e.Query == "ROLLBACK") && tx != nil {
		rec.alone = &aloneStmt{bound: h.tracker.Tables(), ends: true}
		if e.Query == "COMMIT" && tx.alone != nil {
			bound := h.tracker.Tables()
			if changes := tx.alone.gathered(false).Changes(bound); !bound.Single(changes) {
				rec.alone.ann = h.tracker.Announce(changes)
			}
		}
		return
	}
	a := h.judge(e)
	if a == nil {
		return
	}
	rec.alone = a
	if tx != nil && tx.alone != nil && tx.alone.enter(a) {
		a.tx = tx
		return
	}
	if !a.eff.Atomic() {
		a.ann = h.tracker.Announce(a.changes())
	}
	// When a model panics while it is scanned, AfterQuery does not come. Then
	// the record is all that is left of the statement.
	t := h.tracker
	a.cleanup = runtime.AddCleanup(rec, func(a *aloneStmt) { t.Confirm(context.Background(), a.ann, a.changes()) }, a)
}

// judge says what a statement writes; nil: nothing.
func (h *Hook) judge(e *bun.QueryEvent) *aloneStmt {
	p := h.tracker.Parse(e.Query)
	if p == nil {
		return nil
	}
	defer p.Release()
	bound := h.tracker.Tables()
	a := &aloneStmt{bound: bound, eff: commits.EffectOf(p, bound, nil)}
	for i := range p.Ops {
		switch o := &p.Ops[i]; o.Effect {
		case sqltext.Commit, sqltext.CommitChain, sqltext.CommitImplicit, sqltext.ReleasePoint, sqltext.Unknown, sqltext.UnknownForGood:
			a.ends = true
		case sqltext.WriteTable:
			a.answer = !o.Write.Returning.Empty()
			if a.eff.Counted() && o.Write.Verb == sqltext.Insert {
				a.model = modelKeyOf(e.Model, o.Write.Target)
			}
		}
	}
	return a
}

// after reports a statement that has run, and returns what to wait for.
func (h *Hook) after(ctx context.Context, rec *stmtRecord) []fanout.Awaited {
	t, e := h.tracker, rec.event
	if rec.alone == nil && t.Wrapped() {
		// A ConnResolver sent it to another database handle, or it was never sent.
		rec.alone = h.judge(e)
	}
	a := rec.alone
	if a == nil || a.done {
		return nil
	}
	a.done = true
	a.cleanup.Stop()
	if e.Err == nil {
		h.learn(a, e)
	}
	if a.ends {
		// COMMIT as a statement: of which transaction, the hook cannot know.
		a.eff.AddAny()
		t.ReportLater(a.changes())
	}
	if a.tx != nil {
		if a.tx.alone.leave(a) {
			if a.ends {
				return t.Confirm(ctx, nil, a.changes())
			}
			return nil
		}
	}
	changes := a.changes()
	waits := t.Confirm(ctx, a.ann, changes)
	h.stray.add(&a.eff)
	rowsOpen := e.IQuery == nil && e.Result == nil && e.Err == nil // db.Query: it commits when they are closed
	if rowsOpen || e.Err != nil && commits.InDoubt(e.Err) {
		t.ReportLater(changes)
	}
	return waits
}

// changes returns the changes of the statement.
func (a *aloneStmt) changes() []driver.Change { return commits.ChangesOf(&a.eff, a.bound) }

// learn refines the effect with the event's result.
func (h *Hook) learn(a *aloneStmt, e *bun.QueryEvent) {
	// Bun counts the rows that it has scanned itself. Without rows to scan its
	// count means nothing.
	if _, scanned := e.Result.(sqldriver.RowsAffected); !scanned || a.answer {
		a.eff.Learn(h.tracker.AutoIncrements, e.Result)
	}
	if a.model != nil {
		a.model.settle(&a.eff, e.Result)
	}
}

// afterEnd reports a transaction that Bun has committed or rolled back.
func (h *Hook) afterEnd(ctx context.Context, tx *txRecord, rec *stmtRecord) []fanout.Awaited {
	t, e := h.tracker, rec.event
	var ann *fanout.Announced
	if rec.alone != nil {
		if rec.alone.done {
			return nil
		}
		rec.alone.done = true
		ann = rec.alone.ann
	}
	if tx.alone == nil {
		ann.Withdraw()
		return nil
	}
	if e.Result != nil { // executed as a statement, on some connection
		ann.Withdraw()
		if e.Query == "ROLLBACK" {
			return nil
		}
		return t.Confirm(ctx, nil, t.Tables().Everything())
	}
	over := e.Query == "ROLLBACK" || e.Err == nil
	gathered := tx.alone.gathered(over)
	changes := gathered.Changes(t.Tables())
	// After a rollback as well: a statement with the context of the transaction
	// may have run beside it.
	waits := t.Confirm(ctx, ann, changes)
	if e.Err != nil && commits.InDoubt(e.Err) {
		t.ReportLater(changes)
	}
	if e.Query == "ROLLBACK" {
		waits = nil
	}
	if !over {
		return waits
	}
	if outer := tx.outer; outer != nil && outer.alone != nil {
		outer.alone.mu.Lock()
		outer.alone.pending.Merge(gathered)
		outer.alone.mu.Unlock()
	}
	tx.alone.cleanup.Stop()
	h.endStray(tx.alone.id)
	return waits
}

// Idle reports whether the hook follows no open transaction by itself, and keeps no
// changes for the end of one.
func (h *Hook) Idle() bool {
	h.stray.mu.Lock()
	defer h.stray.mu.Unlock()
	return len(h.stray.open) == 0 && h.stray.changes.Empty()
}
