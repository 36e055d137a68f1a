package bunsource

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

var _ driver.Scanner[struct{}] = (*Loader[struct{}])(nil)

// Scan implements [driver.Scanner]. Each piece is one statement, which reads on
// from the last key in the order that the database has for the key's columns,
// so that their index is used. Tables whose keys can be written in several ways
// (times in SQLite, for one) are not read in pieces.
func (l *Loader[T]) Scan(ctx context.Context, q driver.Query, size int, visit func([]*T) error) error {
	m, err := l.model()
	if err != nil {
		return err
	}
	if !m.scans() || len(q.Keys) > 0 || len(q.Order) > 0 || q.Limit > 0 {
		return fmt.Errorf("bunsource: reading table %q in pieces: %w", m.schema.Table, errors.ErrUnsupported)
	}
	var unread []error
	after, rest := "", true
	for rest {
		rows, last, err := l.piece(withoutHooks(ctx), m, q, after, size)
		if bad := driver.RowErrors(err); bad != nil {
			unread, err = append(unread, err), nil
			if len(unread) > maxUnreadPieces {
				err = errors.Join(unread...)
			}
		}
		if err != nil {
			return fmt.Errorf("bunsource: reading table %q in pieces: %w", m.schema.Table, l.explain(withoutHooks(ctx), m, err))
		}
		if rest = last != ""; rest {
			if after, err = m.after(last); err != nil {
				return fmt.Errorf("bunsource: reading table %q in pieces: %w", m.schema.Table, err)
			}
		}
		if len(rows) == 0 {
			continue
		}
		if err := visit(rows); err != nil {
			return err
		}
	}
	return errors.Join(unread...)
}

// maxUnreadPieces bounds the pieces with rows that cannot be read; beyond it
// the table as a whole cannot be.
const maxUnreadPieces = 100

// piece reads the first rows for which the condition holds, in the order of the
// keys. last is the key to read on from, "" when there are no more rows. Rows that
// cannot be read are returned as RowErrors, beside the others.
func (l *Loader[T]) piece(ctx context.Context, m *model, q driver.Query, condition string, size int) (rows []*T, last driver.Key, err error) {
	statements, err := m.statements(q)
	if err != nil {
		return nil, "", err
	}
	st := statements[0] // of a query without keys there is one
	if condition != "" {
		st.where = append(st.where, sqlCondition{"?", []any{bun.Safe(condition)}})
	}
	for i, column := range m.keys {
		st.order = append(st.order, m.keyColumn(i))
		if m.schema.Columns[column].Nullable { // NULL cannot be read on from; the engine asks for such rows by key
			st.where = append(st.where, sqlCondition{"?", []any{bun.Safe(m.keyColumn(i) + " IS NOT NULL")}})
		}
	}
	st.limit = size
	var keys []driver.Key
	err = withConn(ctx, m, m.showsMany(), func(ctx context.Context, conn bun.IConn) error {
		if !m.showsMany() {
			if rows, err = l.read(ctx, conn, m, st); err != nil {
				return err
			}
			return l.mixed.check(ctx, conn, m, st)
		}
		var parts []statement
		if parts, keys, err = l.chunks(ctx, conn, m, st); err != nil {
			return err
		}
		for _, part := range parts {
			some, err := l.read(ctx, conn, m, part)
			if err != nil {
				return err
			}
			rows = append(rows, some...)
		}
		return l.mixed.check(ctx, conn, m, st)
	})
	switch {
	case errors.Is(err, driver.ErrSchemaChanged):
		return nil, "", err
	case err != nil && ctx.Err() == nil:
		return l.apart(ctx, m, q, st, err)
	case err != nil:
		return nil, "", err
	}
	for _, r := range rows {
		m.normalise(reflect.ValueOf(r).Elem())
		m.normaliseRelated(reflect.ValueOf(r).Elem())
	}
	switch {
	case len(keys) >= size:
		last = keys[len(keys)-1]
	case keys == nil && len(rows) >= size:
		last = m.keyOf(reflect.ValueOf(rows[len(rows)-1]).Elem())
	}
	return rows, last, nil
}

