package bunsource

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/internal/wrapdriver"
)

// script is a driver that does as it is told, and notes what it is asked.
type script struct {
	log    []string
	errs   map[string]error // by the statement's text, or what is called
	panics string
	legacy bool // without the interfaces that have a context
	closed bool
}

func (s *script) do(what string) error {
	s.log = append(s.log, what)
	if s.panics == what {
		panic(what)
	}
	return s.errs[what]
}

func (s *script) Connect(context.Context) (sqldriver.Conn, error) {
	if s.legacy {
		return legacyConn{s}, nil
	}
	return &modernConn{legacyConn{s}}, nil
}

func (s *script) Driver() sqldriver.Driver { return s }

func (s *script) Open(string) (sqldriver.Conn, error) { return s.Connect(context.Background()) }

func (s *script) Close() error { s.closed = true; return nil }

func (s *script) LastInsertId() (int64, error) { return 7, nil }

func (s *script) RowsAffected() (int64, error) { return 1, nil }

func (s *script) Commit() error { return s.do("COMMIT") }

func (s *script) Rollback() error { return s.do("ROLLBACK") }

func (s *script) Columns() []string { return []string{"id"} }

func (s *script) Next([]sqldriver.Value) error { return io.EOF }

func (s *script) ConvertValue(v any) (sqldriver.Value, error) {
	if err := s.do("convert"); err != nil {
		return nil, err
	}
	return sqldriver.DefaultParameterConverter.ConvertValue(v)
}

type scriptRows struct{ *script }

func (r scriptRows) Close() error { return r.do("close rows") }

// legacyConn has nothing but what a driver must have.
type legacyConn struct{ s *script }

func (c legacyConn) Prepare(query string) (sqldriver.Stmt, error) {
	return legacyStmt{c.s, query}, c.s.do("prepare " + query)
}

func (c legacyConn) Close() error { return nil }

func (c legacyConn) Begin() (sqldriver.Tx, error) { return c.s, c.s.do("BEGIN") }

type legacyStmt struct {
	s     *script
	query string
}

func (s legacyStmt) Close() error { return nil }

func (s legacyStmt) NumInput() int { return strings.Count(s.query, "?") }

func (s legacyStmt) Exec(args []sqldriver.Value) (sqldriver.Result, error) {
	return s.s, s.s.do(s.query)
}

func (s legacyStmt) Query(args []sqldriver.Value) (sqldriver.Rows, error) {
	return scriptRows{s.s}, s.s.do(s.query)
}

func (s legacyStmt) ColumnConverter(int) sqldriver.ValueConverter { return s.s }

type modernConn struct{ legacyConn }

func (c *modernConn) ExecContext(_ context.Context, query string, _ []sqldriver.NamedValue) (sqldriver.Result, error) {
	return c.s, c.s.do(query)
}

func (c *modernConn) QueryContext(_ context.Context, query string, _ []sqldriver.NamedValue) (sqldriver.Rows, error) {
	return scriptRows{c.s}, c.s.do(query)
}

func (c *modernConn) BeginTx(context.Context, sqldriver.TxOptions) (sqldriver.Tx, error) {
	return c.s, c.s.do("BEGIN")
}

func scripted(t *testing.T, s *script) (*bun.DB, *fakeSink) {
	t.Helper()
	db := OpenConnector(s, sqlitedialect.New())
	t.Cleanup(func() {
		if err := db.Close(); err != nil || !s.closed {
			t.Errorf("Close: %v, connector closed: %v", err, s.closed)
		}
	})
	sink := newFakeSink(nil, *testTable(keyColumn("id", value.KindInt, filter.Exact)))
	startWatching(t, Hooks(db), sink)
	return db, sink
}

func (s *fakeSink) expect(t *testing.T, what string, reports int) []fakeReport {
	t.Helper()
	got := s.take()
	if len(got) != reports {
		t.Errorf("%s: reported %v, want %d reports", what, changesOf(got), reports)
	}
	if n := s.announced(); n > 0 {
		t.Errorf("%s: %d announcements are open", what, n)
	}
	return got
}

