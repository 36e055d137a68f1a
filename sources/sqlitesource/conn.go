package sqlitesource

import (
	"context"
	sqldriver "database/sql/driver"
	"fmt"
	"io"
	"strings"

	"modernc.org/sqlite"
)

// connector makes connections that tell the source what they commit.
type connector struct{ source *Source }

var (
	_ sqldriver.Connector = (*connector)(nil)
	_ io.Closer           = (*connector)(nil)
)

// Connect implements [sqldriver.Connector].
func (c *connector) Connect(ctx context.Context) (sqldriver.Conn, error) {
	made, err := c.source.inner.Connect(ctx)
	if err != nil {
		return nil, err
	}
	in, ok := made.(inner)
	if !ok {
		_ = made.Close() // it is not used
		return nil, fmt.Errorf("sqlitesource: connecting: a connection of type %T has no hooks: the driver is not modernc.org/sqlite", made)
	}
	return newConn(ctx, c.source, in), nil
}

// Driver implements [sqldriver.Connector]: the driver inside, whose connections
// are not watched.
func (c *connector) Driver() sqldriver.Driver { return c.source.inner.Driver() }

// Close closes the connector inside, where that can be closed.
func (c *connector) Close() error {
	if closer, ok := c.source.inner.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// inner is a connection of modernc.org/sqlite.
type inner interface {
	sqldriver.Conn
	sqldriver.ConnPrepareContext
	sqldriver.ExecerContext
	sqldriver.QueryerContext
	sqldriver.ConnBeginTx
	sqldriver.SessionResetter
	sqldriver.Validator
	sqldriver.Pinger
	sqlite.HookRegisterer
}

// conn is a connection that is watched. Whatever may have committed ends with
// a call of its recorder's release.
type conn struct {
	inner inner
	rec   recorder
	raw   bool // somebody has the driver's connection in hand
}

var _ inner = (*conn)(nil)

func newConn(ctx context.Context, s *Source, in inner) *conn {
	c := &conn{inner: in, rec: recorder{source: s, conn: in}}
	s.live.Add(1)
	c.rec.register()
	c.rec.begin(ctx)
	return c
}

// Unwrap returns the driver's own connection, from what [sql.Conn.Raw] hands
// out: for a backup, for example. Anything else is returned as it is. What is
// done with it cannot be told for certain, so every table is reported when the
// connection is given back.
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

// ExecContext implements [sqldriver.ExecerContext].
func (c *conn) ExecContext(ctx context.Context, text string, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	c.attaching(text)
	res, err := c.inner.ExecContext(ctx, text, args)
	c.rec.release(ctx, err, err == nil && single(text))
	return res, err
}

// QueryContext implements [sqldriver.QueryerContext].
func (c *conn) QueryContext(ctx context.Context, text string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	c.attaching(text)
	res, err := c.inner.QueryContext(ctx, text, args)
	c.rec.release(ctx, err, err == nil && single(text))
	if err != nil {
		return nil, err
	}
	return newRows(ctx, c, res, single(text)), nil
}

// attaching drops the layout when a text may attach a database, or detach one.
func (c *conn) attaching(text string) {
	for rest := text; len(rest) >= len("attach"); {
		i := strings.IndexAny(rest, "tT")
		if i < 0 || i+len("tach") > len(rest) {
			return
		}
		if strings.EqualFold(rest[i:i+len("tach")], "tach") {
			end := len(text) - len(rest) + i + len("tach")
			if start := end - len("attach"); start >= 0 && isWord(text, start, end) &&
				(strings.EqualFold(text[start:end], "attach") || strings.EqualFold(text[start:end], "detach")) {
				c.rec.layout = nil
				return
			}
		}
		rest = rest[i+1:]
	}
}

// isWord reports whether no letter, digit or underscore is next to text[start:end].
func isWord(text string, start, end int) bool {
	inWord := func(b byte) bool {
		return b == '_' || b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z' || b >= 0x80
	}
	return (start == 0 || !inWord(text[start-1])) && (end == len(text) || !inWord(text[end]))
}

// single reports whether a text is a single statement, for certain.
func single(text string) bool {
	i := strings.IndexByte(text, ';')
	return i < 0 || strings.Trim(text[i:], "; \t\r\n") == ""
}

// Prepare implements [sqldriver.Conn].
func (c *conn) Prepare(text string) (sqldriver.Stmt, error) {
	return c.PrepareContext(context.Background(), text)
}

// PrepareContext implements [sqldriver.ConnPrepareContext].
func (c *conn) PrepareContext(ctx context.Context, text string) (sqldriver.Stmt, error) {
	in, err := c.inner.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	c.attaching(text)
	return newStmt(c, in, single(text))
}

// Begin implements [sqldriver.Conn]; database/sql calls BeginTx.
func (c *conn) Begin() (sqldriver.Tx, error) {
	return c.BeginTx(context.Background(), sqldriver.TxOptions{})
}

// BeginTx implements [sqldriver.ConnBeginTx].
func (c *conn) BeginTx(ctx context.Context, opts sqldriver.TxOptions) (sqldriver.Tx, error) {
	in, err := c.inner.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &tx{inner: in, conn: c, ctx: ctx}, nil
}

// ResetSession implements [sqldriver.SessionResetter]. database/sql calls it when
// the connection comes from the pool.
func (c *conn) ResetSession(ctx context.Context) error {
	if err := c.inner.ResetSession(ctx); err != nil {
		return err
	}
	c.rec.begin(ctx)
	return nil
}

// IsValid implements [sqldriver.Validator]. database/sql calls it when the
// connection goes back to the pool.
func (c *conn) IsValid() bool {
	if !c.inner.IsValid() {
		return false // it will be closed
	}
	c.rec.end()
	c.settleRaw()
	return true
}

func (c *conn) settleRaw() {
	if c.raw {
		c.raw = false
		c.rec.layout = nil
		c.rec.reportAll()
	}
}

// Ping implements [sqldriver.Pinger].
func (c *conn) Ping(ctx context.Context) error { return c.inner.Ping(ctx) }

// Close implements [sqldriver.Conn].
func (c *conn) Close() error {
	err := c.inner.Close()
	c.rec.closed()
	c.settleRaw()
	c.rec.source.live.Add(-1)
	return err
}

// RegisterPreUpdateHook and the two below are there for connectors that wrap
// this one; they replace the source's own.
func (c *conn) RegisterPreUpdateHook(f sqlite.PreUpdateHookFn) { c.inner.RegisterPreUpdateHook(f) }

// RegisterCommitHook see [conn.RegisterPreUpdateHook].
func (c *conn) RegisterCommitHook(f sqlite.CommitHookFn) { c.inner.RegisterCommitHook(f) }

// RegisterRollbackHook see [conn.RegisterPreUpdateHook].
func (c *conn) RegisterRollbackHook(f sqlite.RollbackHookFn) { c.inner.RegisterRollbackHook(f) }

// tx is a transaction begun by [sql.DB.BeginTx] and the like.
type tx struct {
	inner sqldriver.Tx
	conn  *conn
	ctx   context.Context //nolint:containedctx // of the transaction, as database/sql defines it
}

// Commit implements [sqldriver.Tx].
func (t *tx) Commit() error {
	err := t.inner.Commit()
	t.conn.rec.release(t.ctx, err, err == nil)
	return err
}

// Rollback implements [sqldriver.Tx].
func (t *tx) Rollback() error {
	err := t.inner.Rollback()
	t.conn.rec.release(t.ctx, err, false)
	return err
}
