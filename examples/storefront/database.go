package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/uptrace/bun"
)

// pollEvery is how often the shop asks whether another process has written.
const pollEvery = 500 * time.Millisecond

// database is the shop's database and what watches it beside the hooks: they
// see the writes of this process, polling those of others.
type database struct {
	db     *bun.DB
	name   string // tells it from others
	others []driver.Source
	dir    string // removed at the end, "" for none
}

func (d *database) close() error {
	err := d.db.Close()
	if d.dir != "" {
		err = errors.Join(err, os.RemoveAll(d.dir))
	}
	if err != nil {
		return fmt.Errorf("storefront: closing the database: %w", err)
	}
	return nil
}

// openDatabase opens what the flag names, without connecting yet.
func openDatabase(dsn string) (*database, error) {
	path, isFile := strings.CutPrefix(dsn, "sqlite:")
	switch {
	case dsn == "":
		dir, err := os.MkdirTemp("", "storefront-")
		if err != nil {
			return nil, fmt.Errorf("storefront: %w", err)
		}
		d, err := openSQLite(filepath.Join(dir, "shop.db"))
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		d.dir = dir
		return d, nil
	case isFile && path != "":
		return openSQLite(path)
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		return openPostgres(dsn)
	default:
		return nil, fmt.Errorf("storefront: -db %q: want sqlite:PATH or postgres://…", redact(dsn))
	}
}

// redact takes the password out of a connection string.
func redact(dsn string) string {
	if u, err := url.Parse(dsn); err == nil {
		return u.Redacted()
	}
	return "(unreadable)"
}
