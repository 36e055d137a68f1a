package pollsource

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/internal/sqlitefile"
	"github.com/binderyhq/bindery/sources/internal/sqlitelog"
	"github.com/binderyhq/bindery/sources/internal/wrapdriver"
)

// DataVersion returns a check for SQLite that costs next to nothing: it reads
// PRAGMA data_version, which changes when another connection, of this
// process or another one, has committed anything to the database file. It does not
// say which tables were written, so all tables of the source are compared.
//
// The check can tell this process's commits from those of others when the database
// was opened by bunsource.Open (or another wrapper that counts them) on
// modernc.org/sqlite. SQLite counts all commits in its files; the wrapper counts its
// own, if they certainly changed rows. Then this process's writes cause no comparison;
// bunsource.Hooks reports them by key. Every commit of the process counts as another's
// without a wrapper, with another driver, in memory, on Windows, and if the files
// cannot be read. A change of the schema always does.
//
// In WAL mode the check looks up in the log which rows others have changed. They are
// read at once (except in tables WITHOUT ROWID), and the comparison follows later.
// The log may lack some changed rows of a table: after a checkpoint, after a change of
// the schema, or if a long row was overwritten only in its overflow pages. Then none
// is shown before the comparison ends, so that transactions stay whole.
//
// The check also watches the database's directory, and looks at once when the files
// are written. On file systems without such notifications (network file systems, for
// one) only the interval applies.
//
// The number has a meaning only on one connection. So the check keeps a connection of
// the pool as long as the source watches, and one more for each attached database whose
// tables are bound. A pool of one connection would have none left, and is an error:
// open a second *sql.DB for the source, or allow more with SetMaxOpenConns. The
// connection is idle between looks, and holds no lock and no snapshot. The check keeps
// the database's file and its -shm file open until the process ends, because closing
// them would release the locks of SQLite's own connections.
//
// A table without a Schema belongs to the main database.
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

func (*dataVersionCheck) fullPass() time.Duration { return defaultFullPass }

func (c *dataVersionCheck) watch(t driver.Schema) watcher {
	w := &dataVersionWatcher{db: c.db.DB, schema: "main", wake: func() {}}
	// A SELECT where possible: driver wrappers and proxies that classify statements
	// by their first word take a PRAGMA for a write.
	query := "SELECT data_version FROM pragma_data_version"
	if s := t.Table.Schema; s != "" && s != "main" {
		w.schema = s
		query = "PRAGMA " + quote(c.db, s) + ".data_version"
	}
	w.comparing.ask = func(ctx context.Context) (string, error) { return w.ask(ctx, query) }
	return w
}

// commitsOf returns the ledger that counts a pool's commits, nil if there is none.
func commitsOf(db *sql.DB) *sqlitefile.Ledger {
	wrapped, ok := db.Driver().(*wrapdriver.Driver)
	if !ok {
		return nil
	}
	if counting, ok := wrapped.Observer().(interface{ Commits() *sqlitefile.Ledger }); ok {
		return counting.Commits()
	}
	return nil
}

// logging is a watcher that can tell which rows have changed.
type logging interface {
	// logOf says which tables the next look is about.
	logOf(tables []driver.Schema)
}

type dataVersionWatcher struct {
	comparing
	db     *sql.DB
	schema string
	conn   *sql.Conn // nil before the first look

	others *sqlitefile.Watch // nil: own commits are not told from others
	alarm  *sqlitefile.Alarm // nil: nothing tells of writes
	log    *sqlitelog.Log    // nil: nothing tells which rows were written
	tables []driver.Schema
	wake   func()
}

// look reads the number. If own commits are counted, it does so only when others have
// committed. Reading takes a lock, so the commit has ended by then, and is visible.
func (w *dataVersionWatcher) look(ctx context.Context) (finding, error) {
	first := w.conn == nil
	if first {
		if err := w.open(ctx); err != nil {
			return finding{}, err
		}
	}
	if w.others == nil {
		found, err := w.comparing.look(ctx)
		found.still = !found.changed
		found.log = w.changeLog()
		return found, err
	}
	files, err := w.others.Look()
	if err != nil {
		return finding{}, err // the next watcher opens the files again
	}
	if w.log != nil {
		w.log.Looked(files)
	}
	if !files.Foreign && !first {
		return finding{still: !files.Own, unsettled: !files.Settled, log: w.changeLog()}, nil
	}
	_, err = w.comparing.look(ctx)
	return finding{whole: true, changed: true, log: w.changeLog()}, err
}

// logOf implements [logging].
func (w *dataVersionWatcher) logOf(tables []driver.Schema) {
	w.tables = tables
	if w.log != nil {
		w.log.About(tables)
	}
}

// changeLog returns the log that tells which rows have changed, nil if there is none.
func (w *dataVersionWatcher) changeLog() driver.ChangeLog {
	if w.log == nil {
		return nil
	}
	return w.log
}

// wakeBy implements [waking].
func (w *dataVersionWatcher) wakeBy(wake func()) { w.wake = wake }

// open takes a connection, and begins to watch the files if there are any.
func (w *dataVersionWatcher) open(ctx context.Context) error {
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return err
	}
	w.conn = conn
	var path string
	err = conn.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = ?", w.schema).Scan(&path)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if path == "" {
		return nil // in memory
	}
	// Look first: that makes SQLite recover the database if needed, and with it the
	// WAL index.
	if _, err := w.comparing.look(ctx); err != nil {
		return err
	}
	if w.alarm, err = sqlitefile.NewAlarm(path, w.wake); err != nil {
		w.alarm = nil // the interval remains
	}
	commits := commitsOf(w.db)
	counter, err := sqlitefile.NewCounter(path)
	if err == nil { // files can be read
		// A nil log without an error means another journal mode.
		if w.log, _ = sqlitelog.New(rowsOf(conn), w.schema, path); w.log != nil {
			w.log.About(w.tables)
		}
	}
	if commits == nil || err != nil {
		return nil
	}
	w.others, err = sqlitefile.NewWatch(counter, commits, w.schema, w.wake)
	if err != nil {
		w.others = nil
	}
	return nil
}

// rowsOf returns a function that runs statements on the connection.
func rowsOf(conn *sql.Conn) sqlitelog.Query {
	return func(ctx context.Context, statement string) (all [][]any, err error) {
		rows, err := conn.QueryContext(ctx, statement)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		columns, err := rows.Columns()
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			row, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range row {
				into[i] = &row[i]
			}
			if err := rows.Scan(into...); err != nil {
				return nil, err
			}
			for i, v := range row {
				if b, ok := v.([]byte); ok { // some drivers return text so
					row[i] = string(b)
				}
			}
			all = append(all, row)
		}
		return all, rows.Err()
	}
}

func (w *dataVersionWatcher) ask(ctx context.Context, query string) (string, error) {
	return printOf(ctx, w.conn, query)
}

func (w *dataVersionWatcher) close() error {
	if w.others != nil {
		w.others.Close()
	}
	if w.alarm != nil {
		w.alarm.Close()
	}
	if w.log != nil {
		w.log.Close()
	}
	if w.conn == nil {
		return nil
	}
	conn := w.conn
	w.conn = nil
	return conn.Close()
}
