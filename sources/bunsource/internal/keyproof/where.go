package keyproof

import (
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/internal/sqltext"
)

// proveWhere reads the keys that the conditions of an UPDATE or DELETE leave.
func (r *keyReader) proveWhere() proof {
	if r.w.Where.Empty() || !r.exact() {
		return proof{}
	}
	r.vals, r.with = make([][]any, len(r.key)), make([]int, len(r.key))
	r.conjunction(r.w.Where)
	keys, ok := r.whereKeys()
	if !ok {
		return proof{}
	}
	at, assigned := r.assigned()
	if !assigned {
		return proof{keys: keys, known: true, one: len(keys) <= 1}
	}
	// The statement changes the key itself, so the new key counts too, if it can be read.
	if len(r.key) > 1 || at >= r.w.Set.Hi || r.w.Ignore {
		return proof{}
	}
	end := at
	for end < r.w.Set.Hi && !r.Is(end, ",") && !r.Word(end, "WHERE", "FROM") {
		end++
	}
	v, ok := r.literal(span(at, end), r.key[0], true)
	if !ok {
		return proof{}
	}
	key, err := r.s.MakeKey(v)
	if err != nil {
		return proof{}
	}
	return proof{keys: append(keys, key), known: true}
}

func (r *keyReader) whereKeys() ([]driver.Key, bool) {
	rows := r.rows
	if rows == nil {
		rows = r.joined()
	}
	if rows == nil {
		n := 1
		for _, vals := range r.vals {
			n *= len(vals)
			if vals == nil || n > MaxKeys {
				return nil, false
			}
		}
		rows = combinations(r.vals)
	}
	if len(rows) > MaxKeys {
		return nil, false
	}
	keys := make([]driver.Key, 0, len(rows)+1)
	for _, row := range rows {
		key, err := r.s.MakeKey(row...)
		if err != nil {
			return nil, false
		}
		keys = append(keys, key)
	}
	return keys, true
}

// combinations returns every choice of one value per column.
func combinations(vals [][]any) [][]any {
	rows := [][]any{nil}
	for _, column := range vals {
		var next [][]any
		for _, row := range rows {
			for _, v := range column {
				next = append(next, append(slices.Clip(row), v))
			}
		}
		rows = next
	}
	return rows
}

// conjunction reads the conditions that AND joins. It leaves out conditions that
// it does not understand, because another condition can only leave fewer rows.
// It leaves out all of them where the text has an operator that binds less than
// AND, or an AND that joins no conditions.
func (r *keyReader) conjunction(s sqltext.Span) {
	if s.Empty() {
		return
	}
	depth := r.Depth(s.Lo)
	for i := s.Lo; i < s.Hi; i++ {
		if r.Depth(i) == depth && (r.Word(i, "OR", "XOR", "BETWEEN", "CASE") || r.Dialect == sqltext.MySQL && (r.Is(i, "||") || r.Is(i, ":="))) {
			return
		}
	}
	for lo := s.Lo; lo < s.Hi; {
		hi := lo
		for hi < s.Hi && !(r.Depth(hi) == depth && r.Word(hi, "AND")) {
			hi++
		}
		if hi > lo {
			r.condition(span(lo, hi))
		}
		lo = hi + 1
	}
}

// condition reads one condition: column = value, column IN (values),
// (columns) IN ((values), …), column = column, or more in parentheses.
func (r *keyReader) condition(s sqltext.Span) {
	if r.Is(s.Lo, "(") {
		end := r.Closing(s.Lo, s.Hi)
		switch {
		case end == s.Hi-1:
			r.conjunction(span(s.Lo+1, end))
		case r.Word(end+1, "IN") && r.Is(end+2, "(") && r.Closing(end+2, s.Hi) == s.Hi-1:
			r.rowsIn(span(s.Lo+1, end), span(end+3, s.Hi-1))
		}
		return
	}
	i, at := r.targetColumn(s)
	if i < 0 || at >= s.Hi {
		return
	}
	switch {
	case r.Is(at, "=") || r.Is(at, "=="):
		if v, ok := r.literal(span(at+1, s.Hi), r.key[i], false); ok {
			r.narrow(i, []any{v})
		} else if at+4 == s.Hi && r.Is(at+2, ".") {
			r.with[i] = at + 1
		}
	case r.Word(at, "IN") && r.Is(at+1, "(") && r.Closing(at+1, s.Hi) == s.Hi-1:
		vals := []any{}
		for lo := at + 2; lo < s.Hi-1; {
			hi := lo
			for hi < s.Hi-1 && !r.Is(hi, ",") {
				hi++
			}
			v, ok := r.literal(span(lo, hi), r.key[i], false)
			if !ok || len(vals) == MaxKeys {
				return
			}
			vals = append(vals, v)
			lo = hi + 1
		}
		r.narrow(i, vals)
	}
}

