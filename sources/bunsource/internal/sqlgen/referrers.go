package sqlgen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
)

// SearchStart is where the search for referring rows begins: at the rows of one
// model whose columns have these values.
type SearchStart struct {
	At   *model.Model
	By   []int // columns of at
	Keys []driver.Key
	// reached says how far the search has come: nowhere, past the far side of a
	// junction, or past the whole relation.
	reached reached
}

type reached uint8

const (
	fromTarget reached = iota
	fromJunction
	fromParent
)

// SearchFrom begins as near to the loader's rows as the keys alone allow: an
// album's key is the foreign key of its tracks. So it also finds rows that refer to
// a row that does not exist (any more).
func SearchFrom(m *model.Model, t model.RelatedTable, keys []driver.Key) (SearchStart, error) {
	h := &m.Relations[t.Relation]
	from := m.ParentOf(h)
	at, joined, next, by, where := h.Target, h.Join, from, h.Base, fromParent
	begin := fromTarget
	switch {
	case t.Junction:
		at, joined, begin = h.Junction, h.Near, fromJunction
	case h.Junction != nil:
		next, by, where = h.Junction, h.Far, fromJunction
	}
	if !model.ContainsAll(at.Keys, joined) {
		return SearchStart{At: at, By: at.Keys, Keys: keys, reached: begin}, nil
	}
	var moved []driver.Key
	for _, k := range keys {
		vals, err := keyValues(at, k)
		if err != nil {
			return SearchStart{}, err
		}
		if key, ok := keyFrom(next, by, vals, at.Keys, joined); ok {
			moved = append(moved, key)
		}
	}
	slices.Sort(moved)
	return SearchStart{At: next, By: by, Keys: slices.Compact(moved), reached: where}, nil
}

// keyFrom makes a key of the columns by from the parts of another model's key that
// they are joined with. It reports false if no row can have it.
func keyFrom(m *model.Model, by []int, vals []value.Value, keys, joined []int) (driver.Key, bool) {
	if vals == nil {
		return "", false
	}
	var enc []byte
	for i, column := range by {
		val := vals[slices.Index(keys, joined[i])]
		if val.IsNull() {
			return "", false // NULL joins nothing
		}
		val, err := m.Schema.Columns[column].Convert(val)
		if err != nil {
			return "", false
		}
		enc = val.AppendOrdered(enc)
	}
	return driver.Key(enc), true
}

// KeyedBy returns the model as if the columns were its key.
func KeyedBy(m *model.Model, columns []int) *model.Model {
	r := *m
	r.Keys, r.Limits = columns, model.LimitsOf(m.DB.Dialect().Name())
	return &r
}

// ReferringTo turns the condition at the start into one on the loader's own table.
func ReferringTo(m *model.Model, to int, start SearchStart, cond string) string {
	h, done := &m.Relations[to], start.reached
	for {
		from := m.ParentOf(h)
		switch {
		case h.Junction == nil && done == fromTarget:
			cond = joinedWith(from, h.Base, h.Target, h.Join, cond)
		case h.Junction != nil && done == fromTarget:
			cond = joinedWith(h.Junction, h.Far, h.Target, h.Join, cond)
			fallthrough
		case done == fromJunction:
			cond = joinedWith(from, h.Base, h.Junction, h.Near, cond)
		}
		if h.Parent < 0 {
			return cond
		}
		h, done = &m.Relations[h.Parent], fromTarget
	}
}

// joinedWith returns a condition on m's rows: that they join rows of the other model
// for which cond holds. The names in cond belong to a query of the other's own, so
// that a table may be related to itself.
func joinedWith(m *model.Model, columns []int, other *model.Model, joined []int, cond string) string {
	return fmt.Sprintf("%s IN (SELECT %s FROM %s AS %s WHERE %s)",
		tuple(m, columns, true), tuple(other, joined, false), other.Table.SQLNameForSelects, other.Table.SQLAlias, cond)
}

// tuple lists columns.
func tuple(m *model.Model, columns []int, parens bool) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = m.Columns[c].SQL
	}
	list := strings.Join(names, ", ")
	if parens && len(names) > 1 {
		return "(" + list + ")"
	}
	return list
}
