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
	"github.com/binderyhq/bindery/sources/bunsource/internal/dberror"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// written remembers the last statement of a transaction that wrote something. An
// error of COMMIT is attributed to it.
type written struct {
	m     *model.Model
	strct reflect.Value // the row, invalid for a delete
	named []string      // the statement's columns: the client's and the hooks'
}

// writtenKey is the context key of a transaction's *written.
type writtenKey struct{ db *sql.DB }

// note remembers the write that is about to run.
func (l *Loader[T]) note(ctx context.Context, m *model.Model, row *T, named []string) {
	last, ok := ctx.Value(writtenKey{l.db.DB}).(*written)
	if !ok {
		return
	}
	*last = written{m: m, named: named}
	if row != nil {
		last.strct = reflect.ValueOf(row).Elem()
	}
}

// violationError is the violation of a constraint. Transact turns it into an error
// for clients after the transaction has ended.
type violationError struct {
	dberror.Violation
	err error
}

func (e *violationError) Error() string { return e.err.Error() }

func (e *violationError) Unwrap() error { return e.err }

// outcome checks the result of a statement that was to write exactly one row.
func outcome(m *model.Model, doing string, res sql.Result, err error) error {
	if err != nil {
		return writeError(m, doing, err)
	}
	if m.DB.Dialect().Name() == dialect.MySQL {
		return nil // MySQL does not count unchanged rows, and cannot skip one
	}
	if m.DB.Dialect().Name() == dialect.SQLite && !m.Columns[0].Facts.Known {
		return nil // a view: SQLite does not count what its triggers write
	}
	switch n, err := res.RowsAffected(); {
	case err == nil && n == 0:
		return driver.ErrRefused
	case err == nil && n > 1:
		// The Go type shows different keys as one: a float64 of large integers, for one.
		return driver.Invalid("", fmt.Sprintf("its key is that of %d rows", n))
	}
	return nil
}

// writeError separates errors that the client can fix from all others.
func writeError(m *model.Model, doing string, err error) error {
	if err == nil {
		return nil
	}
	if v, ok := dberror.Of(err); ok {
		return &violationError{v, err}
	}
	return fmt.Errorf("bunsource: %s table %q: %w", doing, m.Schema.Table, err)
}

// refusal turns the error of an ended transaction into an error for clients. own
// is the error of its function, err the transaction's.
func (l *Loader[T]) refusal(ctx context.Context, last written, own, err error) error {
	var v *violationError
	switch {
	case own != nil && errors.Is(err, own):
		if !errors.As(own, &v) {
			return own
		}
	case last.m != nil:
		// The function succeeded, and COMMIT failed.
		if found, ok := dberror.Of(err); ok {
			v = &violationError{found, err}
		}
	}
	switch {
	case v == nil:
		return fmt.Errorf("bunsource: writing: %w", err)
	case v.Denied:
		return fmt.Errorf("%w: %w", driver.ErrRefused, v.err)
	case last.m == nil:
		return &driver.InvalidError{Fields: []driver.FieldError{{Detail: v.Detail}}, Cause: v.err}
	}
	return invalid(last.m, ctx, v, last)
}

// invalid turns a violation into an error for clients. When the database names no
// column, the error names the only column that can be meant.
func invalid(m *model.Model, ctx context.Context, v *violationError, last written) error {
	column := v.Column
	if column == "" {
		column = m.ColumnOfRule(v.Rule)
	}
	if column == "" && last.strct.IsValid() && v.Detail == dberror.DetailReference && m.DB.Dialect().Name() == dialect.SQLite {
		column = onlyReference(m, ctx, last.named)
	}
	if column == "" && len(last.named) == 1 && v.Detail != dberror.DetailReference {
		column = last.named[0]
	}
	if column == "" && last.strct.IsValid() {
		column = culprit(m, ctx, v, last)
	}
	return &driver.InvalidError{Fields: []driver.FieldError{{Field: fieldOf(m, column), Column: column, Detail: v.Detail}}, Cause: v.err}
}

// fieldOf returns the field that stands for the column in rows.
func fieldOf(m *model.Model, column string) string {
	i := m.Schema.Column(column)
	if i < 0 {
		return ""
	}
	if c := m.Schema.Columns[i]; c.JSON != "" {
		return c.JSON
	}
	return strings.Join(m.Schema.Columns[i].Path, ".")
}

// culpritTimeout bounds the search for the column that caused a refusal.
const culpritTimeout = time.Second

// culprit asks the database which column caused the violation. It returns "" when
// the database cannot tell, or when asking fails: the transaction has ended.
func culprit(m *model.Model, ctx context.Context, v *violationError, last written) string {
	ctx, cancel := context.WithTimeout(withoutHooks(ctx), culpritTimeout)
	defer cancel()
	if m.DB.Dialect().Name() == dialect.PG && v.OfValue {
		return unreadable(m, ctx, last)
	}
	return ""
}

// unreadable returns the only column whose type cannot read its value. Postgres
// does not name it in its error.
func unreadable(m *model.Model, ctx context.Context, last written) string {
	found := ""
	gen := m.DB.QueryGen()
	for _, name := range last.named {
		i := m.Schema.Column(name)
		f, declared := m.Columns[i].Field, m.Columns[i].Facts.SQLType
		if f.Append == nil || declared == "" {
			continue
		}
		literal := string(f.AppendValue(gen, nil, last.strct))
		var null bool
		if err := m.DB.DB.QueryRowContext(ctx, "SELECT CAST("+literal+" AS "+declared+") IS NULL").Scan(&null); err == nil {
			continue
		} else if _, ok := dberror.Of(err); !ok || found != "" {
			return ""
		}
		found = name
	}
	return found
}

// onlyReference returns the only named column that refers to another table. SQLite
// does not say which reference failed.
func onlyReference(m *model.Model, ctx context.Context, named []string) string {
	ctx, cancel := context.WithTimeout(withoutHooks(ctx), culpritTimeout)
	defer cancel()
	schema := m.Schema.Table.Schema
	if schema == "" {
		schema = "main"
	}
	rows, err := m.DB.DB.QueryContext(ctx, `SELECT DISTINCT "from" FROM pragma_foreign_key_list(?, ?)`, m.Schema.Table.Name, schema)
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

// misread reports whether the error may come from a statement that was prepared
// before the table was altered.
func misread(err error) bool {
	var invalid *driver.InvalidError
	var objection *violationError
	if errors.As(err, &invalid) || errors.As(err, &objection) {
		return false
	}
	certain, perhaps := outdated(err)
	return certain || perhaps
}

// misplanned reports whether the error comes from a PL/pgSQL trigger whose plan,
// cached in this session, is for a column's former type. The trigger keeps failing
// until the session discards its plans.
func misplanned(err error) bool {
	var coded interface{ SQLState() string }
	return errors.As(err, &coded) && coded.SQLState() == "42804" && strings.Contains(err.Error(), "when preparing the plan")
}

// collided reports whether the database aborted the transaction because of a
// concurrent one (a deadlock, a serialization failure), so that a retry may succeed.
func collided(err error) bool {
	var invalid *driver.InvalidError
	var objection *violationError
	if errors.As(err, &invalid) || errors.As(err, &objection) {
		return false // their text is not the database's
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
