package wrapdriver

//lint:file-ignore SA1019 a wrapper offers whatever the wrapped driver offers, the old interfaces too

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"sync/atomic"
)

// Conn is an observed connection. database/sql never uses a connection,
// its statements, rows and transactions concurrently, so none of them locks.
// Only Uses may be called from any goroutine.
type Conn struct {
	inner    sqldriver.Conn
	observer Observer
	session  Session

	prepare  sqldriver.ConnPrepareContext
	exec     sqldriver.ExecerContext
	query    sqldriver.QueryerContext
	begin    sqldriver.ConnBeginTx
	check    sqldriver.NamedValueChecker
	reset    sqldriver.SessionResetter
	validate sqldriver.Validator
	ping     sqldriver.Pinger

	uses atomic.Uint64 // counts how often the connection came back to the pool
	raw  bool          // Unwrap has handed out the driver's connection
}

var (
	_ sqldriver.Conn               = (*Conn)(nil)
	_ sqldriver.ConnPrepareContext = (*Conn)(nil)
	_ sqldriver.ExecerContext      = (*Conn)(nil)
	_ sqldriver.QueryerContext     = (*Conn)(nil)
	_ sqldriver.ConnBeginTx        = (*Conn)(nil)
	_ sqldriver.NamedValueChecker  = (*Conn)(nil)
	_ sqldriver.SessionResetter    = (*Conn)(nil)
	_ sqldriver.Validator          = (*Conn)(nil)
	_ sqldriver.Pinger             = (*Conn)(nil)
)

func newConn(ctx context.Context, inner sqldriver.Conn, o Observer) (*Conn, error) {
	c := &Conn{inner: inner, observer: o}
	c.prepare, _ = inner.(sqldriver.ConnPrepareContext)
	c.exec, _ = inner.(sqldriver.ExecerContext)
	c.query, _ = inner.(sqldriver.QueryerContext)
	c.begin, _ = inner.(sqldriver.ConnBeginTx)
	c.check, _ = inner.(sqldriver.NamedValueChecker)
	c.reset, _ = inner.(sqldriver.SessionResetter)
	c.validate, _ = inner.(sqldriver.Validator)
	c.ping, _ = inner.(sqldriver.Pinger)
	session, err := o.Open(ctx, c, inner)
	if err != nil {
		_ = inner.Close() // it stays unused
		return nil, err
	}
	c.session = session
	return c, nil
}

// Observer returns the connection's observer.
func (c *Conn) Observer() Observer { return c.observer }

// Uses counts how often the connection has gone back to the pool, or was closed.
// It may be called from any goroutine.
func (c *Conn) Uses() uint64 { return c.uses.Load() }

// Unwrap returns the driver's own connection, whose use is not observed.
func (c *Conn) Unwrap() sqldriver.Conn {
	c.raw = true
	return c.inner
}

// settle tells the session if Unwrap was called since the last settle.
func (c *Conn) settle() {
	if c.raw {
		c.raw = false
		c.session.Bypassed()
	}
}

// run is one run of a text, as the session sees it.
type run struct {
	stmt Statement // nil for a run of a prepared statement, which closes it itself
	call Call
	done bool
}

// start shows the session a text that is about to run. It returns nil if the session
// does not observe it.
func (c *Conn) start(ctx context.Context, text string, args []sqldriver.NamedValue) *run {
	c.settle()
	s := c.session.Statement(ctx, text, false)
	if s == nil {
		return nil
	}
	call := s.Start(ctx, args)
	if call == nil {
		s.Close()
		return nil
	}
	return &run{stmt: s, call: call}
}

// finish ends the run; only the first call counts.
func (r *run) finish(res sqldriver.Result, err error) {
	if r.done {
		return
	}
	r.done = true
	r.call.Done(res, err)
	if r.stmt != nil {
		r.stmt.Close()
	}
}

// exec ends a run with the result that f returns, or with none when it panics.
func (r *run) exec(f func() (sqldriver.Result, error)) (sqldriver.Result, error) {
	if r == nil {
		return f()
	}
	defer r.finish(nil, ErrUnseen)
	res, err := f()
	r.finish(res, err)
	return res, err
}