// A commit of which the answer is lost is reported, and reported again.
func TestCommitsInDoubt(t *testing.T) {
	for _, lost := range []error{io.ErrUnexpectedEOF, sqldriver.ErrBadConn, context.DeadlineExceeded} {
		s := &script{errs: map[string]error{"COMMIT": lost}}
		db, sink := scripted(t, s)
		err := db.RunInTx(t.Context(), nil, func(_ context.Context, tx bun.Tx) error {
			rawExec(t, tx, "DELETE FROM t WHERE id IN (1, 2)")
			return nil
		})
		if !errors.Is(err, lost) {
			t.Errorf("the commit returned %v, want %v", err, lost)
		}
		reports := sink.expect(t, lost.Error(), 1)
		if keys, whole := reportedKeys(reports); keys != 2 || whole {
			t.Errorf("%v: reported %v", lost, changesOf(reports))
		}
		waitFor(t, "the second report", func() bool { return sink.count() > 0 })
	}
}

func TestCommitsThatFail(t *testing.T) {
	s := &script{errs: map[string]error{"COMMIT": errRefused}}
	db, sink := scripted(t, s)
	err := db.RunInTx(t.Context(), nil, func(_ context.Context, tx bun.Tx) error {
		rawExec(t, tx, "DELETE FROM t WHERE id IN (1, 2)")
		return nil
	})
	if !errors.Is(err, errRefused) {
		t.Errorf("the commit returned %v", err)
	}
	sink.expect(t, "a commit that fails", 1)
}

func TestRollbacksReportNothing(t *testing.T) {
	s := &script{}
	db, sink := scripted(t, s)
	_ = db.RunInTx(t.Context(), nil, func(_ context.Context, tx bun.Tx) error {
		rawExec(t, tx, "DELETE FROM t WHERE id IN (1, 2)")
		return errRefused
	})
	sink.expect(t, "a rollback", 0)
	if want := []string{"BEGIN", "DELETE FROM t WHERE id IN (1, 2)", "ROLLBACK"}; !slices.Equal(s.log, want) {
		t.Errorf("the driver was asked for %q", s.log)
	}
}

// A driver that panics leaves no announcement behind.
func TestDriversThatPanic(t *testing.T) {
	const many = "DELETE FROM t WHERE id IN (1, 2)"
	for _, at := range []string{many, "COMMIT"} {
		s := &script{panics: at}
		db, sink := scripted(t, s)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			if at == many {
				rawExec(t, db, many)
				return
			}
			tx, err := db.BeginTx(t.Context(), nil)
			must(t, tx, err)
			rawExec(t, tx, many)
			_ = tx.Commit()
		}()
		sink.expect(t, at, 1)
	}
}

// database/sql tries a statement again on another connection when the first
// has refused it.
func TestRetriesReportOnce(t *testing.T) {
	const query = "DELETE FROM t WHERE id IN (1, 2)"
	s := &script{errs: map[string]error{query: sqldriver.ErrBadConn}}
	db, sink := scripted(t, s)
	if _, err := db.Exec(query); !errors.Is(err, sqldriver.ErrBadConn) {
		t.Errorf("Exec returned %v", err)
	}
	if len(s.log) < 2 {
		t.Errorf("the driver was asked for %q", s.log)
	}
	sink.expect(t, "a statement that was never run", 0)
	s.errs = nil
	rawExec(t, db, query)
	sink.expect(t, "a statement that was run", 1)
}

// Rows that fail may be those of a statement that has run.
func TestRowsThatFail(t *testing.T) {
	s := &script{errs: map[string]error{"close rows": sqldriver.ErrBadConn}}
	db, sink := scripted(t, s)
	rows, err := db.QueryContext(t.Context(), "DELETE FROM t RETURNING id")
	must(t, rows, err)
	if sink.announced() != 1 {
		t.Error("nothing is announced while the rows are open")
	}
	for rows.Next() {
	}
	_ = rows.Close()
	sink.expect(t, "rows that fail", 1)
}

