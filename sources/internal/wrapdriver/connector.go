package wrapdriver

import (
	"context"
	sqldriver "database/sql/driver"
	"io"
)

// Connector makes connections that are observed.
type Connector struct {
	inner    sqldriver.Connector
	observer Observer
}

var (
	_ sqldriver.Connector = (*Connector)(nil)
	_ io.Closer           = (*Connector)(nil)
)

// Wrap returns a connector whose connections are observed.
func Wrap(inner sqldriver.Connector, o Observer) *Connector { return &Connector{inner, o} }

// Connect implements [sqldriver.Connector]. It returns when the context ends, also
// where the driver does not: SQLite's wait for a locked file for as long as
// busy_timeout says.
func (c *Connector) Connect(ctx context.Context) (sqldriver.Conn, error) {
	inner, err := connect(ctx, c.inner)
	if err != nil {
		return nil, err
	}
	return newConn(ctx, inner, c.observer)
}

// connect connects, and closes a connection that comes after the context has ended.
func connect(ctx context.Context, to sqldriver.Connector) (sqldriver.Conn, error) {
	if ctx.Done() == nil {
		return to.Connect(ctx)
	}
	type result struct {
		conn sqldriver.Conn
		err  error
	}
	came := make(chan result)
	go func() {
		conn, err := to.Connect(ctx)
		select {
		case came <- result{conn, err}:
		case <-ctx.Done():
			if err == nil {
				_ = conn.Close() // nobody has used it
			}
		}
	}()
	select {
	case r := <-came:
		return r.conn, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Driver implements [sqldriver.Connector].
func (c *Connector) Driver() sqldriver.Driver { return &Driver{c.inner.Driver(), c.observer} }

// Close closes the connector, where it can be closed; [sql.DB.Close] calls it.
func (c *Connector) Close() error {
	if closer, ok := c.inner.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// Driver is what [sql.DB.Driver] returns for a wrapped connector.
type Driver struct {
	inner    sqldriver.Driver
	observer Observer
}

// Open implements [sqldriver.Driver].
func (d *Driver) Open(name string) (sqldriver.Conn, error) {
	inner, err := d.inner.Open(name)
	if err != nil {
		return nil, err
	}
	return newConn(context.Background(), inner, d.observer)
}

// Unwrap returns the driver inside.
func (d *Driver) Unwrap() sqldriver.Driver { return d.inner }

// Observer returns who observes the driver's connections.
func (d *Driver) Observer() Observer { return d.observer }

// ByName connects a driver that makes no connectors of its own.
type ByName struct {
	By  sqldriver.Driver
	DSN string
}

// Connect implements [sqldriver.Connector].
func (c ByName) Connect(context.Context) (sqldriver.Conn, error) { return c.By.Open(c.DSN) }

// Driver implements [sqldriver.Connector].
func (c ByName) Driver() sqldriver.Driver { return c.By }
