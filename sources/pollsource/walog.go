package pollsource

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/internal/sqlitefile"
)

// logging is a watcher that can tell which rows have changed.
type logging interface {
	// logOf says which tables the next look is about.
	logOf(tables []driver.Schema)
}

// walLog tells from a SQLite database's write-ahead log which rows others have changed, of
// tables whose key is the number of the row (INTEGER PRIMARY KEY). Rows of other tables
// it cannot name.
//
// It also knows which stretches of the log hold this process's commits alone, which are
// reported otherwise. Who was at the beginning of one goes on at its end, which may lie in a
// log that SQLite has begun anew.
type walLog struct {
	db     *bun.DB
	conn   *sql.Conn
	log    *sqlitefile.Log
	schema string // of the tables in the database's own words: "main" for most

	mu      sync.Mutex // guards what follows
	closed  bool
	tables  map[driver.Table]driver.Schema
	begin   sqlitefile.Position
	own     []stretch // the last ones, in their order
	mixed   bool      // others have committed since the last of them
	version int64     // of the schema that roots are of
	roots   map[driver.Table]uint32
}

// stretch is a part of the log in which only this process has committed.
type stretch struct{ from, to sqlitefile.Position }

// maxStretches bounds the stretches that are remembered, each between two commits of
// others.
const maxStretches = 64

var _ driver.ChangeLog = (*walLog)(nil)

var errLogClosed = errors.New("pollsource: the source does not read this log any more")

// newWALLog returns the log of the database file, from here on.
func newWALLog(db *bun.DB, conn *sql.Conn, schema, path string) (*walLog, error) {
	l := &walLog{db: db, conn: conn, log: sqlitefile.NewLog(path), schema: schema}
	at, err := l.log.Position()
	l.begin, l.own = at, []stretch{{at, at}}
	return l, err
}

// about says which tables there are.
func (l *walLog) about(tables []driver.Schema) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.tables) == len(tables) && !slices.ContainsFunc(tables, func(t driver.Schema) bool {
		known, ok := l.tables[t.Table]
		return !ok || !slices.Equal(known.Key, t.Key)
	}) {
		return
	}
	l.tables = make(map[driver.Table]driver.Schema, len(tables))
	for _, t := range tables {
		l.tables[t.Table] = t
	}
	l.roots = nil
}

// looked notes what a look at the files has found.
func (l *walLog) looked(found sqlitefile.Finding) {
	at, err := l.log.Position()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mixed = l.mixed || found.Foreign
	if err != nil || !found.Settled || at.Commits() != found.Commits {
		return // it has moved on; the next look tells
	}
	if l.mixed {
		if len(l.own) == maxStretches {
			l.own = slices.Delete(l.own, 0, 1)
		}
		l.own, l.mixed = append(l.own, stretch{from: at}), false
	}
	l.own[len(l.own)-1].to = at
}

func (l *walLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// Position implements [driver.ChangeLog].
func (l *walLog) Position() (driver.Position, error) {
	at, err := l.log.Position()
	if err != nil {
		return "", err
	}
	return driver.Position(at.String()), nil
}

// Changed implements [driver.ChangeLog].
func (l *walLog) Changed(ctx context.Context, tables []driver.Table, after driver.Position) (map[driver.Table][]driver.Key, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errLogClosed
	}
	from := l.begin
	if after != "" {
		var err error
		if from, err = sqlitefile.ParsePosition(string(after)); err != nil {
			return nil, err
		}
	}
	for _, s := range l.own {
		if from.Within(s.from, s.to) {
			from = s.to
		}
	}
	tables = slices.DeleteFunc(slices.Clone(tables), func(t driver.Table) bool { _, ok := l.tables[t]; return !ok })
	if len(tables) == 0 {
		return nil, nil
	}
	if err := l.learn(ctx); err != nil {
		return nil, err
	}
	roots := make([]uint32, len(tables))
	for i, t := range tables {
		root, ok := l.roots[t]
		if !ok {
			return nil, fmt.Errorf("pollsource: the key of table %q is not the number of the row", t)
		}
		roots[i] = root
	}
	rows, err := l.log.Changed(from, roots)
	if err != nil {
		return nil, err
	}
	found := make(map[driver.Table][]driver.Key)
	for i, t := range tables {
		schema := l.tables[t]
		for _, id := range rows[roots[i]] {
			key, err := schema.MakeKey(id)
			if err != nil {
				return nil, err
			}
			found[t] = append(found[t], key)
		}
	}
	return found, nil
}

// learn finds the root pages of the tables whose key is the number of the row. They stay
// as they are while the schema does; the log tells by itself when that was changed.
func (l *walLog) learn(ctx context.Context) error {
	before, err := l.schemaVersion(ctx)
	if err != nil {
		return err
	}
	if l.roots != nil && l.version == before {
		return nil
	}
	roots, err := l.readRoots(ctx)
	if err != nil {
		return err
	}
	after, err := l.schemaVersion(ctx)
	if err != nil {
		return err
	}
	if after != before {
		return errors.New("pollsource: the schema is being changed")
	}
	l.roots, l.version = roots, before
	return nil
}

func (l *walLog) schemaVersion(ctx context.Context) (version int64, err error) {
	query := "SELECT schema_version FROM pragma_schema_version"
	if l.schema != "main" {
		query = "PRAGMA " + quote(l.db, l.schema) + ".schema_version"
	}
	err = l.conn.QueryRowContext(ctx, query).Scan(&version)
	return version, err
}

func (l *walLog) readRoots(ctx context.Context) (roots map[driver.Table]uint32, err error) {
	roots = make(map[driver.Table]uint32)
	var names []string
	for t, schema := range l.tables {
		if len(schema.Key) == 1 {
			names = append(names, t.Name)
		}
	}
	if len(names) == 0 {
		return roots, nil
	}
	// A descending key is no number of a row: a quirk of SQLite.
	query := l.db.QueryGen().FormatQuery(`SELECT m.name, m.rootpage, (SELECT group_concat(i.name, char(0)) FROM pragma_table_info(m.name, ?) i WHERE i.pk > 0)
		FROM ?.sqlite_master m WHERE m.type = 'table' AND m.name IN (?) AND m.sql NOT LIKE '%WITHOUT%ROWID%' AND m.sql NOT LIKE '%DESC%'
		AND EXISTS (SELECT 1 FROM pragma_table_info(m.name, ?) i WHERE i.pk = 1 AND upper(i.type) = 'INTEGER')`,
		l.schema, bun.Ident(l.schema), bun.List(names), l.schema)
	rows, err := l.conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name, key string
		var root uint32
		if err := rows.Scan(&name, &root, &key); err != nil {
			return nil, err
		}
		for t, schema := range l.tables {
			if t.Name == name && len(schema.Key) == 1 && strings.EqualFold(schema.Key[0], key) {
				roots[t] = root
			}
		}
	}
	return roots, rows.Err()
}