// A driver without optional interfaces works as it does without the wrapper.
func TestDriversWithoutOptions(t *testing.T) {
	s := &script{legacy: true}
	db, sink := scripted(t, s)
	const query = "DELETE FROM t WHERE id = ?"
	if _, err := db.DB.ExecContext(t.Context(), query, 5); err != nil {
		t.Fatal(err)
	}
	if want := []string{"prepare " + query, "convert", query}; !slices.Equal(s.log, want) {
		t.Errorf("the driver was asked for %q, want %q", s.log, want)
	}
	reports := sink.expect(t, "a prepared statement", 1)
	if !covers(reports[0].changes, driver.Table{Name: "t"}, driver.KeyOf(5)) || len(reports[0].changes[0].Keys) != 1 {
		t.Errorf("reported %v", changesOf(reports))
	}
	exec(t, db.NewRaw("DELETE FROM t")) // through Bun, with a record
	sink.expect(t, "a statement of Bun", 1)

	if _, err := db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true}); err == nil {
		t.Error("a read-only transaction began")
	}
	if _, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSerializable}); err == nil {
		t.Error("a serializable transaction began")
	}
	if _, err := db.DB.ExecContext(t.Context(), query, sql.Named("id", 5)); err == nil {
		t.Error("a named argument was taken")
	}
	sink.expect(t, "a statement that is refused", 1) // for all that the wrapper knows it was run
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, err := wrapdriver.Wrap(s, newTracker(true)).Connect(t.Context())
	must(t, c, err)
	if _, err := c.(sqldriver.ConnBeginTx).BeginTx(ctx, sqldriver.TxOptions{}); !errors.Is(err, context.Canceled) || s.log[len(s.log)-1] != "ROLLBACK" {
		t.Errorf("a cancelled BeginTx returned %v after %q", err, s.log)
	}
	if err := db.Ping(); err != nil {
		t.Error(err)
	}
	sink.expect(t, "transactions that are refused", 0)
}

// The wrapped connection answers for every optional interface as the driver's
// own does.
func TestColumnTypesAreKept(t *testing.T) {
	eachHookDB(t, func(t *testing.T, h *hookDB) {
		const query = `UPDATE items SET price = 1 WHERE id = 1 RETURNING id, name, email, price`
		types := func(db *sql.DB) []*sql.ColumnType {
			rows, err := db.Query(query)
			must(t, db, err)
			defer rows.Close()
			types, err := rows.ColumnTypes()
			must(t, db, err)
			return types
		}
		got, want := types(h.db.DB), types(h.plain.DB)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the columns are %+v, want %+v", got, want)
		}
	})
}

// What is done with the driver's own connection nobody sees, so it counts as
// everything.
func TestUnwrap(t *testing.T) {
	h := newHookDB(t, dialect.SQLite, true)
	conn, err := h.db.DB.Conn(t.Context())
	must(t, conn, err)
	reports := h.check(t, false, func() {
		must(t, conn, conn.Raw(func(c any) error {
			inner := Unwrap(c)
			if inner == c || inner != Unwrap(inner) {
				t.Errorf("Unwrap returned a %T, and of that a %T", inner, Unwrap(inner))
			}
			_, err := inner.(sqldriver.ExecerContext).ExecContext(t.Context(), "DELETE FROM items", nil)
			return err
		}))
		must(t, conn, conn.Close())
	})
	if !slices.ContainsFunc(reports, func(r fakeReport) bool { return r.changes[0].Table.Name == "" }) {
		t.Errorf("reported %v", changesOf(reports))
	}
}

// The loader's reads are not looked at.
func TestLoadersBypassTheHooks(t *testing.T) {
	s := &script{}
	db, sink := scripted(t, s)
	ctx := withoutHooks(t.Context())
	if _, err := db.ExecContext(ctx, "DELETE FROM t"); err != nil {
		t.Fatal(err)
	}
	must(t, db, db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM t")
		return err
	}))
	sink.expect(t, "a loader", 0)
}
