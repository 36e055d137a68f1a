package bunsource

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"fmt"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/binderyhq/bindery/sources/internal/wrapdriver"
)

// Option is an optional setting of [Open] and [OpenConnector].
type Option func(*openConfig)

type openConfig struct {
	database string
	bun      []bun.DBOption
}

// Named gives the database a name ([driver.Table.Database]), which tells the
// databases of one registry apart. Programs with a single database need none.
func Named(database string) Option {
	return func(c *openConfig) { c.database = database }
}

// WithBun passes options on to [bun.NewDB].
func WithBun(opts ...bun.DBOption) Option {
	return func(c *openConfig) { c.bun = append(c.bun, opts...) }
}

// Open opens a database as [sql.Open] does and returns a *bun.DB whose commits
// are seen, whichever way they are made: through Bun, through the *sql.DB
// inside it, by prepared statements, or by SQL text. Like sql.Open it does not
// connect. The error reports a driver that is not registered, or a data source
// name that the driver refuses.
func Open(driverName, dataSourceName string, d schema.Dialect, opts ...Option) (*bun.DB, error) {
	// sql.Open is the only way to a registered driver; nothing connects yet.
	probe, err := sql.Open(driverName, dataSourceName)
	if err != nil {
		return nil, fmt.Errorf("bunsource: opening a database with driver %q: %w", driverName, err)
	}
	drv := probe.Driver()
	if err := probe.Close(); err != nil {
		return nil, fmt.Errorf("bunsource: opening a database with driver %q: %w", driverName, err)
	}
	var connector sqldriver.Connector = wrapdriver.ByName{By: drv, DSN: dataSourceName}
	if dc, ok := drv.(sqldriver.DriverContext); ok {
		if connector, err = dc.OpenConnector(dataSourceName); err != nil {
			return nil, fmt.Errorf("bunsource: opening a database with driver %q: %w", driverName, err)
		}
	}
	return OpenConnector(connector, d, opts...), nil
}

// OpenConnector is [Open] for drivers that are configured in code, such as
// pgx with stdlib.GetConnector.
func OpenConnector(connector sqldriver.Connector, d schema.Dialect, opts ...Option) *bun.DB {
	var cfg openConfig
	for _, opt := range opts {
		opt(&cfg)
	}
	db := bun.NewDB(sql.OpenDB(WrapConnector(connector)), d, cfg.bun...)
	t := trackerOf(db.DB)
	if cfg.database != "" {
		t.SetDatabase(cfg.database)
	}
	t.SetDialect(db.Dialect())
	t.addHook(db)
	return db
}

// WrapConnector wraps a driver so that commits are seen. It serves programs
// that build their *sql.DB themselves:
//
//	sqldb := sql.OpenDB(bunsource.WrapConnector(connector))
//	db := bun.NewDB(sqldb, dialect)
//	reg.Watch(bunsource.Hooks(db))
//
// Every [sql.DB] needs a connector of its own.
func WrapConnector(connector sqldriver.Connector) sqldriver.Connector {
	return wrapdriver.Wrap(connector, newTracker(true))
}
