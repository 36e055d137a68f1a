package bunsource

import (
	"context"
	sqldriver "database/sql/driver"
	"io"

	"github.com/binderyhq/bindery/sources/internal/sqlitefile"
)

// wrappedConnector makes connections that tell the tracker what they commit.
type wrappedConnector struct {
	inner   sqldriver.Connector
	tracker *tracker
}

var (
	_ sqldriver.Connector = (*wrappedConnector)(nil)
	_ io.Closer           = (*wrappedConnector)(nil)
)

// Connect implements [sqldriver.Connector].
func (c *wrappedConnector) Connect(ctx context.Context) (sqldriver.Conn, error) {
	inner, err := c.inner.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return newConn(inner, c.tracker), nil
}

// Driver implements [sqldriver.Connector].
func (c *wrappedConnector) Driver() sqldriver.Driver {
	return &wrappedDriver{inner: c.inner.Driver(), tracker: c.tracker}
}

// Close closes the connector, where it can be closed; [sql.DB.Close] calls it.
func (c *wrappedConnector) Close() error {
	if closer, ok := c.inner.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// wrappedDriver is what [sql.DB.Driver] returns for a wrapped connector. By it
// the tracker of a *sql.DB is found.
type wrappedDriver struct {
	inner   sqldriver.Driver
	tracker *tracker
}

// Open implements [sqldriver.Driver].
func (d *wrappedDriver) Open(name string) (sqldriver.Conn, error) {
	inner, err := d.inner.Open(name)
	if err != nil {
		return nil, err
	}
	return newConn(inner, d.tracker), nil
}

// Commits counts what the connections commit, for checks that tell others' commits
// to a SQLite file from these.
func (d *wrappedDriver) Commits() *sqlitefile.Ledger { return &d.tracker.commits }

// Unwrap returns the driver inside.
func (d *wrappedDriver) Unwrap() sqldriver.Driver { return d.inner }

// dsnConnector connects a driver that makes no connectors of its own.
type dsnConnector struct {
	driver sqldriver.Driver
	dsn    string
}

// Connect implements [sqldriver.Connector].
func (c dsnConnector) Connect(context.Context) (sqldriver.Conn, error) { return c.driver.Open(c.dsn) }

// Driver implements [sqldriver.Connector].
func (c dsnConnector) Driver() sqldriver.Driver { return c.driver }
