package commits

import (
	"context"
	sqldriver "database/sql/driver"

	"github.com/binderyhq/bindery/sources/internal/sqltext"
	"github.com/binderyhq/bindery/sources/internal/wrapdriver"
)

// session observes one connection by the text of what runs on it.
type session struct {
	tracker *Tracker
	conn    *wrapdriver.Conn
	tx      txState
	read    read // reused: one runs at a time
}

func newSession(t *Tracker, conn *wrapdriver.Conn) *session {
	s := &session{tracker: t, conn: conn}
	s.tx.tracker = t
	s.read.session = s
	return s
}

// Statement implements [wrapdriver.Session].
func (s *session) Statement(ctx context.Context, text string, prepared bool) wrapdriver.Statement {
	rec, bypass := recordOf(ctx, text)
	if bypass {
		return nil
	}
	p := s.tracker.Parse(text)
	switch {
	case p == nil && prepared:
		return nil // nothing to observe
	case p == nil:
		s.read.rec = rec
		return &s.read
	}
	return &statement{session: s, p: p, rec: rec, prepared: prepared}
}

// Begin implements [wrapdriver.Session].
func (s *session) Begin(ctx context.Context) wrapdriver.Tx {
	if Bypassed(ctx) {
		return nil
	}
	s.tx.begin(ctx, txRecordOf(ctx, s.conn))
	return &driverTx{session: s}
}

// Acquired implements [wrapdriver.Session].
func (*session) Acquired(context.Context) {}

// Released implements [wrapdriver.Session].
func (*session) Released() {}

// Bypassed implements [wrapdriver.Session]. The wrapper has missed statements, so it
// reports every table.
func (s *session) Bypassed() {
	if s.tx.phase != txNone {
		s.tx.pending.addAny()
	}
	s.tracker.ReportAll()
}

// Closed implements [wrapdriver.Session].
func (s *session) Closed() { s.tx.closed() }

// read is a statement that only reads, and its run.
type read struct {
	session *session
	rec     *StatementRecord
}

// Start implements [wrapdriver.Statement].
func (r *read) Start(context.Context, []sqldriver.NamedValue) wrapdriver.Call {
	r.rec.reached(r.session.conn)
	return r
}

// Close implements [wrapdriver.Statement].
func (*read) Close() {}

// Rows implements [wrapdriver.Call].
func (*read) Rows() bool { return false }

// Next implements [wrapdriver.Call].
func (*read) Next(func() []string, []sqldriver.Value, error) {}

// NextResult implements [wrapdriver.Call].
func (*read) NextResult() {}

// Done implements [wrapdriver.Call].
func (r *read) Done(_ sqldriver.Result, err error) { r.session.tx.afterRead(err) }

// statement is a text that writes, or begins or ends transactions or savepoints.
type statement struct {
	session  *session
	p        *sqltext.Text
	rec      *StatementRecord // of the context in which it runs, or was prepared
	prepared bool
}

// Start implements [wrapdriver.Statement].
func (s *statement) Start(ctx context.Context, args []sqldriver.NamedValue) wrapdriver.Call {
	rec := s.rec
	if s.prepared {
		var bypass bool
		if rec, bypass = recordOf(ctx, s.p.Source); bypass {
			return nil
		}
	}
	return s.session.start(ctx, s.p, rec, args)
}

// Close implements [wrapdriver.Statement]. A prepared statement may still have open
// rows, so its text is left to the garbage collector.
func (s *statement) Close() {
	if !s.prepared {
		s.p.Release()
	}
}

// driverTx is a transaction begun by [sql.DB.BeginTx] and the like.
type driverTx struct {
	session *session
	rec     *TxRecord
	ending  *commit
}

// Committing implements [wrapdriver.Tx].
func (t *driverTx) Committing() {
	t.rec, t.ending = t.session.tx.begun, t.session.tx.announce(nil)
	t.session.tracker.Commits().Begin()
}

// Committed implements [wrapdriver.Tx].
func (t *driverTx) Committed(err error) {
	s := t.session
	s.tracker.Commits().End() // it may not have written
	out := t.ending.done(s.tracker, err)
	s.tx.ended(err)
	t.rec.committed(out)
}

// RolledBack implements [wrapdriver.Tx].
func (t *driverTx) RolledBack(err error) { t.session.tx.ended(err) }
