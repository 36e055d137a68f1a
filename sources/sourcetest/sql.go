package sourcetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

// SQL is a harness for sources that watch a table of an SQL database: it has the
// methods of [Harness], [Transactor], [Bulker] and [Outsider]. Harnesses that
// can do more embed it. Its statements are understood by every database, since
// values are part of their text.
type SQL struct {
	// Subject is the source, and Can what it can do.
	Subject driver.Source
	Can     Abilities
	// Watched is where the writes are made that the source is to see. Other is
	// another handle of the database: the suite reads there, and writes what
	// somebody else writes. It closes both.
	Watched, Other *sql.DB
	// Schema is the table, as [SQLSchema] returns it.
	Schema driver.Schema
}

var (
	_ Harness    = (*SQL)(nil)
	_ Transactor = (*SQL)(nil)
	_ Bulker     = (*SQL)(nil)
	_ Outsider   = (*SQL)(nil)
)

// SQLSchema returns the schema of the table that [SQL.Create] makes. The names
// are those of the database, "" is its default schema.
func SQLSchema(database, schema string) driver.Schema {
	return driver.Schema{
		Table: driver.Table{Database: database, Schema: schema, Name: "conformance"},
		Key:   []string{"id"},
		Columns: []driver.Column{
			{Name: "id", JSON: "id", Kind: value.KindInt}, {Name: "v", JSON: "v", Kind: value.KindInt},
		},
	}
}

// Create makes the table, and the rows that it begins with, through Other.
func (h *SQL) Create(ctx context.Context) error {
	var rows []string
	for i := range InitialRows {
		rows = append(rows, fmt.Sprintf("(%d, 0)", i+1))
	}
	for _, statement := range []string{
		"CREATE TABLE " + h.table() + " (id INTEGER PRIMARY KEY, v INTEGER NOT NULL)",
		"INSERT INTO " + h.table() + " (id, v) VALUES " + strings.Join(rows, ", "),
	} {
		if _, err := h.Other.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("sourcetest: creating table %q: %w", h.table(), err)
		}
	}
	return nil
}

func (h *SQL) table() string {
	if s := h.Schema.Table.Schema; s != "" {
		return s + "." + h.Schema.Table.Name
	}
	return h.Schema.Table.Name
}

// Source implements [Harness].
func (h *SQL) Source() driver.Source { return h.Subject }

// Schemas implements [Harness].
func (h *SQL) Schemas() []driver.Schema { return []driver.Schema{h.Schema} }

// Abilities implements [Harness].
func (h *SQL) Abilities() Abilities { return h.Can }

// Close implements [Harness].
func (h *SQL) Close() error { return errors.Join(h.Watched.Close(), h.Other.Close()) }

// Read implements [Harness].
func (h *SQL) Read(ctx context.Context) (out Rows, err error) {
	rows, err := h.Other.QueryContext(ctx, "SELECT id, v FROM "+h.table())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	held := map[driver.Key]string{}
	for rows.Next() {
		var id, v int64
		if err := rows.Scan(&id, &v); err != nil {
			return nil, err
		}
		held[driver.KeyOf(id)] = fmt.Sprint(v)
	}
	return Rows{h.Schema.Table: held}, rows.Err()
}

// Write implements [Harness]: a single write is a statement of its own, several
// are one transaction.
func (h *SQL) Write(ctx context.Context, writes ...Write) error {
	return h.writeTo(ctx, h.Watched, writes)
}

// WriteOutside implements [Outsider].
func (h *SQL) WriteOutside(ctx context.Context, writes ...Write) error {
	return h.writeTo(ctx, h.Other, writes)
}

// Bulk implements [Bulker].
func (h *SQL) Bulk(ctx context.Context, delta int) error {
	_, err := h.Watched.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET v = v + %d WHERE v IS NOT NULL", h.table(), delta))
	return err
}

// Begin implements [Transactor].
func (h *SQL) Begin(ctx context.Context) (Tx, error) {
	tx, err := h.Watched.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	return &sqlTx{Tx: tx, h: h}, nil
}

func (h *SQL) writeTo(ctx context.Context, db *sql.DB, writes []Write) error {
	if len(writes) == 1 {
		return h.exec(ctx, db, writes[0])
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, w := range writes {
		if err := h.exec(ctx, tx, w); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

type sqlExecer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (h *SQL) exec(ctx context.Context, db sqlExecer, w Write) error {
	var text string
	switch w.Kind {
	case Insert:
		text = fmt.Sprintf("INSERT INTO %s (id, v) VALUES (%d, %d)", h.table(), w.ID, w.Value)
	case Update:
		text = fmt.Sprintf("UPDATE %s SET v = %d WHERE id = %d", h.table(), w.Value, w.ID)
	case Delete:
		text = fmt.Sprintf("DELETE FROM %s WHERE id = %d", h.table(), w.ID)
	case Rekey:
		text = fmt.Sprintf("UPDATE %s SET id = %d WHERE id = %d", h.table(), w.To, w.ID)
	}
	if _, err := db.ExecContext(ctx, text); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	return nil
}

type sqlTx struct {
	*sql.Tx
	h *SQL
}

func (t *sqlTx) Write(ctx context.Context, writes ...Write) error {
	for _, w := range writes {
		if err := t.h.exec(ctx, t.Tx, w); err != nil {
			return err
		}
	}
	return nil
}
