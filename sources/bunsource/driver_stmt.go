package bunsource

//lint:file-ignore SA1019 a wrapper offers whatever the wrapped driver offers, the old interfaces too

import (
	"context"
	"database/sql/driver"
)

// stmt is a prepared statement that writes.
type stmt struct {
	inner driver.Stmt
	conn  *conn
	p     *parsed
}

var (
	_ driver.StmtExecContext   = (*stmt)(nil)
	_ driver.StmtQueryContext  = (*stmt)(nil)
	_ driver.NamedValueChecker = (*stmt)(nil)
)

// convertingStmt is a stmt whose driver converts arguments column by column,
// which database/sql finds by the method.
type convertingStmt struct {
	*stmt
	converter driver.ColumnConverter //nolint:staticcheck // SA1019: drivers still have it
}

// ColumnConverter implements [driver.ColumnConverter].
func (s convertingStmt) ColumnConverter(i int) driver.ValueConverter {
	return s.converter.ColumnConverter(i)
}

func newStmt(inner driver.Stmt, c *conn, p *parsed) driver.Stmt {
	s := &stmt{inner: inner, conn: c, p: p}
	if cc, ok := inner.(driver.ColumnConverter); ok { //nolint:staticcheck // SA1019: drivers still have it
		return convertingStmt{stmt: s, converter: cc}
	}
	return s
}

// Close implements [driver.Stmt].
func (s *stmt) Close() error { return s.inner.Close() }

// NumInput implements [driver.Stmt].
func (s *stmt) NumInput() int { return s.inner.NumInput() }

// Exec implements [driver.Stmt]; database/sql calls ExecContext.
func (s *stmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), namedValues(args))
}

// Query implements [driver.Stmt]; database/sql calls QueryContext.
func (s *stmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), namedValues(args))
}

// ExecContext implements [driver.StmtExecContext].
func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	rec, bypass := recordOf(ctx, s.p.src)
	if bypass {
		return s.execInner(ctx, args)
	}
	s.conn.settleRaw()
	x := s.conn.start(s.p, rec, args)
	x.shared = true
	defer x.abort()
	res, err := s.execInner(ctx, args)
	x.finish(res, err)
	return res, err
}

func (s *stmt) execInner(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if e, ok := s.inner.(driver.StmtExecContext); ok {
		return e.ExecContext(ctx, args)
	}
	values, err := plainValues(ctx, args)
	if err != nil {
		return nil, err
	}
	return s.inner.Exec(values) //nolint:staticcheck // SA1019: what database/sql falls back to
}

// QueryContext implements [driver.StmtQueryContext].
func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	rec, bypass := recordOf(ctx, s.p.src)
	if bypass {
		return s.queryInner(ctx, args)
	}
	s.conn.settleRaw()
	x := s.conn.start(s.p, rec, args)
	x.shared = true
	defer x.abort()
	rows, err := s.queryInner(ctx, args)
	if err != nil {
		x.finish(nil, err)
		return nil, err
	}
	return newRows(rows, x), nil
}

func (s *stmt) queryInner(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if q, ok := s.inner.(driver.StmtQueryContext); ok {
		return q.QueryContext(ctx, args)
	}
	values, err := plainValues(ctx, args)
	if err != nil {
		return nil, err
	}
	return s.inner.Query(values) //nolint:staticcheck // SA1019: what database/sql falls back to
}

// CheckNamedValue implements [driver.NamedValueChecker].
func (s *stmt) CheckNamedValue(v *driver.NamedValue) error {
	if check, ok := s.inner.(driver.NamedValueChecker); ok {
		return check.CheckNamedValue(v)
	}
	return s.conn.CheckNamedValue(v)
}

func namedValues(args []driver.Value) []driver.NamedValue {
	out := make([]driver.NamedValue, len(args))
	for i, v := range args {
		out[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return out
}
