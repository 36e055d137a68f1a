package buntest

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"testing"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// Offline returns a handle for queries that are written and never run.
func Offline(t testing.TB, d schema.Dialect) *bun.DB {
	t.Helper()
	sqldb := sql.OpenDB(noConnector{})
	t.Cleanup(func() { Must(t, sqldb.Close()) })
	return bun.NewDB(sqldb, d)
}

// noConnector connects to nothing.
type noConnector struct{}

func (noConnector) Connect(context.Context) (sqldriver.Conn, error) {
	return nil, errors.New("buntest: the database is offline")
}

func (noConnector) Driver() sqldriver.Driver { return nil }
