package bunsource

import (
	"context"
	"reflect"
	"slices"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
	"github.com/binderyhq/bindery/sources/bunsource/internal/sqlgen"
)

// chunks splits a statement into statements that read its rows by key, at most
// [model.MaxParents] at a time. It first reads the keys, on the same connection.
func (l *Loader[T]) chunks(ctx context.Context, conn bun.IConn, m *model.Model, st sqlgen.Statement) ([]sqlgen.Statement, []driver.Key, error) {
	st.Bare = true
	rows, err := l.read(ctx, conn, m, st)
	if err != nil {
		return nil, nil, err
	}
	keys := make([]driver.Key, len(rows))
	for i, r := range rows {
		keys[i] = m.KeyOf(reflect.ValueOf(r).Elem())
	}
	statements, err := sqlgen.Statements(m, driver.Query{Keys: keys})
	return statements, keys, err
}

// read runs one statement. If a join repeats rows, it keeps one of each, and
// reads on until it has as many as the statement's limit.
func (l *Loader[T]) read(ctx context.Context, conn bun.IConn, m *model.Model, st sqlgen.Statement) ([]*T, error) {
	ambiguous := slices.ContainsFunc(m.Relations, func(h model.Relation) bool { return h.Ambiguous() })
	limit := st.Limit
	if ambiguous && limit > 0 {
		st.Limit++ // so that it gets all rows of the last key
	}
	for {
		var rows []*T
		if err := st.Build(m, conn, &rows).Scan(ctx); err != nil {
			return nil, err
		}
		if !ambiguous {
			return rows, nil
		}
		got := len(rows)
		rows = distinct(m, rows)
		switch {
		case limit == 0:
			return rows, nil
		case got < st.Limit, len(rows) > limit:
			return rows[:min(limit, len(rows))], nil
		}
		st.Limit *= 2
	}
}

// distinct keeps one row of each key, at the position of the first. Where a join
// found several rows for a key, it keeps the row that shows the least related keys.
func distinct[T any](m *model.Model, rows []*T) []*T {
	at := make(map[driver.Key]int, len(rows))
	kept := rows[:0]
	for _, r := range rows {
		key := m.KeyOf(reflect.ValueOf(r).Elem())
		i, again := at[key]
		if !again {
			at[key] = len(kept)
			kept = append(kept, r)
			continue
		}
		if slices.Compare(m.Choice(reflect.ValueOf(r).Elem()), m.Choice(reflect.ValueOf(kept[i]).Elem())) < 0 {
			kept[i] = r
		}
	}
	clear(rows[len(kept):])
	return kept
}
