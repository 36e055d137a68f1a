package bunsource

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
	"github.com/binderyhq/bindery/sources/bunsource/internal/sqlgen"
)

// maxUnreadable bounds the rows that an error names one by one. If more fail, the
// cause is hardly in the rows.
const maxUnreadable = 1000

// readAround retries a failed statement without the rows that cannot be scanned. It
// reads the keys, and halves them until each bad row is alone. keys holds the keys of
// all rows, in the statement's order. When no row causes the failure, readAround
// returns the original error.
func (l *Loader[T]) readAround(ctx context.Context, conn bun.IConn, m *model.Model, st sqlgen.Statement, failed error) (rows []*T, bad []error, keys []driver.Key, err error) {
	if ctx.Err() != nil || st.Bare {
		return nil, nil, nil, failed
	}
	bare := st
	bare.Bare = true
	found, err := l.read(ctx, conn, m, bare)
	if err != nil || len(found) == 0 {
		return nil, nil, nil, failed // the database is to blame, or a key
	}
	for _, r := range found {
		keys = append(keys, m.KeyOf(reflect.ValueOf(r).Elem()))
	}
	s := &salvage[T]{read: func(some []driver.Key) ([]*T, error) {
		batches, err := sqlgen.KeyBatches(m, some)
		if err != nil {
			return nil, err
		}
		var rows []*T
		for i := range batches {
			one := st
			one.Keys, one.Order, one.Limit = &batches[i], nil, 0
			part, err := l.read(ctx, conn, m, one)
			if err != nil {
				return nil, err
			}
			rows = append(rows, part...)
		}
		return rows, nil
	}}
	s.halve(keys)
	if ctx.Err() != nil || len(s.bad) == 0 || len(s.bad) > maxUnreadable {
		return nil, nil, nil, failed
	}
	return s.rows, s.bad, keys, nil
}

// salvage reads as many rows as can be read.
type salvage[T any] struct {
	read func([]driver.Key) ([]*T, error)
	rows []*T
	bad  []error // each a *driver.RowError
}

func (s *salvage[T]) halve(keys []driver.Key) {
	if len(s.bad) > maxUnreadable {
		return
	}
	rows, err := s.read(keys)
	switch {
	case err == nil:
		s.rows = append(s.rows, rows...)
	case len(keys) == 1:
		s.bad = append(s.bad, &driver.RowError{Key: keys[0], Err: err})
	default:
		half := len(keys) / 2
		s.halve(keys[:half])
		s.halve(keys[half:])
	}
}

// LoadWithout implements [driver.PartialLoader].
func (l *Loader[T]) LoadWithout(ctx context.Context, key driver.Key, columns []string) (*T, error) {
	_, m, err := l.transaction(ctx)
	if err != nil {
		return nil, err
	}
	batches, err := sqlgen.KeyBatches(m, []driver.Key{key})
	if err != nil || len(batches) == 0 {
		return nil, err
	}
	st := sqlgen.Statement{Keys: &batches[0]}
	for _, c := range m.Schema.Columns {
		if !slices.Contains(columns, c.Name) {
			st.Only = append(st.Only, c.Name)
		}
	}
	var rows []*T
	err = withConn(withoutHooks(ctx), m, false, func(ctx context.Context, conn bun.IConn) (err error) {
		if rows, err = l.read(ctx, conn, m, st); err == nil {
			return nil
		}
		var bad []error
		if rows, bad, _, err = l.readAround(ctx, conn, m, st, err); err != nil {
			return err
		}
		return errors.Join(bad...)
	})
	if err != nil {
		return nil, fmt.Errorf("bunsource: reading a row of table %q: %w", m.Schema.Table, err)
	}
	for _, r := range rows {
		m.Normalise(reflect.ValueOf(r).Elem())
		if m.KeyOf(reflect.ValueOf(r).Elem()) == key {
			return r, nil
		}
	}
	return nil, nil
}

// runAround runs the query again row by row, after it has failed. It leaves out
// the rows that cannot be scanned.
func (l *sqlLoader[T]) runAround(ctx context.Context, conn bun.IConn, m *model.Model, failed error) (rows []*T, bad []error, err error) {
	text, err := l.text()
	if err != nil || ctx.Err() != nil {
		return nil, nil, failed
	}
	answer, err := conn.QueryContext(ctx, text)
	if err != nil {
		return nil, nil, failed
	}
	defer func() { _ = answer.Close() }()
	columns, err := answer.Columns()
	if err != nil {
		return nil, nil, failed
	}
	for answer.Next() {
		row := new(T)
		err := l.db.ScanRow(ctx, answer, row)
		if err == nil {
			rows = append(rows, row)
			continue
		}
		values := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if answer.Scan(into...) != nil {
			return nil, nil, failed
		}
		parts := make([]any, 0, len(m.Schema.Key))
		for _, k := range m.Schema.Key {
			for i, c := range columns {
				if c == k {
					parts = append(parts, values[i])
				}
			}
		}
		key, keyErr := m.Schema.MakeKey(parts...)
		if keyErr != nil || len(bad) == maxUnreadable {
			return nil, nil, failed
		}
		bad = append(bad, &driver.RowError{Key: key, Err: err})
	}
	if answer.Err() != nil || len(bad) == 0 {
		return nil, nil, failed
	}
	return rows, bad, nil
}
