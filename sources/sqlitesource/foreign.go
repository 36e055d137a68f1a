package sqlitesource

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/internal/ondemand"
	"github.com/binderyhq/bindery/sources/internal/sqlitefile"
	"github.com/binderyhq/bindery/sources/internal/sqlitehooks"
	"github.com/binderyhq/bindery/sources/internal/sqlitelog"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// foreignWatch notices commits of others. SQLite counts all commits in its files, and
// the source counts those of its own connections; the difference is the others'. It
// looks at the files when they are written, and at the interval.
//
// If the files do not tell (in memory, on Windows) it reads PRAGMA data_version on its
// own connection, which changes when any other connection, of any process, has
// committed. If this process has not committed since the last look, another has.
// Otherwise another may have; then everything is compared after Config.Audit.
type foreignWatch struct {
	source *Source
	sink   driver.Sink

	conn     inner // nil when it must be opened anew
	logConn  inner // for the log
	versions []dataVersion
	finished uint64    // this process's finished commits, before the last look
	foreign  bool      // the files show an unreported commit of others
	suspect  time.Time // since when something may be unreported; zero: nothing
	lost     bool
	blind    bool // the last look failed
	busy     bool // at the last look, running commits of this process may have hidden others'

	asking *ondemand.Run

	files  []*sqlitefile.Watch // for all databases of the connection, or empty
	log    *sqlitelog.Log      // if there is only one database; nil: nothing tells which rows were written
	bound  <-chan struct{}     // closed when the log needs other tables
	alarms []*sqlitefile.Alarm
	rings  chan struct{} // capacity 1
}

// After the files were written they are looked at at once, and again after waits
// that double from followUp, so many times: they are written a moment before the
// commit can be seen.
const (
	followUp     = time.Millisecond
	maxFollowUps = 6
)

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
		_ = made.Close() // it stays unused
		return driver.Permanent(fmt.Errorf("sqlitesource: watching: a connection of type %T has no hooks: the driver is not modernc.org/sqlite", made))
	}
	w.conn = in
	w.finished = w.source.hooks.Committed.Load()
	if w.versions, err = w.ask(ctx); err != nil {
		w.close()
		return fmt.Errorf("sqlitesource: asking for data_version: %w", err)
	}
	// By now SQLite has recovered the database if needed, and with it the WAL index.
	if err := w.openFiles(ctx); err != nil {
		w.close()
		return fmt.Errorf("sqlitesource: asking where the database is: %w", err)
	}
	return nil
}

// openFiles begins to watch the files of the connection's databases.
func (w *foreignWatch) openFiles(ctx context.Context) error {
	rows, err := sqlitehooks.Query(ctx, w.conn, `SELECT name, file FROM pragma_database_list`)
	if err != nil {
		return err
	}
	telling := true
	for _, row := range rows {
		name, _ := row[0].(string)
		path, _ := row[1].(string)
		if name == "temp" {
			continue
		}
		counter, err := sqlitefile.NewCounter(path)
		if err != nil {
			telling = false
			continue
		}
		if alarm, err := sqlitefile.NewAlarm(path, w.ring); err == nil { // else only the interval applies
			w.alarms = append(w.alarms, alarm)
		}
		f, err := sqlitefile.NewWatch(counter, &w.source.hooks.Commits, name, w.ring)
		if err != nil {
			telling = false
			continue
		}
		w.files = append(w.files, f)
	}
	if !telling { // all or none: own commits are not counted per database
		w.closeFiles()
	}
	if len(w.files) == 1 {
		return w.openLog(ctx, rows)
	}
	return nil
}

