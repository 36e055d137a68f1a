package together_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"strings"
	"sync/atomic"
	"testing"
)

// fullDisk is what the database says to reads, when they are to fail.
type fullDisk struct {
	err  error
	full atomic.Bool
}

// brittleConnector makes connections whose reads fail while the disk is full,
// as a sort does that finds no room for its temporary file. Writes go on.
type brittleConnector struct {
	sqldriver.Connector
	disk *fullDisk
}

// Connect implements [sqldriver.Connector].
func (c *brittleConnector) Connect(ctx context.Context) (sqldriver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &brittleConn{contextConn: conn.(contextConn), disk: c.disk}, nil
}

// contextConn is what the drivers of these tests have in common.
type contextConn interface {
	sqldriver.Conn
	sqldriver.ConnPrepareContext
	sqldriver.ExecerContext
	sqldriver.QueryerContext
	sqldriver.ConnBeginTx
	sqldriver.SessionResetter
	sqldriver.Pinger
}

type brittleConn struct {
	contextConn
	disk *fullDisk
}

var (
	_ sqldriver.NamedValueChecker = (*brittleConn)(nil)
	_ sqldriver.Validator         = (*brittleConn)(nil)
)

// QueryContext implements [sqldriver.QueryerContext].
func (c *brittleConn) QueryContext(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	if strings.HasPrefix(query, "SELECT") && c.disk.full.Load() {
		return nil, c.disk.err
	}
	return c.contextConn.QueryContext(ctx, query, args)
}

// CheckNamedValue implements [sqldriver.NamedValueChecker].
func (c *brittleConn) CheckNamedValue(v *sqldriver.NamedValue) error {
	if checker, ok := c.contextConn.(sqldriver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return sqldriver.ErrSkip
}

// IsValid implements [sqldriver.Validator].
func (c *brittleConn) IsValid() bool {
	v, ok := c.contextConn.(sqldriver.Validator)
	return !ok || v.IsValid()
}

// connectorOf returns the connector of a registered driver.
func connectorOf(t testing.TB, driverName, dsn string) sqldriver.Connector {
	t.Helper()
	db, err := sql.Open(driverName, dsn) // connects to nothing
	must(t, err)
	defer db.Close()
	if d, ok := db.Driver().(sqldriver.DriverContext); ok {
		c, err := d.OpenConnector(dsn)
		must(t, err)
		return c
	}
	return plainConnector{db.Driver(), dsn}
}

// plainConnector is for drivers that make no connectors.
type plainConnector struct {
	driver sqldriver.Driver
	dsn    string
}

// Connect implements [sqldriver.Connector].
func (c plainConnector) Connect(context.Context) (sqldriver.Conn, error) { return c.driver.Open(c.dsn) }

// Driver implements [sqldriver.Connector].
func (c plainConnector) Driver() sqldriver.Driver { return c.driver }
