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

// Connect implements [sqldriver.Connector].
func (c *Connector) Connect(ctx context.Context) (sqldriver.Conn, error) {
	inner, err := c.inner.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return newConn(ctx, inner, c.observer)
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
