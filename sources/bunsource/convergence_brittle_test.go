package bunsource_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
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
	driver.Connector
	disk *fullDisk
}

// Connect implements [driver.Connector].
func (c *brittleConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &brittleConn{contextConn: conn.(contextConn), disk: c.disk}, nil
}

// contextConn is what the drivers of these tests have in common.
type contextConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.ConnBeginTx
	driver.SessionResetter
	driver.Pinger
}

type brittleConn struct {
	contextConn
	disk *fullDisk
}

var (
	_ driver.NamedValueChecker = (*brittleConn)(nil)
	_ driver.Validator         = (*brittleConn)(nil)
)

// QueryContext implements [driver.QueryerContext].
func (c *brittleConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if strings.HasPrefix(query, "SELECT") && c.disk.full.Load() {
		return nil, c.disk.err
	}
	return c.contextConn.QueryContext(ctx, query, args)
}

// CheckNamedValue implements [driver.NamedValueChecker].
func (c *brittleConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.contextConn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

// IsValid implements [driver.Validator].
func (c *brittleConn) IsValid() bool {
	v, ok := c.contextConn.(driver.Validator)
	return !ok || v.IsValid()
}

// connectorOf returns the connector of a registered driver.
func connectorOf(t testing.TB, driverName, dsn string) driver.Connector {
	t.Helper()
	db, err := sql.Open(driverName, dsn) // connects to nothing
	must(t, err)
	defer db.Close()
	if d, ok := db.Driver().(driver.DriverContext); ok {
		c, err := d.OpenConnector(dsn)
		must(t, err)
		return c
	}
	return plainConnector{db.Driver(), dsn}
}

// plainConnector is for drivers that make no connectors.
type plainConnector struct {
	driver driver.Driver
	dsn    string
}

// Connect implements [driver.Connector].
func (c plainConnector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }

// Driver implements [driver.Connector].
func (c plainConnector) Driver() driver.Driver { return c.driver }
