// Package sqlitelog tells from a SQLite database's write-ahead log which rows others have
// changed, by the keys of bindings.
//
// [github.com/binderyhq/bindery/sources/internal/sqlitefile] reads the files. Here is known
// which tables there are, how they are stored, and which stretches of the log hold this
// process's commits alone.
package sqlitelog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/internal/sqlitefile"
)

// Query runs a statement on a connection to the database, and returns its rows. Integers
// are int64, text is a string.
type Query func(ctx context.Context, statement string) ([][]any, error)

// Log tells from a SQLite database's write-ahead log which rows others have changed, of
// tables that have row numbers, in databases whose text is UTF-8. Rows of other tables it
// cannot name.
//
// It also knows which stretches of the log hold this process's commits alone, which are
// reported otherwise. Who was at the beginning of one goes on at its end, which may lie in a
// log that SQLite has begun anew.
type Log struct {
	query  Query
	log    *sqlitefile.Log
	schema string // of the tables in the database's own words: "main" for most

	mu      sync.Mutex // guards what follows
	closed  bool
	tables  map[driver.Table]driver.Schema
	begin   sqlitefile.Position
	own     []stretch                         // the last ones, in their order
	mixed   bool                              // others have committed since the last of them
	version int64                             // of the schema by which they are stored so
	stored  map[driver.Table]sqlitefile.Table // without those whose rows cannot be named
}

// stretch is a part of the log in which only this process has committed.
type stretch struct{ from, to sqlitefile.Position }

// maxStretches bounds the stretches that are remembered, each between two commits of
// others.
const maxStretches = 64

var _ driver.ChangeLog = (*Log)(nil)

var errLogClosed = errors.New("sqlitelog: the source does not read this log any more")

// New returns the log of the database file, from here on. schema is the name by which the
// connection knows the file. Query is called by one goroutine at a time, and not after
// Close. The error says that the database keeps no such log.
func New(query Query, schema, path string) (*Log, error) {
	l := &Log{query: query, log: sqlitefile.NewLog(path), schema: schema}
	at, err := l.log.Position()
	if err != nil {
		return nil, err
	}
	l.begin, l.own = at, []stretch{{at, at}}
	return l, nil
}

// About says which tables there are.
func (l *Log) About(tables []driver.Schema) {
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
	l.stored = nil
}

// Looked notes what a look at the files has found.
func (l *Log) Looked(found sqlitefile.Finding) {
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

// Close ends what is told. It waits for a call of Changed that is under way.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// Position implements [driver.ChangeLog].
func (l *Log) Position() (driver.Position, error) {
	at, err := l.log.Position()
	if err != nil {
		return "", err
	}
	return driver.Position(at.String()), nil
}

// Changed implements [driver.ChangeLog].
func (l *Log) Changed(ctx context.Context, tables []driver.Table, after driver.Position) (map[driver.Table][]driver.Key, error) {
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
	stored := make([]sqlitefile.Table, len(tables))
	for i, t := range tables {
		var ok bool
		if stored[i], ok = l.stored[t]; !ok {
			return nil, fmt.Errorf("sqlitelog: how table %q is stored is not known", t)
		}
	}
	keys, err := l.log.Changed(from, stored)
	if err != nil {
		return nil, err
	}
	found := make(map[driver.Table][]driver.Key)
	for i, t := range tables {
		schema := l.tables[t]
		for _, values := range keys[stored[i].Root] {
			key, err := schema.MakeKey(values...)
			if err != nil {
				return nil, err
			}
			found[t] = append(found[t], key)
		}
		slices.Sort(found[t])
		found[t] = slices.Compact(found[t])
	}
	return found, nil
}

// learn finds out how the tables are stored. That stays as it is while the schema does; the
// log tells by itself when that was changed.
func (l *Log) learn(ctx context.Context) error {
	before, err := l.schemaVersion(ctx)
	if err != nil {
		return err
	}
	if l.stored != nil && l.version == before {
		return nil
	}
	stored, err := l.readStored(ctx)
	if err != nil {
		return err
	}
	after, err := l.schemaVersion(ctx)
	if err != nil {
		return err
	}
	if after != before {
		return errors.New("sqlitelog: the schema is being changed")
	}
	l.stored, l.version = stored, before
	return nil
}

func (l *Log) schemaVersion(ctx context.Context) (int64, error) {
	statement := "SELECT schema_version FROM pragma_schema_version"
	if l.schema != "main" {
		statement = "PRAGMA " + name(l.schema) + ".schema_version"
	}
	rows, err := l.query(ctx, statement)
	if err != nil {
		return 0, err
	}
	if len(rows) == 1 {
		if version, ok := rows[0][0].(int64); ok {
			return version, nil
		}
	}
	return 0, errors.New("sqlitelog: the schema has no version")
}

// readStored finds out how the tables are stored, by their columns: the positions of the
// key's among those that rows have.
func (l *Log) readStored(ctx context.Context) (map[driver.Table]sqlitefile.Table, error) {
	stored := make(map[driver.Table]sqlitefile.Table)
	encoding, err := l.query(ctx, "SELECT encoding FROM pragma_encoding") // databases that are attached have the same
	if err != nil {
		return nil, err
	}
	if len(encoding) != 1 || encoding[0][0] != "UTF-8" || len(l.tables) == 0 {
		return stored, nil
	}
	var names []string
	for t := range l.tables {
		names = append(names, text(t.Name))
	}
	// Virtual generated columns (hidden = 2) are not stored.
	rows, err := l.query(ctx, `SELECT m.name, m.rootpage, i.name, upper(i.type) FROM `+name(l.schema)+`.sqlite_master m, pragma_table_xinfo(m.name, `+text(l.schema)+`) i
		WHERE m.type = 'table' AND m.rootpage > 0 AND m.name IN (`+strings.Join(names, ", ")+`) AND m.sql NOT LIKE '%WITHOUT%ROWID%' AND i.hidden <> 2 ORDER BY m.name, i.cid`)
	if err != nil {
		return nil, err
	}
	roots := make(map[string]uint32)
	columns := make(map[string][]storedColumn)
	for _, row := range rows {
		table, _ := row[0].(string)
		root, _ := row[1].(int64)
		var c storedColumn
		c.name, _ = row[2].(string)
		c.kind, _ = row[3].(string)
		roots[table] = uint32(root)
		columns[table] = append(columns[table], c)
	}
	for t, schema := range l.tables {
		if positions, ok := positionsOf(schema.Key, columns[t.Name]); ok {
			integer := len(positions) == 1 && columns[t.Name][positions[0]].kind == "INTEGER"
			stored[t] = sqlitefile.Table{Root: roots[t.Name], Key: positions, Number: integer}
		}
	}
	return stored, nil
}

// name and text quote for SQLite.
func name(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
func text(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// storedColumn is a column that rows have, with its declared type in capitals.
type storedColumn struct{ name, kind string }

// positionsOf returns where the key's columns are.
func positionsOf(key []string, columns []storedColumn) (positions []int, ok bool) {
	for _, name := range key {
		at := slices.IndexFunc(columns, func(c storedColumn) bool { return strings.EqualFold(c.name, name) })
		if at < 0 {
			return nil, false
		}
		positions = append(positions, at)
	}
	return positions, len(positions) > 0
}