// query is exec for rows: the run may last until they are closed.
func (r *run) query(f func() (sqldriver.Rows, error)) (sqldriver.Rows, error) {
	if r == nil {
		return f()
	}
	lasts := false
	defer func() {
		if !lasts {
			r.finish(nil, ErrUnseen)
		}
	}()
	in, err := f()
	if err != nil {
		r.finish(nil, err)
		return nil, err
	}
	if lasts = r.call.Rows(); lasts {
		return &rows{inner: in, run: r}, nil
	}
	r.finish(nil, nil)
	return in, nil
}

// ExecContext implements [sqldriver.ExecerContext].
func (c *Conn) ExecContext(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	return c.start(ctx, query, args).exec(func() (sqldriver.Result, error) { return c.execInner(ctx, query, args) })
}

func (c *Conn) execInner(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Result, error) {
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
func (c *Conn) QueryContext(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	return c.start(ctx, query, args).query(func() (sqldriver.Rows, error) { return c.queryInner(ctx, query, args) })
}

func (c *Conn) queryInner(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
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
func (c *Conn) Prepare(query string) (sqldriver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext implements [sqldriver.ConnPrepareContext].
func (c *Conn) PrepareContext(ctx context.Context, query string) (sqldriver.Stmt, error) {
	inner, err := c.prepareInner(ctx, query)
	if err != nil {
		return nil, err
	}
	observed := c.session.Statement(ctx, query, true)
	if observed == nil {
		// The driver's connection checks its arguments, as it would without the
		// wrapper.
		return inner, nil
	}
	return newStmt(inner, c, observed), nil
}

func (c *Conn) prepareInner(ctx context.Context, query string) (sqldriver.Stmt, error) {
	if c.prepare != nil {
		return c.prepare.PrepareContext(ctx, query)
	}
	inner, err := c.inner.Prepare(query)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		_ = inner.Close() // the context's error matters more
		return nil, err
	}
	return inner, nil
}

// Begin implements [sqldriver.Conn]; database/sql calls BeginTx.
func (c *Conn) Begin() (sqldriver.Tx, error) {
	return c.BeginTx(context.Background(), sqldriver.TxOptions{})
}

// BeginTx implements [sqldriver.ConnBeginTx].
func (c *Conn) BeginTx(ctx context.Context, opts sqldriver.TxOptions) (sqldriver.Tx, error) {
	c.settle()
	inner, err := c.beginInner(ctx, opts)
	if err != nil {
		return nil, err
	}
	observed := c.session.Begin(ctx)
	if observed == nil {
		return inner, nil
	}
	return &tx{inner: inner, conn: c, observed: observed}, nil
}

func (c *Conn) beginInner(ctx context.Context, opts sqldriver.TxOptions) (sqldriver.Tx, error) {
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
		_ = inner.Rollback() // the context's error matters more
		return nil, err
	}
	return inner, nil
}

// CheckNamedValue implements [sqldriver.NamedValueChecker].
func (c *Conn) CheckNamedValue(v *sqldriver.NamedValue) error {
	if c.check != nil {
		return c.check.CheckNamedValue(v)
	}
	return sqldriver.ErrSkip
}

// ResetSession implements [sqldriver.SessionResetter]. database/sql calls it
// when the connection comes from the pool.
func (c *Conn) ResetSession(ctx context.Context) error {
	if c.reset != nil {
		if err := c.reset.ResetSession(ctx); err != nil {
			return err
		}
	}
	c.session.Acquired(ctx)
	return nil
}

// IsValid implements [sqldriver.Validator]. database/sql calls it when the
// connection goes back to the pool, and closes it when it is not valid.
func (c *Conn) IsValid() bool {
	if c.validate != nil && !c.validate.IsValid() {
		return false
	}
	c.session.Released()
	c.settle()
	c.uses.Add(1)
	return true
}

// Ping implements [sqldriver.Pinger].
func (c *Conn) Ping(ctx context.Context) error {
	if c.ping != nil {
		return c.ping.Ping(ctx)
	}
	return nil
}

// Close implements [sqldriver.Conn]. The database rolls back a transaction that
// is still open.
func (c *Conn) Close() error {
	err := c.inner.Close()
	c.settle()
	c.uses.Add(1)
	c.session.Closed()
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
