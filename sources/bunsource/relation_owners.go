package bunsource

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

// Referrers implements [driver.RelationLoader]. It takes one statement for as many keys
// as one takes, and none where the keys tell the owners by themselves.
//
// Rows are found through foreign keys alone, not through the conditions that
// Bun adds (soft deletes, join_on), so it may find more than show them.
// Index the foreign keys: without an index the database searches the whole table.
func (l *Loader[T]) Referrers(ctx context.Context, related int, keys []driver.Key, limit int) ([]driver.Key, error) {
	m, err := l.model()
	if err != nil {
		return nil, err
	}
	if related < 0 || related >= len(m.tables) {
		return nil, fmt.Errorf("bunsource: finding rows of table %q: it has no related table %d", m.schema.Table, related)
	}
	owners, err := l.owners(withoutHooks(ctx), m, m.tables[related], keys, limit)
	if err != nil {
		return nil, fmt.Errorf("bunsource: finding rows of table %q by those that %q relates to them: %w",
			m.schema.Table, m.hops[m.tables[related].hop].path, err)
	}
	return owners, nil
}

func (l *Loader[T]) owners(ctx context.Context, m *model, t relatedTable, keys []driver.Key, limit int) ([]driver.Key, error) {
	start, err := m.startOf(t, keys)
	if err != nil {
		return nil, err
	}
	if start.at == m && slices.Equal(start.by, m.keys) {
		return start.keys[:min(len(start.keys), limit+1)], nil
	}
	batches, err := start.at.keyedBy(start.by).keyBatches(start.keys)
	if err != nil || len(batches) == 0 {
		return nil, err
	}
	var owners []driver.Key
	err = withConn(ctx, m, len(batches) > 1, func(ctx context.Context, conn bun.IConn) error {
		for i := range batches {
			b := batches[i]
			b.cond = m.climb(t.hop, start, b.cond)
			st := statement{keys: &b, bare: true, limit: limit + 1 - len(owners)}
			var rows []*T
			if err := st.build(m, conn, &rows).Scan(ctx); err != nil {
				return err
			}
			for _, r := range rows {
				owners = append(owners, m.keyOf(reflect.ValueOf(r).Elem()))
			}
			if len(owners) > limit {
				return nil
			}
		}
		return nil
	})
	return owners, err
}

// ownersStart is where the search for owners begins: with the rows of one model
// whose columns have these values.
type ownersStart struct {
	at   *model
	by   []int // columns of at
	keys []driver.Key
	// climbed says what lies behind: nothing, the far side of a junction, or
	// the whole hop.
	climbed climbed
}

type climbed uint8

const (
	fromTarget climbed = iota
	fromJunction
	fromParent
)

// startOf begins as near to the loader's rows as the keys by themselves lead:
// the key of an album is what its tracks have as their foreign key. So rows
// that point to one that is not there (any more) are found as well.
func (m *model) startOf(t relatedTable, keys []driver.Key) (ownersStart, error) {
	h := &m.hops[t.hop]
	from := m.parentOf(h)
	at, joined, next, by, where := h.target, h.join, from, h.base, fromParent
	begin := fromTarget
	switch {
	case t.junction:
		at, joined, begin = h.junction, h.near, fromJunction
	case h.junction != nil:
		next, by, where = h.junction, h.far, fromJunction
	}
	if !containsAll(at.keys, joined) {
		return ownersStart{at: at, by: at.keys, keys: keys, climbed: begin}, nil
	}
	var moved []driver.Key
	for _, k := range keys {
		vals, err := at.keyValues(k)
		if err != nil {
			return ownersStart{}, err
		}
		if key, ok := next.keyFrom(by, vals, at.keys, joined); ok {
			moved = append(moved, key)
		}
	}
	slices.Sort(moved)
	return ownersStart{at: next, by: by, keys: slices.Compact(moved), climbed: where}, nil
}

// keyFrom makes a key of the columns by out of those parts of another model's
// key that they are joined with. It reports false when no row has it.
func (m *model) keyFrom(by []int, vals []value.Value, keys, joined []int) (driver.Key, bool) {
	if vals == nil {
		return "", false
	}
	var enc []byte
	for i, column := range by {
		val := vals[slices.Index(keys, joined[i])]
		if val.IsNull() {
			return "", false // NULL joins nothing
		}
		val, err := m.schema.Columns[column].Convert(val)
		if err != nil {
			return "", false
		}
		enc = val.AppendOrdered(enc)
	}
	return driver.Key(enc), true
}

// keyedBy returns the model as if the columns were its key.
func (m *model) keyedBy(columns []int) *model {
	r := *m
	r.keys, r.limits = columns, limitsOf(m.db.Dialect().Name())
	return &r
}

// climb turns the condition at the start into one on the loader's own table.
func (m *model) climb(to int, start ownersStart, cond string) string {
	h, done := &m.hops[to], start.climbed
	for {
		from := m.parentOf(h)
		switch {
		case h.junction == nil && done == fromTarget:
			cond = from.joinedWith(h.base, h.target, h.join, cond)
		case h.junction != nil && done == fromTarget:
			cond = h.junction.joinedWith(h.far, h.target, h.join, cond)
			fallthrough
		case done == fromJunction:
			cond = from.joinedWith(h.base, h.junction, h.near, cond)
		}
		if h.parent < 0 {
			return cond
		}
		h, done = &m.hops[h.parent], fromTarget
	}
}

// joinedWith returns the condition on m's rows that they are joined with rows of
// another model that meet a condition. Names in it are those of the other's
// own query, so that a table may be related to itself.
func (m *model) joinedWith(columns []int, other *model, joined []int, cond string) string {
	return fmt.Sprintf("%s IN (SELECT %s FROM %s AS %s WHERE %s)",
		m.tuple(columns, true), other.tuple(joined, false), other.table.SQLNameForSelects, other.table.SQLAlias, cond)
}

// tuple lists columns.
func (m *model) tuple(columns []int, parens bool) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = m.columns[c].sql
	}
	list := strings.Join(names, ", ")
	if parens && len(names) > 1 {
		return "(" + list + ")"
	}
	return list
}
