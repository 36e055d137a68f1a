package sqlitesource

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/internal/sqlitehooks"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// foreignWatch asks a connection of its own for PRAGMA data_version, which
// differs when any other connection has committed, of this process or not.
// It is another process's commit for certain when this process has made none
// since the last look; otherwise it may be, which is remembered and settled by
// reporting everything after a while.
type foreignWatch struct {
	source *Source
	sink   driver.Sink

	conn     inner // nil when it must be opened anew
	versions []dataVersion
	finished uint64    // of this process's commits, before the last look
	suspect  time.Time // since when something may be unreported; zero: nothing
	lost     bool
}

type dataVersion struct {
	database string
	number   int64
}

// inner is what the watch needs of a connection of the driver.
type inner interface {
	sqldriver.Conn
	sqldriver.QueryerContext
}

// open connects and takes the first look.
func (w *foreignWatch) open(ctx context.Context) error {
	made, err := w.source.inner.Connect(ctx)
	if err != nil {
		return fmt.Errorf("sqlitesource: connecting to watch for other processes: %w", err)
	}
	in, ok := made.(inner)
	if !ok || !sqlitehooks.Offers(made) {
		_ = made.Close() // it is not used
		return driver.Permanent(fmt.Errorf("sqlitesource: watching: a connection of type %T has no hooks: the driver is not modernc.org/sqlite", made))
	}
	w.conn = in
	w.finished = w.source.hooks.Committed.Load()
	if w.versions, err = w.ask(ctx); err != nil {
		w.close()
		return fmt.Errorf("sqlitesource: asking for data_version: %w", err)
	}
	return nil
}

func (w *foreignWatch) close() {
	if w.conn != nil {
		_ = w.conn.Close() // it has only read
		w.conn = nil
	}
}

// run looks at the interval until ctx is done.
func (w *foreignWatch) run(ctx context.Context) error {
	if w.source.cfg.Interval < 0 {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	ticker := time.NewTicker(w.source.cfg.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			w.look(ctx)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// look looks once, and tells the sink what it finds.
func (w *foreignWatch) look(ctx context.Context) {
	err := w.compare(ctx)
	switch {
	case ctx.Err() != nil || isLocked(err):
		// Nobody can read now. The next look sees what this one would have.
	case err != nil:
		w.close()
		if !w.lost {
			w.lost = true
			w.sink.Lost(err)
		}
	case w.lost:
		w.lost = false
		w.sink.Watching()
	}
}

func (w *foreignWatch) compare(ctx context.Context) error {
	if w.conn == nil {
		return w.open(ctx)
	}
	finished := w.source.hooks.Committed.Load()
	versions, err := w.ask(ctx)
	if err != nil {
		return fmt.Errorf("sqlitesource: asking for data_version: %w", err)
	}
	started := w.source.hooks.Committing.Load()
	changed := false
	for i, v := range versions {
		changed = changed || i >= len(w.versions) || w.versions[i] != v
	}
	own := started != w.finished // a commit of ours may have become visible since the last look
	w.versions, w.finished = versions, finished
	switch {
	case changed && !own:
		w.report()
	case changed && w.suspect.IsZero():
		w.suspect = time.Now()
	}
	if audit := w.source.cfg.Audit; audit >= 0 && !w.suspect.IsZero() && time.Since(w.suspect) >= audit {
		w.report()
	}
	return nil
}

func (w *foreignWatch) report() {
	w.suspect = time.Time{}
	w.sink.Report(driver.Change{Table: driver.Table{Database: w.source.cfg.Database}})
}

// ask returns the numbers of all databases of the connection.
func (w *foreignWatch) ask(ctx context.Context) ([]dataVersion, error) {
	names, err := sqlitehooks.Query(ctx, w.conn, `SELECT name FROM pragma_database_list`)
	if err != nil {
		return nil, err
	}
	out := make([]dataVersion, 0, len(names))
	for _, row := range names {
		name, _ := row[0].(string)
		rows, err := sqlitehooks.Query(ctx, w.conn, `PRAGMA `+sqlitehooks.Quote(name)+`.data_version`)
		if err != nil {
			return nil, err
		}
		var number int64
		if len(rows) == 1 {
			number, _ = rows[0][0].(int64)
		}
		out = append(out, dataVersion{name, number})
	}
	return out, nil
}

// isLocked reports whether the database was locked for too long.
func isLocked(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_BUSY || e.Code()&0xff == sqlite3.SQLITE_LOCKED)
}
