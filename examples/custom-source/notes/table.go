package notes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// Note is a row.
type Note struct {
	ID    int64     `json:"id"`
	Text  string    `json:"text"`
	Stars int64     `json:"stars"`
	At    time.Time `json:"at"`
}

const createTable = `CREATE TABLE IF NOT EXISTS notes (
	id    INTEGER PRIMARY KEY,
	text  TEXT NOT NULL CHECK (text <> ''),
	stars INTEGER NOT NULL DEFAULT 0,
	at    TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
)`

// Table is the table of notes. Its methods may be called from any goroutine.
type Table struct {
	*driver.Description[Note] // the columns' values
	db                        *sql.DB
}

var (
	_ driver.Loader[Note] = (*Table)(nil)
	_ driver.Writer[Note] = (*Table)(nil)
)

// Open returns the table in the database. It does no I/O. Transactions of the database
// should begin with a write lock ("_txlock=immediate").
func Open(db *sql.DB) *Table {
	return &Table{Description: driver.Describe[Note](driver.Table{Name: "notes"}, "id"), db: db}
}

// Schema implements [driver.Loader]. The struct does not say what the database fills in
// by itself, so that is added.
func (t *Table) Schema() (driver.Schema, error) {
	s, err := t.Description.Schema()
	s.Columns = slices.Clone(s.Columns)
	for i := range s.Columns {
		switch s.Columns[i].Name {
		case "id":
			s.Columns[i].Generated = true // clients cannot choose it
		case "stars", "at":
			s.Columns[i].Default = true // clients need not name it
		}
	}
	return s, err
}

// batch is how many keys one statement names. SQLite takes some thousand parameters.
const batch = 500

// Load implements [driver.Loader]. One transaction reads all of it, so the rows are of
// one moment.
func (t *Table) Load(ctx context.Context, keys []driver.Key) (notes []*Note, err error) {
	q, end, err := t.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	if keys == nil {
		return read(ctx, q, "", nil)
	}
	for some := range slices.Chunk(keys, batch) {
		args := make([]any, len(some))
		for i, key := range some {
			if args[i], err = idOf(key); err != nil {
				return nil, err
			}
		}
		more, err := read(ctx, q, " WHERE id IN (?"+strings.Repeat(", ?", len(some)-1)+")", args)
		if err != nil {
			return nil, err
		}
		notes = append(notes, more...)
	}
	return notes, nil
}

func read(ctx context.Context, q querier, where string, args []any) (notes []*Note, err error) {
	rows, err := q.QueryContext(ctx, "SELECT id, text, stars, at FROM notes"+where, args...)
	if err != nil {
		return nil, fmt.Errorf("notes: reading: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		n := &Note{}
		if err := rows.Scan(&n.ID, &n.Text, &n.Stars, &n.At); err != nil {
			return nil, fmt.Errorf("notes: reading a row: %w", err)
		}
		notes = append(notes, n)
	}
	return notes, rows.Err()
}

// idOf returns the value of the key's only column.
func idOf(key driver.Key) (any, error) {
	values, err := key.Values()
	if err != nil || len(values) != 1 {
		return nil, fmt.Errorf("notes: %v is no key of a note: %w", key, err)
	}
	return values[0].Any(), nil
}
