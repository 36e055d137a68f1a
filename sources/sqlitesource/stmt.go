package sqlitesource

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// stmt is a prepared statement.
type stmt struct {
	inner  innerStmt
	conn   *conn
	single bool // its text is one statement
}

// innerStmt is a statement of modernc.org/sqlite.
type innerStmt interface {
	sqldriver.Stmt
	sqldriver.StmtExecContext
	sqldriver.StmtQueryContext
}

var _ innerStmt = (*stmt)(nil)

func newStmt(c *conn, in sqldriver.Stmt, single bool) (sqldriver.Stmt, error) {
	known, ok := in.(innerStmt)
	if !ok {
		_ = in.Close() // it is not used
		return nil, fmt.Errorf("sqlitesource: preparing a statement: type %T takes no context", in)
	}
	return &stmt{inner: known, conn: c, single: single}, nil
}

// Close implements [sqldriver.Stmt].
func (s *stmt) Close() error {
	err := s.inner.Close()
	s.conn.rec.release(context.Background(), err, false)
	return err
}

// NumInput implements [sqldriver.Stmt].
func (s *stmt) NumInput() int { return s.inner.NumInput() }

// Exec implements [sqldriver.Stmt]; database/sql calls ExecContext.
func (s *stmt) Exec(args []sqldriver.Value) (sqldriver.Result, error) {
	return s.ExecContext(context.Background(), namedValues(args))
}

// Query implements [sqldriver.Stmt]; database/sql calls QueryContext.
func (s *stmt) Query(args []sqldriver.Value) (sqldriver.Rows, error) {
	return s.QueryContext(context.Background(), namedValues(args))
}

// ExecContext implements [sqldriver.StmtExecContext].
func (s *stmt) ExecContext(ctx context.Context, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	res, err := s.inner.ExecContext(ctx, args)
	s.conn.rec.release(ctx, err, err == nil && s.single)
	return res, err
}

// QueryContext implements [sqldriver.StmtQueryContext].
func (s *stmt) QueryContext(ctx context.Context, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	res, err := s.inner.QueryContext(ctx, args)
	s.conn.rec.release(ctx, err, err == nil && s.single)
	if err != nil {
		return nil, err
	}
	return newRows(ctx, s.conn, res, s.single), nil
}

func namedValues(args []sqldriver.Value) []sqldriver.NamedValue {
	out := make([]sqldriver.NamedValue, len(args))
	for i, v := range args {
		out[i] = sqldriver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return out
}

// rows are the rows of a query. A statement with RETURNING commits when they
// have been read to their end, or are closed.
type rows struct {
	innerRows
	conn   *conn
	ctx    context.Context //nolint:containedctx // of the query that the rows answer
	single bool
}

// innerRows are rows of modernc.org/sqlite.
type innerRows interface {
	sqldriver.Rows
	sqldriver.RowsColumnTypeDatabaseTypeName
	sqldriver.RowsColumnTypeLength
	sqldriver.RowsColumnTypeNullable
	sqldriver.RowsColumnTypePrecisionScale
	sqldriver.RowsColumnTypeScanType
}

func newRows(ctx context.Context, c *conn, in sqldriver.Rows, single bool) sqldriver.Rows {
	known, ok := in.(innerRows)
	if !ok {
		known = plainRows{in}
	}
	return &rows{innerRows: known, conn: c, ctx: ctx, single: single}
}

// Next implements [sqldriver.Rows].
func (r *rows) Next(dest []sqldriver.Value) error {
	err := r.innerRows.Next(dest)
	if r.conn.rec.commit != nil {
		failed := err
		if errors.Is(err, io.EOF) {
			failed = nil
		}
		r.conn.rec.release(r.ctx, failed, failed == nil && r.single)
	}
	return err
}

// Close implements [sqldriver.Rows].
func (r *rows) Close() error {
	err := r.innerRows.Close()
	r.conn.rec.release(r.ctx, err, err == nil && r.single)
	return err
}

// plainRows are rows of which the driver can tell no types.
type plainRows struct{ sqldriver.Rows }

func (plainRows) ColumnTypeDatabaseTypeName(int) string      { return "" }
func (plainRows) ColumnTypeLength(int) (int64, bool)         { return 0, false }
func (plainRows) ColumnTypeNullable(int) (nullable, ok bool) { return false, false }

func (plainRows) ColumnTypePrecisionScale(int) (precision, scale int64, ok bool) { return 0, 0, false }

func (plainRows) ColumnTypeScanType(int) reflect.Type { return reflect.TypeFor[any]() }
