package wrapdriver

//lint:file-ignore SA1019 a wrapper offers whatever the wrapped driver offers, the old interfaces too

import (
	"context"
	sqldriver "database/sql/driver"
)

// stmt is a prepared statement that is observed.
type stmt struct {
	inner    sqldriver.Stmt
	conn     *Conn
	observed Statement
}

var (
	_ sqldriver.StmtExecContext   = (*stmt)(nil)
	_ sqldriver.StmtQueryContext  = (*stmt)(nil)
	_ sqldriver.NamedValueChecker = (*stmt)(nil)
)

// convertingStmt is a stmt whose driver converts arguments column by column,
// which database/sql finds by the method.
type convertingStmt struct {
	*stmt
	converter sqldriver.ColumnConverter //nolint:staticcheck // SA1019: drivers still have it
}

// ColumnConverter implements [sqldriver.ColumnConverter].
func (s convertingStmt) ColumnConverter(i int) sqldriver.ValueConverter {
	return s.converter.ColumnConverter(i)
}

func newStmt(inner sqldriver.Stmt, c *Conn, observed Statement) sqldriver.Stmt {
	s := &stmt{inner: inner, conn: c, observed: observed}
	if cc, ok := inner.(sqldriver.ColumnConverter); ok { //nolint:staticcheck // SA1019: drivers still have it
		return convertingStmt{stmt: s, converter: cc}
	}
	return s
}

// Close implements [sqldriver.Stmt].
func (s *stmt) Close() error {
	err := s.inner.Close()
	s.observed.Close()
	return err
}

// start has the session look at a run of the statement.
func (s *stmt) start(ctx context.Context, args []sqldriver.NamedValue) *run {
	s.conn.settle()
	if call := s.observed.Start(ctx, args); call != nil {
		return &run{call: call}
	}
	return nil
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
	return s.start(ctx, args).exec(func() (sqldriver.Result, error) { return s.execInner(ctx, args) })
}

func (s *stmt) execInner(ctx context.Context, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	if e, ok := s.inner.(sqldriver.StmtExecContext); ok {
		return e.ExecContext(ctx, args)
	}
	values, err := plainValues(ctx, args)
	if err != nil {
		return nil, err
	}
	return s.inner.Exec(values) //nolint:staticcheck // SA1019: what database/sql falls back to
}

// QueryContext implements [sqldriver.StmtQueryContext].
func (s *stmt) QueryContext(ctx context.Context, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	return s.start(ctx, args).query(func() (sqldriver.Rows, error) { return s.queryInner(ctx, args) })
}

func (s *stmt) queryInner(ctx context.Context, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	if q, ok := s.inner.(sqldriver.StmtQueryContext); ok {
		return q.QueryContext(ctx, args)
	}
	values, err := plainValues(ctx, args)
	if err != nil {
		return nil, err
	}
	return s.inner.Query(values) //nolint:staticcheck // SA1019: what database/sql falls back to
}

// CheckNamedValue implements [sqldriver.NamedValueChecker].
func (s *stmt) CheckNamedValue(v *sqldriver.NamedValue) error {
	if check, ok := s.inner.(sqldriver.NamedValueChecker); ok {
		return check.CheckNamedValue(v)
	}
	return s.conn.CheckNamedValue(v)
}

func namedValues(args []sqldriver.Value) []sqldriver.NamedValue {
	out := make([]sqldriver.NamedValue, len(args))
	for i, v := range args {
		out[i] = sqldriver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return out
}
