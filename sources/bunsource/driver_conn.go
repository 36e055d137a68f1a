package bunsource

//lint:file-ignore SA1019 a wrapper offers whatever the wrapped driver offers, the old interfaces too

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"sync/atomic"
)

// conn is a connection that tells the tracker what it commits. database/sql
// never uses a connection, its statements, rows and transactions concurrently,
// so none of them locks; what the query hook asks from outside is atomic.
//
// It implements every optional interface. Where the driver lacks one it does
// what database/sql does for drivers without it.
type conn struct {
	inner   sqldriver.Conn
	tracker *tracker

	prepare  sqldriver.ConnPrepareContext
	exec     sqldriver.ExecerContext
	query    sqldriver.QueryerContext
	begin    sqldriver.ConnBeginTx
	check    sqldriver.NamedValueChecker
	reset    sqldriver.SessionResetter
	validate sqldriver.Validator
	ping     sqldriver.Pinger

	uses atomic.Uint64 // counts how often the connection came back to the pool
	raw  bool          // somebody has the driver's connection in hand
	tx   txState
}

var (
	_ sqldriver.Conn               = (*conn)(nil)
	_ sqldriver.ConnPrepareContext = (*conn)(nil)
	_ sqldriver.ExecerContext      = (*conn)(nil)
	_ sqldriver.QueryerContext     = (*conn)(nil)
	_ sqldriver.ConnBeginTx        = (*conn)(nil)
	_ sqldriver.NamedValueChecker  = (*conn)(nil)
	_ sqldriver.SessionResetter    = (*conn)(nil)
	_ sqldriver.Validator          = (*conn)(nil)
	_ sqldriver.Pinger             = (*conn)(nil)
)

func newConn(inner sqldriver.Conn, t *tracker) *conn {
	c := &conn{inner: inner, tracker: t}
	c.tx.tracker = t
	c.prepare, _ = inner.(sqldriver.ConnPrepareContext)
	c.exec, _ = inner.(sqldriver.ExecerContext)
	c.query, _ = inner.(sqldriver.QueryerContext)
	c.begin, _ = inner.(sqldriver.ConnBeginTx)
	c.check, _ = inner.(sqldriver.NamedValueChecker)
	c.reset, _ = inner.(sqldriver.SessionResetter)
	c.validate, _ = inner.(sqldriver.Validator)
	c.ping, _ = inner.(sqldriver.Pinger)
	return c
}

// Unwrap returns the driver's own connection, from what [sql.Conn.Raw] hands
// out for a wrapped driver; anything else is returned as it is. With pgx:
//
//	err := sqlconn.Raw(func(c any) error {
//		pgxconn := bunsource.Unwrap(c).(*stdlib.Conn).Conn()
//		…
//	})
//
// What is done with it is not seen. So every table is reported when the
// connection is used again or given back, whichever comes first.
func Unwrap(driverConn any) any {
	if c, ok := driverConn.(*conn); ok {
		return c.Unwrap()
	}
	return driverConn
}

// Unwrap is [Unwrap] for packages that do not import this one.
func (c *conn) Unwrap() sqldriver.Conn {
	c.raw = true
	return c.inner
}

// settleRaw reports every table when the driver's connection was handed out:
// nobody saw what was done with it.
func (c *conn) settleRaw() {
	if !c.raw {
		return
	}
	c.raw = false
	if c.tx.phase != txNone {
		c.tx.pending.addAny()
	}
	c.tracker.Confirm(nil, c.tracker.Tables().Everything())
}

// ExecContext implements [sqldriver.ExecerContext].
func (c *conn) ExecContext(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	rec, bypass := recordOf(ctx, query)
	if bypass {
		return c.execInner(ctx, query, args)
	}
	c.settleRaw()
	p := c.tracker.parse(query)
	if p == nil {
		rec.reached(c)
		res, err := c.execInner(ctx, query, args)
		c.tx.afterRead(err)
		return res, err
	}
	x := c.start(p, rec, args)
	defer x.release()
	defer x.abort()
	res, err := c.execInner(ctx, query, args)
	x.finish(res, err)
	return res, err
}

func (c *conn) execInner(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	if c.exec != nil {
		return c.exec.ExecContext(ctx, query, args)
	}
	legacy, ok := c.inner.(sqldriver.Execer) //nolint:staticcheck // SA1019: what database/sql falls back to
	if !ok {
		return nil, sqldriver.ErrSkip
	}
	values, err := plainValues(ctx, args)
	if err != nil {
		return nil, err
	}
	return legacy.Exec(query, values)
}

// QueryContext implements [sqldriver.QueryerContext].
func (c *conn) QueryContext(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	rec, bypass := recordOf(ctx, query)
	if bypass {
		return c.queryInner(ctx, query, args)
	}
	c.settleRaw()
	p := c.tracker.parse(query)
	if p == nil {
		rec.reached(c)
		rows, err := c.queryInner(ctx, query, args)
		c.tx.afterRead(err)
		return rows, err
	}
	x := c.start(p, rec, args)
	defer x.abort() // does nothing once rows are open
	rows, err := c.queryInner(ctx, query, args)
	if err != nil {
		x.finish(nil, err)
		x.release()
		return nil, err
	}
	return newRows(rows, x), nil
}

