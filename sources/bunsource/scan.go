package bunsource

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
	"github.com/binderyhq/bindery/sources/bunsource/internal/sqlgen"
)

var _ driver.Scanner[struct{}] = (*Loader[struct{}])(nil)

// Scan implements [driver.Scanner]. Each piece continues after the last key of the
// piece before, in the database's own order of the key columns, so that their
// index is used. Tables whose keys can be written in several ways (times in SQLite,
// for one) are not read in pieces: the error is [errors.ErrUnsupported].
func (l *Loader[T]) Scan(ctx context.Context, q driver.Query, size int, visit func([]*T) error) error {
	m, err := l.model()
	if err != nil {
		return err
	}
	if !sqlgen.Scans(m) || len(q.Keys) > 0 || len(q.Order) > 0 || q.Limit > 0 {
		return fmt.Errorf("bunsource: reading table %q in pieces: %w", m.Schema.Table, errors.ErrUnsupported)
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
			return fmt.Errorf("bunsource: reading table %q in pieces: %w", m.Schema.Table, l.explain(withoutHooks(ctx), m, err))
		}
		if rest = last != ""; rest {
			if after, err = sqlgen.After(m, last); err != nil {
				return fmt.Errorf("bunsource: reading table %q in pieces: %w", m.Schema.Table, err)
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

// maxUnreadPieces bounds the pieces with rows that cannot be read. With more, the
// read of the table fails.
const maxUnreadPieces = 100

// piece reads the first rows for which the condition holds, in the order of the
// keys. The next piece begins after last, which is "" when there are no more rows.
// Rows that cannot be read are returned as RowErrors, beside the others.
func (l *Loader[T]) piece(ctx context.Context, m *model.Model, q driver.Query, condition string, size int) (rows []*T, last driver.Key, err error) {
	statements, err := sqlgen.Statements(m, q)
	if err != nil {
		return nil, "", err
	}
	st := statements[0] // a query without keys has one
	if condition != "" {
		st.Where = append(st.Where, sqlgen.Clause{Query: "?", Args: []any{bun.Safe(condition)}})
	}
	for i, column := range m.Keys {
		st.Order = append(st.Order, sqlgen.KeyColumn(m, i))
		if m.Schema.Columns[column].Nullable { // no piece can continue after NULL; the engine asks for such rows by key
			st.Where = append(st.Where, sqlgen.Clause{Query: "?", Args: []any{bun.Safe(sqlgen.KeyColumn(m, i) + " IS NOT NULL")}})
		}
	}
	st.Limit = size
	var keys []driver.Key
	err = withConn(ctx, m, m.ShowsMany(), func(ctx context.Context, conn bun.IConn) error {
		if !m.ShowsMany() {
			if rows, err = l.read(ctx, conn, m, st); err != nil {
				return err
			}
			return l.mixed.check(ctx, conn, m, st)
		}
		var parts []sqlgen.Statement
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
		return l.pieceByKeys(ctx, m, q, st, err)
	case err != nil:
		return nil, "", err
	}
	for _, r := range rows {
		m.Normalise(reflect.ValueOf(r).Elem())
		m.NormaliseRelated(reflect.ValueOf(r).Elem())
	}
	switch {
	case len(keys) >= size:
		last = keys[len(keys)-1]
	case keys == nil && len(rows) >= size:
		last = m.KeyOf(reflect.ValueOf(rows[len(rows)-1]).Elem())
	}
	return rows, last, nil
}

// pieceByKeys reads the rows of a piece that failed by their keys, in ever smaller groups,
// until each row that cannot be read stands alone.
func (l *Loader[T]) pieceByKeys(ctx context.Context, m *model.Model, q driver.Query, st sqlgen.Statement, failure error) (rows []*T, last driver.Key, err error) {
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
	if len(keys) >= st.Limit {
		last = keys[len(keys)-1]
	}
	return rows, last, errors.Join(unread...)
}
