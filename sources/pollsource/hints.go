package pollsource

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/internal/sqlitefile"
)

// hinting is a watcher that can tell some of the rows that have changed, before all
// tables are compared.
type hinting interface {
	// hintAt says which tables the next look is about.
	hintAt(tables []driver.Schema)
}

// walHints reads from a SQLite database's write-ahead log which rows others have changed,
// of tables whose key is the number of the row (INTEGER PRIMARY KEY).
type walHints struct {
	db     *bun.DB
	log    *sqlitefile.Log
	schema string // of the tables in the database's own words: "main" for most
	tables []driver.Schema
}

// rows returns the keys of rows that have changed, as far as the log tells.
func (h *walHints) rows(ctx context.Context, conn *sql.Conn) map[driver.Table][]driver.Key {
	roots, err := h.roots(ctx, conn)
	if err != nil || len(roots) == 0 {
		h.log.Skip()
		return nil
	}
	numbers := make([]uint32, 0, len(roots))
	for _, root := range roots {
		numbers = append(numbers, root)
	}
	rows, err := h.log.Rows(numbers)
	if err != nil {
		return nil
	}
	found := make(map[driver.Table][]driver.Key)
	for i := range h.tables {
		t := &h.tables[i]
		root, ok := roots[t.Table]
		if !ok {
			continue
		}
		var keys []driver.Key
		for _, id := range rows[root] {
			if key, err := t.MakeKey(id); err == nil {
				keys = append(keys, key)
			}
		}
		if len(keys) > 0 {
			found[t.Table] = keys
		}
	}
	return found
}

// roots returns the root pages of the tables whose key is the number of the row.
func (h *walHints) roots(ctx context.Context, conn *sql.Conn) (roots map[driver.Table]uint32, err error) {
	var names []string
	for i := range h.tables {
		if len(h.tables[i].Key) == 1 {
			names = append(names, h.tables[i].Table.Name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	// A descending key is no number of a row: a quirk of SQLite.
	query := h.db.QueryGen().FormatQuery(`SELECT m.name, m.rootpage, (SELECT group_concat(i.name, char(0)) FROM pragma_table_info(m.name, ?) i WHERE i.pk > 0)
		FROM ?.sqlite_master m WHERE m.type = 'table' AND m.name IN (?) AND m.sql NOT LIKE '%WITHOUT%ROWID%' AND m.sql NOT LIKE '%DESC%'
		AND EXISTS (SELECT 1 FROM pragma_table_info(m.name, ?) i WHERE i.pk = 1 AND upper(i.type) = 'INTEGER')`,
		h.schema, bun.Ident(h.schema), bun.List(names), h.schema)
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	roots = make(map[driver.Table]uint32)
	for rows.Next() {
		var name, key string
		var root uint32
		if err := rows.Scan(&name, &root, &key); err != nil {
			return nil, err
		}
		for i := range h.tables {
			if t := &h.tables[i]; t.Table.Name == name && len(t.Key) == 1 && strings.EqualFold(t.Key[0], key) {
				roots[t.Table] = root
			}
		}
	}
	return roots, rows.Err()
}
