package main

import (
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the driver "sqlite", in pure Go

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pollsource"
)

// sqliteOptions make SQLite a good server: readers and the writer do not wait
// for each other (WAL), writers wait for each other for a while, and a
// transaction that will write says so when it begins, so that it need not fail
// later.
const sqliteOptions = "_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)&_txlock=immediate"

func openSQLite(path string) (*database, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("storefront: %w", err)
	}
	dsn := (&url.URL{Scheme: "file", Path: abs, RawQuery: sqliteOptions}).String()
	db, err := bunsource.Open("sqlite", dsn, sqlitedialect.New())
	if err != nil {
		return nil, fmt.Errorf("storefront: %w", err)
	}
	return &database{db: db, name: "sqlite:" + abs, others: []driver.Source{pollsource.New(pollEvery, pollsource.DataVersion(db))}}, nil
}
