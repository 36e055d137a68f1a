package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/sources/bunsource"
)

// chinookFile is the Chinook sample database; data/LICENSE.md is its licence.
//
//go:embed data/chinook.sqlite
var chinookFile []byte

// openDatabase opens the database file that dsn names as "sqlite:PATH". An
// empty dsn means the copy inside this program, unpacked to where it can be
// written. The file must exist: SQLite would make an empty one of a wrong name.
// cleanUp closes the database and removes what was unpacked.
func openDatabase(ctx context.Context, dsn string) (db *bun.DB, path string, cleanUp func() error, err error) {
	remove := func() error { return nil }
	path, named := strings.CutPrefix(dsn, "sqlite:")
	switch {
	case dsn == "":
		if path, remove, err = unpack(); err != nil {
			return nil, "", nil, err
		}
	case !named || path == "":
		return nil, "", nil, fmt.Errorf("chinook: opening database %q: want sqlite:PATH", dsn)
	}
	db, err = openFile(ctx, path)
	if err != nil {
		return nil, "", nil, errors.Join(fmt.Errorf("chinook: opening database %q: %w", path, err), remove())
	}
	return db, path, func() error { return errors.Join(db.Close(), remove()) }, nil
}

func openFile(ctx context.Context, path string) (*bun.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// mode=rw refuses a file that is not there. Other programs may write the
	// file at the same time; who finds it locked waits, for milliseconds.
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(abs), RawQuery: "mode=rw&_pragma=busy_timeout(5000)"}
	db, err := bunsource.Open("sqlite", dsn.String(), sqlitedialect.New())
	if err != nil {
		return nil, err
	}
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// unpack writes the embedded database into a fresh temporary directory.
func unpack() (path string, remove func() error, err error) {
	dir, err := os.MkdirTemp("", "chinook-")
	if err != nil {
		return "", nil, fmt.Errorf("chinook: unpacking the database: %w", err)
	}
	remove = func() error { return os.RemoveAll(dir) }
	path = filepath.Join(dir, "chinook.sqlite")
	if err := os.WriteFile(path, chinookFile, 0o600); err != nil {
		return "", nil, errors.Join(fmt.Errorf("chinook: unpacking the database: %w", err), remove())
	}
	return path, remove, nil
}