// openLog begins to read the write-ahead log of the connection's only database.
func (w *foreignWatch) openLog(ctx context.Context, databases [][]sqldriver.Value) error {
	at := slices.IndexFunc(databases, func(row []sqldriver.Value) bool { return row[0] != "temp" })
	schema, _ := databases[at][0].(string)
	path, _ := databases[at][1].(string)
	// Its own connection, because batches ask the log while the watch looks.
	made, err := w.source.inner.Connect(ctx)
	if err != nil {
		return err
	}
	conn, ok := made.(inner)
	if !ok {
		return errors.Join(fmt.Errorf("a connection of type %T does not query", made), made.Close())
	}
	query := func(ctx context.Context, statement string) ([][]any, error) {
		rows, err := sqlitehooks.Query(ctx, conn, statement)
		all := make([][]any, len(rows))
		for i, row := range rows {
			for _, v := range row {
				all[i] = append(all[i], v)
			}
		}
		return all, err
	}
	if w.log, err = sqlitelog.New(query, schema, path); err != nil {
		return conn.Close() // another journal mode
	}
	w.logConn = conn
	return nil
}

// changeLog returns the log that tells which rows have changed, nil if there is none.
func (w *foreignWatch) changeLog() driver.ChangeLog {
	if w.log == nil {
		return nil
	}
	select {
	case <-w.bound:
		w.bound = nil
	default:
	}
	if w.bound == nil {
		var tables []driver.Schema
		tables, w.bound = w.sink.Tables()
		w.log.About(tables)
	}
	return w.log
}

func (w *foreignWatch) ring() {
	select {
	case w.rings <- struct{}{}:
	default:
	}
}

func (w *foreignWatch) closeFiles() {
	for _, f := range w.files {
		f.Close()
	}
	w.files = nil
	if w.log != nil {
		w.log.Close()
		_ = w.logConn.Close() // it has only read
		w.log, w.logConn, w.bound = nil, nil, nil
	}
}

func (w *foreignWatch) close() {
	w.closeFiles()
	for _, a := range w.alarms {
		a.Close()
	}
	w.alarms = nil
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
	follow := time.NewTimer(time.Hour)
	defer follow.Stop()
	followed := 0
	for {
		select {
		case <-ticker.C:
			w.look(ctx)
		case <-w.asking.Asked():
			w.answer(ctx)
		case <-w.rings:
			followed = 0
			follow.Reset(0)
		case <-follow.C:
			if !w.look(ctx) && followed < maxFollowUps {
				follow.Reset(followUp << followed)
				followed++
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// look looks once, and reports its findings to the sink. news says whether there were
// any.
func (w *foreignWatch) look(ctx context.Context) (news bool) {
	w.busy = false
	news, err := w.compare(ctx)
	w.blind = err != nil
	switch {
	case ctx.Err() != nil || isLocked(err):
		// The database is locked. The next look finds what this one would have.
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
	return news
}

func (w *foreignWatch) compare(ctx context.Context) (news bool, err error) {
	if w.conn == nil {
		return false, w.open(ctx)
	}
	for _, f := range w.files {
		found, err := f.Look()
		if err != nil {
			return false, err
		}
		if w.log != nil {
			w.log.Looked(found)
		}
		w.foreign = w.foreign || found.Foreign
		w.busy = w.busy || !found.Settled
	}
	finished := w.source.hooks.Committed.Load()
	// To ask takes a lock: what others were committing is over then, and visible.
	versions, err := w.ask(ctx)
	if err != nil {
		return false, fmt.Errorf("sqlitesource: asking for data_version: %w", err)
	}
	own := w.source.hooks.Committing.Load() != w.finished // a commit of ours may have become visible since the last look
	changed := false
	for i, v := range versions {
		changed = changed || i >= len(w.versions) || w.versions[i] != v
	}
	w.versions, w.finished = versions, finished
	switch {
	case w.foreign, len(w.files) == 0 && changed && !own:
		w.report()
		return true, nil
	case len(w.files) == 0 && changed && w.suspect.IsZero():
		w.suspect = time.Now()
	}
	if audit := w.source.cfg.Audit; audit >= 0 && !w.suspect.IsZero() && time.Since(w.suspect) >= audit {
		w.report()
		return true, nil
	}
	return false, nil
}

func (w *foreignWatch) report() {
	w.suspect, w.foreign = time.Time{}, false
	w.sink.Report(driver.Change{Table: driver.Table{Database: w.source.cfg.Database}, Compare: true, Log: w.changeLog()})
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