// apart reads the rows of a piece that failed by their keys, in ever smaller groups,
// until each row that cannot be read stands alone.
func (l *Loader[T]) apart(ctx context.Context, m *model, q driver.Query, st statement, failure error) (rows []*T, last driver.Key, err error) {
	var keys []driver.Key
	if err := withConn(ctx, m, false, func(ctx context.Context, conn bun.IConn) error {
		_, keys, err = l.chunks(ctx, conn, m, st)
		return err
	}); err != nil {
		return nil, "", failure // it is not about a row
	}
	var unread []error
	var halve func(keys []driver.Key) error
	halve = func(keys []driver.Key) error {
		q.Keys = keys
		some, err := l.query(ctx, m, q)
		switch {
		case err == nil:
			rows = append(rows, some...)
			return nil
		case ctx.Err() != nil:
			return err
		case len(keys) == 1:
			unread = append(unread, &driver.RowError{Key: keys[0], Err: err})
			return nil
		}
		if err := halve(keys[:len(keys)/2]); err != nil {
			return err
		}
		return halve(keys[len(keys)/2:])
	}
	if len(keys) > 0 {
		if err := halve(keys); err != nil {
			return nil, "", err
		}
	}
	if len(keys) > 1 && len(unread) == len(keys) {
		return nil, "", failure // the statement is to blame, and not one row or another
	}
	if len(keys) >= st.limit {
		last = keys[len(keys)-1]
	}
	return rows, last, errors.Join(unread...)
}

// scans reports whether the table can be read on from a key: whether every value
// of a key has one form in which the database compares it.
func (m *model) scans() bool {
	for _, column := range m.keys {
		if m.comparesAsNumber(column) || m.uuidTexts(column) && len(m.keys) > 1 {
			return false
		}
		switch m.schema.Columns[column].Kind {
		case value.KindInt, value.KindText, value.KindBool:
		default:
			return false
		}
	}
	return true
}

// after returns a condition that holds for the rows behind the key in the order
// of the key's columns.
func (m *model) after(key driver.Key) (string, error) {
	vals, err := m.keyValues(key)
	if err != nil {
		return "", err
	}
	if vals == nil {
		return "", fmt.Errorf("key %s does not fit its columns", key)
	}
	columns, literals := make([]string, len(vals)), make([]string, len(vals))
	for i, v := range vals {
		forms := m.literals(m.keys[i], v)
		if m.uuidTexts(m.keys[i]) && len(forms) > 0 {
			// In the order of texts, the row stands where its own form does.
			forms = []string{m.db.QueryGen().FormatQuery("coalesce((SELECT ? FROM ? WHERE ? IN (?) LIMIT 1), ?)",
				bun.Safe(m.columns[m.keys[i]].field.SQLName), m.table.SQLName, bun.Safe(m.columns[m.keys[i]].field.SQLName), bun.Safe(strings.Join(forms, ", ")), bun.Safe(forms[0]))}
		}
		if len(forms) != 1 || v.IsNull() {
			return "", fmt.Errorf("key %s cannot be read on from", key)
		}
		columns[i], literals[i] = m.keyColumn(i), forms[0]
	}
	if len(vals) == 1 {
		return columns[0] + " > " + literals[0], nil
	}
	if name := m.db.Dialect().Name(); name == dialect.PG || name == dialect.SQLite {
		return "(" + strings.Join(columns, ", ") + ") > (" + strings.Join(literals, ", ") + ")", nil
	}
	// MySQL finds no index for a comparison of rows.
	var any []string
	for i := range vals {
		all := make([]string, 0, i+1)
		for j := range i {
			all = append(all, columns[j]+" = "+literals[j])
		}
		any = append(any, "("+strings.Join(append(all, columns[i]+" > "+literals[i]), " AND ")+")")
	}
	return "(" + strings.Join(any, " OR ") + ")", nil
}
