package sqlitehooks

import (
	"context"
	sqldriver "database/sql/driver"
	"log/slog"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/internal/fanout"
)

// recorder gathers what one connection writes, from SQLite's hooks, and
// releases it when it is committed and visible. SQLite calls the hooks on the
// goroutine that uses the connection, and database/sql never uses a connection
// from two at a time, so nothing here locks.
type recorder struct {
	host   *Host
	conn   sqldriver.QueryerContext
	layout *layout // nil: whole tables are reported

	pending changeSet
	wrote   written // since the last commit
	commit  *commit // about to be made, or made and not released yet

	plan      []target // what a row of planned means
	planned   tableRef
	unchecked bool // something was committed since the layout was last compared
	old, new  []any
}

// commit is a commit of which SQLite has said that it is about to be made.
type commit struct {
	changes    changeSet
	wrote      []string // schemas
	ann        *fanout.Announced
	rolledBack bool // since: this commit, or what came after it
	doubtful   bool // its call has failed
}

// guard keeps a panic from unwinding through SQLite, which would be left with
// its locks held. What is lost by it is made up for by reporting everything.
func (r *recorder) guard() {
	if p := recover(); p != nil {
		r.pending.addAny()
		r.host.Logger().Error("sqlite: panic while recording a change", slog.String("id", "sqlitehooks-panic"), "panic", p)
	}
}

// preUpdate is called for each row, before it changes.
func (r *recorder) preUpdate(op Op, database, table string, row Values) {
	defer r.guard()
	r.wrote.note(database, op, row)
	if !r.host.Hub.Watched() {
		r.pending.addAny() // should somebody watch when it is committed
		return
	}
	ref := tableRef{database, table}
	if ref.database == tempDatabase || strings.HasPrefix(ref.database, "vacuum_") {
		return // one connection's own; the copy that VACUUM makes
	}
	if r.plan == nil || ref != r.planned {
		r.pending.touch(ref)
		r.planned, r.plan = ref, r.layout.plan(ref, r.host.Hub.Tables())
		if r.plan == nil {
			r.plan = []target{}
		}
	}
	for i := range r.plan {
		r.record(&r.plan[i], op, row)
	}
}

// record records what the change of a row means for a bound table.
func (r *recorder) record(t *target, op Op, row Values) {
	table := t.schema.Table
	if t.key == nil {
		r.pending.addWhole(table)
		return
	}
	if row.Count() != t.columns {
		r.layout = nil // not the table that the layout knows
		r.pending.addAny()
		return
	}
	var before, after driver.Key
	if op != OpInsert {
		r.old = sized(r.old, t.reach)
		err := row.Old(r.old...)
		k, ok := t.keyOf(r.old)
		if err != nil || !ok {
			r.pending.addWhole(table)
			return
		}
		before = k
		r.pending.addKey(table, before)
	}
	if op != OpDelete {
		r.new = sized(r.new, t.reach)
		err := row.New(r.new...)
		k, ok := t.keyOf(r.new)
		if err != nil || !ok {
			r.pending.addWhole(table)
			return
		}
		if after = k; after != before || op == OpInsert {
			r.pending.addKey(table, after)
		}
	}
}

func sized(row []any, n int) []any {
	if cap(row) < n {
		return make([]any, n)
	}
	return row[:n]
}

// committing is called when SQLite is about to commit. It cannot be seen yet.
func (r *recorder) committing() int32 {
	defer r.guard()
	was := r.commit
	c := &commit{changes: r.pending, wrote: r.wrote.take()}
	r.pending, r.plan = changeSet{}, nil
	r.commit = c
	r.host.Committing.Add(1)
	r.host.Commits.Begin()
	bound := r.host.Hub.Tables()
	c.ann = r.host.Hub.AnnounceCommit(bound, c.changes.changes(bound, r.layout))
	if was != nil {
		// The statement before this one in the same text has committed, or
		// failed: to report it is right in either case.
		r.unchecked = true
		r.confirm(context.Background(), was, false)
	}
	return 0
}

// rolledBack is called when SQLite has rolled back: a transaction, or a single
// statement after another one in the same text that has committed.
func (r *recorder) rolledBack() {
	defer r.guard()
	r.pending, r.plan = changeSet{}, nil
	r.wrote.take()
	if r.commit != nil {
		r.commit.rolledBack = true
	}
}

// release is called when a call of the driver has returned, and by then what
// it has committed is visible. alone says that no transaction can be open on
// the connection.
func (r *recorder) release(ctx context.Context, err error, alone bool) []fanout.Awaited {
	r.plan = nil // a binding may have come meanwhile
	c := r.commit
	if c == nil {
		return nil
	}
	r.commit = nil
	c.doubtful = err != nil
	if err != nil && !c.rolledBack {
		// It may or may not have committed before it failed. SQLite takes its locks
		// before it calls the commit hook, so a commit that fails later is rolled
		// back, and the rollback hook says so. We do not depend on that: pending
		// changes stay pending, and reporting them again with the next commit is
		// harmless.
		var still changeSet
		still.merge(&c.changes)
		still.merge(&r.pending)
		r.pending = still
	}
	everything := r.layout == nil
	r.unchecked = true
	if alone {
		if everything = !r.compare(ctx); everything {
			r.begin(ctx) // the session may go on for long
		}
	}
	return r.confirm(ctx, c, everything)
}

// confirm reports a commit that is visible, and returns what its writer should
// wait for.
func (r *recorder) confirm(writer context.Context, c *commit, everything bool) []fanout.Awaited {
	if c.rolledBack || c.doubtful {
		c.wrote = nil
	}
	r.host.Commits.End(c.wrote...)
	defer r.host.Committed.Add(1)
	bound := r.host.Hub.Tables()
	if everything {
		return r.host.Hub.Confirm(writer, c.ann, bound.Everything())
	}
	return r.host.Hub.Confirm(writer, c.ann, c.changes.changes(bound, r.layout))
}

// compare reports whether the layout is that of the database still, and drops
// it if not. It must not be called in a transaction.
func (r *recorder) compare(ctx context.Context) bool {
	r.unchecked = false
	if r.layout != nil && !r.layout.current(context.WithoutCancel(ctx), r.conn) {
		r.layout = nil
	}
	return r.layout != nil
}

// begin prepares for what a session will write. It is called when the
// connection comes from the pool.
func (r *recorder) begin(ctx context.Context) {
	if !r.host.Hub.Watched() {
		return
	}
	b := r.host.Hub.Tables()
	if r.layout != nil && (r.layout.bound == b || r.layout.bound.SameAs(b)) {
		return
	}
	l, err := readLayout(ctx, r.conn, b)
	if err != nil {
		l = nil // whole tables are reported until it can be read
	}
	r.layout = l
}

// end is called when the connection goes back to the pool.
func (r *recorder) end() {
	r.release(context.Background(), nil, false)
	if r.unchecked && r.host.Hub.Watched() && !r.compare(context.Background()) {
		r.reportAll()
	}
}

// closed is called when the connection is closed. SQLite rolls back what is
// open on it, without calling the hook.
func (r *recorder) closed() {
	r.release(context.Background(), nil, false)
	r.pending = changeSet{}
	r.wrote.take()
	if r.unchecked && r.host.Hub.Watched() {
		r.unchecked = false
		r.reportAll()
	}
}

func (r *recorder) reportAll() { r.host.Hub.ReportAll() }