// narrow keeps the shorter of two lists of values that both must hold.
func (r *keyReader) narrow(i int, vals []any) {
	if r.vals[i] == nil || len(vals) < len(r.vals[i]) {
		r.vals[i] = vals
	}
}

// rowsIn reads (columns) IN ((values), …) where the columns are the key.
func (r *keyReader) rowsIn(columns, tuples sqltext.Span) {
	places := make([]int, len(r.key))
	for i := range places {
		places[i] = -1
	}
	n := 0
	for at := columns.Lo; at < columns.Hi; n++ {
		i, next := r.targetColumn(span(at, columns.Hi))
		if i < 0 || next < columns.Hi && !r.Is(next, ",") {
			return
		}
		places[i] = n
		at = next + 1
	}
	if n != len(r.key) || slices.Contains(places, -1) {
		return
	}
	rows := [][]any{}
	for at := tuples.Lo; at < tuples.Hi; at++ {
		if r.Is(at, ",") || r.Word(at, "VALUES") {
			continue
		}
		if !r.Is(at, "(") || len(rows) == MaxKeys {
			return
		}
		end := r.Closing(at, tuples.Hi)
		row := make([]any, len(r.key))
		if _, ok := r.tupleKey(span(at+1, end), places, row, false); !ok {
			return
		}
		rows = append(rows, row)
		at = end
	}
	r.rows = rows
}

// joined reads the keys of an update from a list of values, as Bun's Bulk
// writes it: WITH data (columns) AS (VALUES …) UPDATE … FROM data WHERE
// table.key = data.key.
func (r *keyReader) joined() [][]any {
	w := r.w
	if w.Verb != sqltext.Update || !w.Top || r.Statements != 1 || slices.Contains(r.with, 0) || !r.Word(0, "WITH") {
		return nil
	}
	data := r.Name(r.with[0])
	for _, at := range r.with {
		if r.Name(at) != data {
			return nil
		}
	}
	// The only other table is the list of values, under its own name.
	if w.From.Hi-w.From.Lo != 1 || !r.IsName(w.From.Lo) || r.Name(w.From.Lo) != data {
		return nil
	}
	at := 1
	for r.Depth(at) != 0 || r.Kind(at) == sqltext.Punct || r.Name(at) != data || !r.Is(at+1, "(") {
		if at++; at >= w.Set.Lo {
			return nil
		}
	}
	end := r.Closing(at+1, r.Len())
	columns := span(at+2, end)
	if !r.Word(end+1, "AS") || !r.Is(end+2, "(") || !r.Word(end+3, "VALUES") {
		return nil
	}
	places := make([]int, len(r.key))
	for i, token := range r.with {
		places[i] = -1
		n := 0
		for at := columns.Lo; at < columns.Hi; at++ {
			if r.Is(at, ",") {
				n++
			} else if r.Name(at) == r.Name(token+2) {
				places[i] = n
			}
		}
	}
	rows := [][]any{}
	for at, hi := end+4, r.Closing(end+2, r.Len()); at < hi; at++ {
		if r.Is(at, ",") {
			continue
		}
		if !r.Is(at, "(") || len(rows) == MaxKeys {
			return nil
		}
		end := r.Closing(at, hi)
		row := make([]any, len(r.key))
		if _, ok := r.tupleKey(span(at+1, end), places, row, false); !ok {
			return nil
		}
		rows = append(rows, row)
		at = end
	}
	return rows
}
