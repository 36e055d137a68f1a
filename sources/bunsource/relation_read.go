package bunsource

import (
	"cmp"
	"context"
	"reflect"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/uptrace/bun"
)

// chunks returns the statements that read the rows a statement names by their
// keys, some at a time; see maxParents. Which rows these are is asked of the
// database first, on the same connection.
func (l *Loader[T]) chunks(ctx context.Context, conn bun.IConn, m *model, st statement) ([]statement, []driver.Key, error) {
	st.bare = true
	rows, err := l.read(ctx, conn, m, st)
	if err != nil {
		return nil, nil, err
	}
	keys := make([]driver.Key, len(rows))
	for i, r := range rows {
		keys[i] = m.keyOf(reflect.ValueOf(r).Elem())
	}
	statements, err := m.statements(driver.Query{Keys: keys})
	return statements, keys, err
}

// read runs one statement. Where a join repeats rows it keeps one of each, and
// reads on until there are as many as the statement's limit.
func (l *Loader[T]) read(ctx context.Context, conn bun.IConn, m *model, st statement) ([]*T, error) {
	ambiguous := slices.ContainsFunc(m.hops, func(h hop) bool { return h.ambiguous() })
	limit := st.limit
	if ambiguous && limit > 0 {
		st.limit++ // so that the rows of the last key are all there
	}
	for {
		var rows []*T
		if err := st.build(m, conn, &rows).Scan(ctx); err != nil {
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
		case got < st.limit, len(rows) > limit:
			return rows[:min(limit, len(rows))], nil
		}
		st.limit *= 2
	}
}

// distinct keeps one row of each key, at the position of the first. Where a join
// found several rows for a key, it keeps the row that shows the least related keys.
func distinct[T any](m *model, rows []*T) []*T {
	at := make(map[driver.Key]int, len(rows))
	kept := rows[:0]
	for _, r := range rows {
		key := m.keyOf(reflect.ValueOf(r).Elem())
		i, again := at[key]
		if !again {
			at[key] = len(kept)
			kept = append(kept, r)
			continue
		}
		if slices.Compare(m.choice(reflect.ValueOf(r).Elem()), m.choice(reflect.ValueOf(kept[i]).Elem())) < 0 {
			kept[i] = r
		}
	}
	clear(rows[len(kept):])
	return kept
}

// choice returns the keys of the rows that are shown where there may be
// several.
func (m *model) choice(row reflect.Value) []driver.Key {
	var keys []driver.Key
	for i := range m.hops {
		if h := &m.hops[i]; h.ambiguous() {
			m.walk(row, i, func(_, target reflect.Value) { keys = append(keys, h.target.keyOf(target)) })
		}
	}
	return keys
}

// normaliseRelated makes the related rows of a row that was just read look the
// same whatever the process and the database: times in UTC, children in the
// order of their keys.
func (m *model) normaliseRelated(row reflect.Value) {
	for i := range m.hops {
		h := &m.hops[i]
		m.walk(row, i, func(_, target reflect.Value) { h.target.normalise(target) })
		if !h.many() {
			continue
		}
		if h.parent < 0 {
			h.sort(row)
			continue
		}
		m.walk(row, h.parent, func(_, parent reflect.Value) { h.sort(parent) })
	}
}

// sort brings the children in the relation's field into the order of their
// keys.
func (h *hop) sort(row reflect.Value) {
	field, ok := h.field(row)
	if !ok || field.Len() < 2 {
		return
	}
	type child struct {
		key driver.Key
		at  int
	}
	children := make([]child, field.Len())
	for i := range children {
		children[i].at = i
		if elem, ok := indirect(field.Index(i)); ok {
			children[i].key = h.target.keyOf(elem)
		}
	}
	byKey := func(a, b child) int { return cmp.Compare(a.key, b.key) }
	if slices.IsSortedFunc(children, byKey) {
		return
	}
	slices.SortStableFunc(children, byKey)
	sorted := reflect.MakeSlice(field.Type(), len(children), len(children))
	for i, c := range children {
		sorted.Index(i).Set(field.Index(c.at))
	}
	field.Set(sorted)
}

// inline reports whether the rows that the hop leads to are read by the same
// statement: there is one of them for each row.
func (m *model) inline(h *hop) bool {
	for ; ; h = &m.hops[h.parent] {
		if h.many() {
			return false
		}
		if h.parent < 0 {
			return true
		}
	}
}
