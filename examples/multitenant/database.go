package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the driver "sqlite", in pure Go

	"github.com/binderyhq/bindery/sources/bunsource"
)

// sqliteOptions make SQLite a good server: readers and the writer do not wait
// for each other, writers wait for each other for a while, and a transaction
// that will write says so when it begins.
const sqliteOptions = "_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)&_txlock=immediate"

// openDatabase opens the database, makes its tables where they are missing, and
// fills empty ones.
func openDatabase(ctx context.Context, s settings) (db *bun.DB, closeAll func() error, err error) {
	remove := func() error { return nil }
	path := s.file
	if path == "" {
		dir, err := os.MkdirTemp("", "multitenant-")
		if err != nil {
			return nil, nil, fmt.Errorf("multitenant: %w", err)
		}
		path, remove = filepath.Join(dir, "board.db"), func() error { return os.RemoveAll(dir) }
	}
	db, err = openFile(ctx, path, s.work)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("multitenant: opening database %q: %w", path, err), remove())
	}
	return db, func() error { return errors.Join(db.Close(), remove()) }, nil
}

func openFile(ctx context.Context, path string, work int) (*bun.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(abs), RawQuery: sqliteOptions}
	db, err := bunsource.Open("sqlite", dsn.String(), sqlitedialect.New())
	if err != nil {
		return nil, err
	}
	if err := prepareDatabase(ctx, db, work); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}