func (c *conn) queryInner(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	if c.query != nil {
		return c.query.QueryContext(ctx, query, args)
	}
	legacy, ok := c.inner.(sqldriver.Queryer) //nolint:staticcheck // SA1019: what database/sql falls back to
	if !ok {
		return nil, sqldriver.ErrSkip
	}
	values, err := plainValues(ctx, args)
	if err != nil {
		return nil, err
	}
	return legacy.Query(query, values)
}

// Prepare implements [sqldriver.Conn].
func (c *conn) Prepare(query string) (sqldriver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext implements [sqldriver.ConnPrepareContext].
func (c *conn) PrepareContext(ctx context.Context, query string) (sqldriver.Stmt, error) {
	inner, err := c.prepareInner(ctx, query)
	if err != nil {
		return nil, err
	}
	if isBypass(ctx) {
		return inner, nil
	}
	p := c.tracker.parse(query)
	if p == nil {
		// The statement is used as it is: it has nothing to tell. The driver's
		// connection checks its arguments, as it would without the wrapper.
		return inner, nil
	}
	return newStmt(inner, c, p), nil
}

func (c *conn) prepareInner(ctx context.Context, query string) (sqldriver.Stmt, error) {
	if c.prepare != nil {
		return c.prepare.PrepareContext(ctx, query)
	}
	inner, err := c.inner.Prepare(query)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		_ = inner.Close() // the context's error is the one to tell
		return nil, err
	}
	return inner, nil
}

// Begin implements [sqldriver.Conn]; database/sql calls BeginTx.
func (c *conn) Begin() (sqldriver.Tx, error) {
	return c.BeginTx(context.Background(), sqldriver.TxOptions{})
}

// BeginTx implements [sqldriver.ConnBeginTx].
func (c *conn) BeginTx(ctx context.Context, opts sqldriver.TxOptions) (sqldriver.Tx, error) {
	c.settleRaw()
	inner, err := c.beginInner(ctx, opts)
	if err != nil {
		return nil, err
	}
	if isBypass(ctx) {
		return inner, nil
	}
	rec := txRecordOf(ctx)
	if rec != nil && !rec.reached(c) {
		rec = nil // the context of another transaction
	}
	c.tx.begin(rec)
	return &driverTx{inner: inner, conn: c}, nil
}

func (c *conn) beginInner(ctx context.Context, opts sqldriver.TxOptions) (sqldriver.Tx, error) {
	if c.begin != nil {
		return c.begin.BeginTx(ctx, opts)
	}
	// As database/sql does it.
	if opts.Isolation != 0 {
		return nil, errors.New("sql: driver does not support non-default isolation level")
	}
	if opts.ReadOnly {
		return nil, errors.New("sql: driver does not support read-only transactions")
	}
	inner, err := c.inner.Begin() //nolint:staticcheck // SA1019: what database/sql falls back to
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		_ = inner.Rollback() // the context's error is the one to tell
		return nil, err
	}
	return inner, nil
}

// CheckNamedValue implements [sqldriver.NamedValueChecker].
func (c *conn) CheckNamedValue(v *sqldriver.NamedValue) error {
	if c.check != nil {
		return c.check.CheckNamedValue(v)
	}
	return sqldriver.ErrSkip
}

// ResetSession implements [sqldriver.SessionResetter].
func (c *conn) ResetSession(ctx context.Context) error {
	if c.reset != nil {
		return c.reset.ResetSession(ctx)
	}
	return nil
}

// IsValid implements [sqldriver.Validator]. database/sql calls it when the
// connection goes back to the pool.
func (c *conn) IsValid() bool {
	c.settleRaw()
	c.uses.Add(1)
	return c.validate == nil || c.validate.IsValid()
}

// Ping implements [sqldriver.Pinger].
func (c *conn) Ping(ctx context.Context) error {
	if c.ping != nil {
		return c.ping.Ping(ctx)
	}
	return nil
}

// Close implements [sqldriver.Conn]. A transaction that is still open is rolled
// back by the database.
func (c *conn) Close() error {
	err := c.inner.Close()
	c.settleRaw()
	c.uses.Add(1)
	c.tx.closed()
	return err
}

// plainValues gives arguments to a driver that takes no names and no context.
func plainValues(ctx context.Context, args []sqldriver.NamedValue) ([]sqldriver.Value, error) {
	values := make([]sqldriver.Value, len(args))
	for i, arg := range args {
		if arg.Name != "" {
			return nil, errors.New("sql: driver does not support the use of Named Parameters")
		}
		values[i] = arg.Value
	}
	return values, ctx.Err()
}
