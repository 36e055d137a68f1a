package pollsource

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
)

// DataVersion returns a check for SQLite that costs next to nothing: it asks
// for PRAGMA data_version, which differs when another connection, of this
// process or another one, has committed anything to the database file. Which
// tables were written it does not say, so all that the source covers are read,
// at most once an interval.
//
// The number has a meaning only for the connection that it is asked on. So the
// check keeps a connection of the pool for itself as long as the source
// watches, and one more for each attached database whose tables are bound. A
// pool of one connection would have none left, and is refused: open a
// second *sql.DB for the source, or allow more with SetMaxOpenConns. An idle
// connection holds no lock and no snapshot.
//
// A table without a Schema is taken to be in the main database.
func DataVersion(db *bun.DB) Check { return &dataVersionCheck{db} }

type dataVersionCheck struct{ db *bun.DB }

func (c *dataVersionCheck) validate() error {
	if err := checkDB("DataVersion", c.db, dialect.SQLite); err != nil {
		return err
	}
	if c.db.DB.Stats().MaxOpenConnections == 1 {
		return errors.New("DataVersion: it keeps a connection to itself, and the pool has only one: allow more with SetMaxOpenConns, or give it a *sql.DB of its own")
	}
	return nil
}

func (*dataVersionCheck) group(t driver.Schema) string { return t.Table.Schema }

func (*dataVersionCheck) fullPass() time.Duration { return 0 }

func (c *dataVersionCheck) watch(t driver.Schema) watcher {
	w := &dataVersionWatcher{db: c.db.DB}
	// A SELECT where possible: whoever classifies statements by their first
	// word (a driver wrapper, a proxy) takes a PRAGMA for a write.
	query := "SELECT data_version FROM pragma_data_version"
	if s := t.Table.Schema; s != "" && s != "main" {
		query = "PRAGMA " + quote(c.db, s) + ".data_version"
	}
	w.comparing.ask = func(ctx context.Context) (string, error) { return w.ask(ctx, query) }
	return w
}

type dataVersionWatcher struct {
	comparing
	db   *sql.DB
	conn *sql.Conn // nil before the first look
}

func (w *dataVersionWatcher) ask(ctx context.Context, query string) (string, error) {
	if w.conn == nil {
		conn, err := w.db.Conn(ctx)
		if err != nil {
			return "", err
		}
		w.conn = conn
	}
	return printOf(ctx, w.conn, query)
}

func (w *dataVersionWatcher) close() error {
	if w.conn == nil {
		return nil
	}
	conn := w.conn
	w.conn = nil
	return conn.Close()
}
