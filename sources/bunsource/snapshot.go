package bunsource

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
	"github.com/binderyhq/bindery/sources/bunsource/internal/readtables"
)

// snapshotKey is the context key of the snapshot of one database handle.
type snapshotKey struct{ db *sql.DB }

// snapshot is a read-only transaction that a context carries. A connection
// runs one statement at a time, so readers take turns.
type snapshot struct {
	db   *sql.DB
	tx   *sql.Tx
	turn chan struct{} // holds a token while nobody reads
}

// Snapshot opens a read-only transaction that sees one state of the database.
// All loaders over the same *sql.DB read in that transaction when they are given
// the snapshot's context. It holds one connection until it is closed, or ctx is
// done.
//
// On SQLite in rollback-journal mode an open snapshot keeps writers waiting, and
// so does a pool of one connection; in WAL mode it does not.
func (l *Loader[T]) Snapshot(ctx context.Context) (driver.Snapshot, error) {
	m, err := l.model()
	if err != nil {
		return nil, err
	}
	s, err := openSnapshot(withoutHooks(ctx), m)
	if err != nil {
		return nil, fmt.Errorf("bunsource: opening a snapshot for table %q: %w", m.Schema.Table, err)
	}
	return s, nil
}

func openSnapshot(ctx context.Context, m *model.Model) (*snapshot, error) {
	opts := &sql.TxOptions{ReadOnly: true}
	// A transaction sees the state at its first read, not at its BEGIN. So it
	// reads something small at once.
	var first string
	gen := m.DB.QueryGen()
	table := m.Schema.Table
	if len(m.Schema.Depends) > 0 { // a query is no table, but reads some
		table = m.Schema.Depends[0]
	}
	switch m.DB.Dialect().Name() {
	case dialect.SQLite:
		first = "SELECT EXISTS (SELECT 1 FROM sqlite_master)"
		if s := table.Schema; s != "" { // it may be an attached database
			first = gen.FormatQuery("SELECT EXISTS (SELECT 1 FROM ?.sqlite_master)", bun.Ident(s))
		}
	case dialect.PG:
		opts.Isolation = sql.LevelRepeatableRead
		first = "SELECT 1"
	default:
		// InnoDB needs a read of a table of its own. START TRANSACTION WITH
		// CONSISTENT SNAPSHOT would do too, but database/sql cannot say it.
		opts.Isolation = sql.LevelRepeatableRead
		first = "SELECT EXISTS (SELECT 1 FROM " + readtables.Quoted(m.DB, table) + ")"
	}
	tx, err := m.DB.DB.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	var ignored any
	if err := tx.QueryRowContext(ctx, first).Scan(&ignored); err != nil {
		_ = tx.Rollback() // it has read nothing that matters
		return nil, err
	}
	s := &snapshot{db: m.DB.DB, tx: tx, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s, nil
}

var _ driver.ScalarSnapshot = (*snapshot)(nil)

// Context implements [driver.Snapshot].
func (s *snapshot) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, snapshotKey{s.db}, s)
}

// Close implements [driver.Snapshot]. An error of the rollback means that the
// transaction has ended already, with its context or its connection.
func (s *snapshot) Close() { _ = s.tx.Rollback() }

// take waits for the reader's turn; give ends it.
func (s *snapshot) take(ctx context.Context) error {
	select {
	case <-s.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *snapshot) give() { s.turn <- struct{}{} }

// Scalar implements [driver.ScalarSnapshot].
func (s *snapshot) Scalar(ctx context.Context, statement string) (text string, err error) {
	if err := s.take(ctx); err != nil {
		return "", err
	}
	defer s.give()
	err = s.tx.QueryRowContext(withoutHooks(ctx), statement).Scan(&text)
	return text, err
}

// withConn calls read with a connection: the one of the context's snapshot; without
// one, a new snapshot's if the read takes several statements, or any of the pool.
func withConn(ctx context.Context, m *model.Model, several bool, read func(context.Context, bun.IConn) error) error {
	s, _ := ctx.Value(snapshotKey{m.DB.DB}).(*snapshot)
	switch {
	case s == nil && several:
		var err error
		if s, err = openSnapshot(ctx, m); err != nil {
			return fmt.Errorf("opening a snapshot: %w", err)
		}
		defer s.Close()
	case s == nil:
		return read(ctx, m.DB.DB)
	}
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	return read(ctx, s.tx)
}
