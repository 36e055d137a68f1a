package main

import (
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pollsource"
)

// region database

// openDatabase opens SQLite by a path or Postgres by a URL. The source that comes
// with it sees what other programs write.
func openDatabase(dsn string) (*bun.DB, driver.Source, error) {
	if strings.HasPrefix(dsn, "postgres:") {
		cfg, err := pgx.ParseConfig(dsn)
		if err != nil {
			return nil, nil, err
		}
		db := bunsource.OpenConnector(stdlib.GetConnector(*cfg), pgdialect.New())
		return db, pollsource.New(time.Second, pollsource.XMin(db, 0)), nil
	}
	db, err := bunsource.Open("sqlite", "file:"+dsn+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate", sqlitedialect.New())
	if err != nil {
		return nil, nil, err
	}
	return db, pollsource.New(time.Second, pollsource.DataVersion(db)), nil
}

// endregion
