package notes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/binderyhq/bindery/core/driver"
)

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// txKey is where a context keeps the transaction that Transact has begun.
type txKey struct{}

// reading returns what to read from, and what to call afterwards: within Transact its
// transaction, which sees its own writes, else one for this read.
func (t *Table) reading(ctx context.Context) (querier, func() error, error) {
	if tx, ok := ctx.Value(txKey{}).(*sql.Tx); ok {
		return tx, func() error { return nil }, nil
	}
	tx, err := t.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, nil, fmt.Errorf("notes: reading: %w", err)
	}
	return tx, tx.Rollback, nil
}

// Transact implements [driver.Writer].
func (t *Table) Transact(ctx context.Context, fn func(ctx context.Context) error) error {
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("notes: beginning a transaction: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if err := fn(context.WithValue(ctx, txKey{}, tx)); err != nil {
		return err // unchanged
	}
	return refused(tx.Commit())
}

// Lock implements [driver.Writer]. The transaction has the database's only write lock.
func (*Table) Lock(context.Context, driver.Key) error { return nil }

// Insert implements [driver.Writer].
func (t *Table) Insert(ctx context.Context, n *Note, columns []string) (driver.Key, error) {
	if len(columns) == 0 {
		res, err := exec(ctx, "INSERT INTO notes DEFAULT VALUES")
		return newKey(res, err)
	}
	res, err := exec(ctx, "INSERT INTO notes ("+strings.Join(columns, ", ")+") VALUES (?"+strings.Repeat(", ?", len(columns)-1)+")", t.values(n, columns)...)
	return newKey(res, err)
}

func newKey(res sql.Result, err error) (driver.Key, error) {
	if err != nil {
		return "", err
	}
	id, err := res.LastInsertId()
	return driver.KeyOf(id), err
}

// Update implements [driver.Writer]. SQLite cannot set a column to its default in an
// UPDATE, so those in defaults stay as they are.
func (t *Table) Update(ctx context.Context, key driver.Key, n *Note, columns, _ []string) error {
	if len(columns) == 0 {
		return nil
	}
	id, err := idOf(key)
	if err != nil {
		return err
	}
	_, err = exec(ctx, "UPDATE notes SET "+strings.Join(columns, " = ?, ")+" = ? WHERE id = ?", append(t.values(n, columns), id)...)
	return err
}

// Delete implements [driver.Writer].
func (*Table) Delete(ctx context.Context, key driver.Key) error {
	id, err := idOf(key)
	if err != nil {
		return err
	}
	_, err = exec(ctx, "DELETE FROM notes WHERE id = ?", id)
	return err
}

// values returns the values of the columns. Their names come from the schema, and are
// safe in SQL.
func (t *Table) values(n *Note, columns []string) []any {
	schema, _ := t.Schema() // Start has reported what is wrong with it
	values := make([]any, len(columns))
	for i, name := range columns {
		values[i] = t.Value(n, schema.Column(name)).Any()
	}
	return values
}

// exec runs a statement in the transaction of the context.
func exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	res, err := ctx.Value(txKey{}).(*sql.Tx).ExecContext(ctx, query, args...)
	return res, refused(err)
}

// refused tells clients which of their values a constraint has refused, in words of our
// own: they never see the text of another error.
func refused(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_CHECK:
		return &driver.InvalidError{Fields: []driver.FieldError{{Field: "text", Detail: "must not be empty"}}, Cause: err}
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return &driver.InvalidError{Fields: []driver.FieldError{{Field: "id", Detail: "is taken"}}, Cause: err}
	}
	return err
}
