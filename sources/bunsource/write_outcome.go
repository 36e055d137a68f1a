package bunsource

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/driver"
)

// written is the last statement of a transaction that wrote something. What a
// COMMIT refuses is put down to it.
type written struct {
	m     *model
	strct reflect.Value // the row, invalid for a delete
	named []string      // the columns that the statement names: the client's, and those that hooks fill in
}

// writtenKey is the context key of a transaction's *written.
type writtenKey struct{ db *sql.DB }

// note remembers what is about to be written.
func (l *Loader[T]) note(ctx context.Context, m *model, row *T, named []string) {
	last, ok := ctx.Value(writtenKey{l.db.DB}).(*written)
	if !ok {
		return
	}
	*last = written{m: m, named: named}
	if row != nil {
		last.strct = reflect.ValueOf(row).Elem()
	}
}

// violationError is what the database objects to in a row. Transact words it
// when the transaction is over.
type violationError struct {
	violation
	err error
}

func (e *violationError) Error() string { return e.err.Error() }
func (e *violationError) Unwrap() error { return e.err }

// outcome returns what a statement that was to write one row has come to.
func (m *model) outcome(doing string, res sql.Result, err error) error {
	if err != nil {
		return m.writeError(doing, err)
	}
	if m.db.Dialect().Name() == dialect.MySQL {
		return nil // which does not count rows that it leaves as they are, and has nothing that skips one
	}
	if m.db.Dialect().Name() == dialect.SQLite && !m.columns[0].facts.Known {
		return nil // a view: SQLite does not count what its triggers write
	}
	if n, err := res.RowsAffected(); err == nil && n == 0 {
		return driver.ErrRefused
	}
	return nil
}

// writeError tells what the client can mend from what it cannot.
func (m *model) writeError(doing string, err error) error {
	if err == nil {
		return nil
	}
	if v, ok := violationOf(err); ok {
		return &violationError{v, err}
	}
	return fmt.Errorf("bunsource: %s table %q: %w", doing, m.schema.Table, err)
}

// refusal words the error of a transaction that is over: own is what its
// function returned, err what it came to.
func (l *Loader[T]) refusal(ctx context.Context, last written, own, err error) error {
	var v *violationError
	switch {
	case own != nil && errors.Is(err, own):
		if !errors.As(own, &v) {
			return own
		}
	case last.m != nil:
		// The function was content, and COMMIT was not.
		if found, ok := violationOf(err); ok {
			v = &violationError{found, err}
		}
	}
	switch {
	case v == nil:
		return fmt.Errorf("bunsource: writing: %w", err)
	case v.denied:
		return fmt.Errorf("%w: %w", driver.ErrRefused, v.err)
	case last.m == nil:
		return &driver.InvalidError{Fields: []driver.FieldError{{Detail: v.detail}}, Cause: v.err}
	}
	return last.m.invalid(ctx, v, last)
}

// invalid words a violation for clients. A violation that the database puts
// down to no column is that of the only column that can be meant.
func (m *model) invalid(ctx context.Context, v *violationError, last written) error {
	column := v.column
	if column == "" {
		column = m.columnOfRule(v.rule)
	}
	if column == "" && last.strct.IsValid() && v.detail == detailReference && m.db.Dialect().Name() == dialect.SQLite {
		column = m.onlyReference(ctx, last.named)
	}
	if column == "" && len(last.named) == 1 && v.detail != detailReference {
		column = last.named[0]
	}
	if column == "" && last.strct.IsValid() {
		column = m.culprit(ctx, v, last)
	}
	return &driver.InvalidError{Fields: []driver.FieldError{{Field: m.fieldOf(column), Column: column, Detail: v.detail}}, Cause: v.err}
}

// fieldOf returns the field that stands for the column in rows.
func (m *model) fieldOf(column string) string {
	i := m.schema.Column(column)
	if i < 0 {
		return ""
	}
	if c := m.schema.Columns[i]; c.JSON != "" {
		return c.JSON
	}
	return strings.Join(m.schema.Columns[i].Path, ".")
}

// culpritTimeout bounds the search for the column that a refused write is
// refused for.
const culpritTimeout = time.Second

// culprit asks the database which column it objected to, "" when it cannot be
// told. The transaction is over; whatever goes wrong here leaves the column
// unknown.
func (m *model) culprit(ctx context.Context, v *violationError, last written) string {
	ctx, cancel := context.WithTimeout(withoutHooks(ctx), culpritTimeout)
	defer cancel()
	if m.db.Dialect().Name() == dialect.PG && v.ofValue {
		return m.unreadable(ctx, last)
	}
	return ""
}

// unreadable returns the one column whose type does not read what was to be
// written there. Postgres does not name it in its error.
func (m *model) unreadable(ctx context.Context, last written) string {
	found := ""
	gen := m.db.QueryGen()
	for _, name := range last.named {
		i := m.schema.Column(name)
		f, declared := m.columns[i].field, m.columns[i].facts.SQLType
		if f.Append == nil || declared == "" {
			continue
		}
		literal := string(f.AppendValue(gen, nil, last.strct))
		var null bool
		if err := m.db.DB.QueryRowContext(ctx, "SELECT CAST("+literal+" AS "+declared+") IS NULL").Scan(&null); err == nil {
			continue
		} else if _, ok := violationOf(err); !ok || found != "" {
			return ""
		}
		found = name
	}
	return found
}

// onlyReference returns the one column among those named that refers to another
// table. SQLite does not say which reference it misses.
func (m *model) onlyReference(ctx context.Context, named []string) string {
	ctx, cancel := context.WithTimeout(withoutHooks(ctx), culpritTimeout)
	defer cancel()
	schema := m.schema.Table.Schema
	if schema == "" {
		schema = "main"
	}
	rows, err := m.db.DB.QueryContext(ctx, `SELECT DISTINCT "from" FROM pragma_foreign_key_list(?, ?)`, m.schema.Table.Name, schema)
	if err != nil {
		return ""
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var column string
		if rows.Scan(&column) != nil {
			return ""
		}
		if slices.Contains(named, column) {
			found = append(found, column)
		}
	}
	if rows.Err() != nil || len(found) != 1 {
		return ""
	}
	return found[0]
}

// misread reports whether the error may be that of a statement that was prepared for
// the table as it was before an ALTER.
func misread(err error) bool {
	var invalid *driver.InvalidError
	var objection *violationError
	if errors.As(err, &invalid) || errors.As(err, &objection) {
		return false
	}
	certain, perhaps := outdated(err)
	return certain || perhaps
}

// misplanned reports whether the error is that of a trigger of Postgres's, in
// PL/pgSQL, which has planned an expression in this session for a column that has
// another type by now. It would fail so for as long as the session lasts.
func misplanned(err error) bool {
	var coded interface{ SQLState() string }
	return errors.As(err, &coded) && coded.SQLState() == "42804" && strings.Contains(err.Error(), "when preparing the plan")
}

// collided reports whether the database ended a transaction in favour of
// another, so that it is worth trying again.
func collided(err error) bool {
	var invalid *driver.InvalidError
	var objection *violationError
	if errors.As(err, &invalid) || errors.As(err, &objection) {
		return false // whose words may be anything
	}
	var coded interface{ SQLState() string }
	if errors.As(err, &coded) {
		switch coded.SQLState() {
		case "40001", "40P01": // serialization_failure, deadlock_detected
			return true
		}
		return false
	}
	text := err.Error()
	for _, sign := range []string{"SQLITE_BUSY", "database is locked", "database table is locked", "Error 1213"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}
