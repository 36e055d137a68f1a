package keyproof

import (
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/internal/sqltext"
)

func (r *keyReader) proveInsert() proof {
	if r.w.Values.Empty() {
		return proof{}
	}
	out := proof{known: !r.w.Columns.Empty() && !r.w.Ignored && !r.w.Ignore}
	places := make([]int, len(r.key)) // of the key columns among the values
	for i := range r.key {
		places[i] = r.place(i)
		out.known = out.known && places[i] >= 0
	}
	if r.w.OnUpdate {
		if _, assigned := r.assigned(); assigned {
			return proof{}
		}
		// An update on conflict changes the row that has the values of the
		// conflict's columns: the row inserted, if these are the key.
		out.known = out.known && r.conflictsOnKey()
	}
	tuples := 0
	row := make([]any, len(r.key))
	for at := r.w.Values.Lo; at < r.w.Values.Hi; at++ {
		if !r.Is(at, "(") {
			continue
		}
		end := r.Closing(at, r.w.Values.Hi)
		tuples++
		if out.known {
			if key, ok := r.tupleKey(span(at+1, end), places, row, true); ok && len(out.keys) < MaxKeys {
				out.keys = append(out.keys, key)
			} else {
				out.known, out.keys = false, nil
			}
		}
		if !out.known && tuples > 1 {
			break
		}
		at = end
	}
	out.one = tuples == 1
	return out
}

// place returns the position of key column i in the list of columns, or -1.
func (r *keyReader) place(i int) int {
	n, found := 0, -1
	for at := r.w.Columns.Lo; at < r.w.Columns.Hi; at++ {
		if r.Is(at, ",") {
			n++
		} else if r.column(at, i) {
			found = n
		}
	}
	return found
}

// tupleKey reads the key out of one tuple of values.
func (r *keyReader) tupleKey(s sqltext.Span, places []int, row []any, stored bool) (driver.Key, bool) {
	found := 0
	n := 0
	depth := int32(-1)
	for at := s.Lo; at <= s.Hi; {
		if depth < 0 && at < s.Hi {
			depth = r.Depth(at)
		}
		end := at
		for end < s.Hi && !(r.Depth(end) == depth && r.Is(end, ",")) {
			end++
		}
		for i, place := range places {
			if place == n {
				v, ok := r.literal(span(at, end), r.key[i], stored)
				if !ok {
					return "", false
				}
				row[i] = v
				found++
			}
		}
		n++
		at = end + 1
	}
	if found != len(places) {
		return "", false
	}
	key, err := r.s.MakeKey(row...)
	return key, err == nil
}

// conflictsOnKey reports whether the conflict's columns are the key, and keys are
// equal in Go exactly if they are in the database.
func (r *keyReader) conflictsOnKey() bool {
	if r.w.OnTarget.Empty() || !r.exact() {
		return false
	}
	seen, n := make([]bool, len(r.key)), 1
	for at := r.w.OnTarget.Lo; at < r.w.OnTarget.Hi; at++ {
		if r.Is(at, ",") {
			n++
			continue
		}
		i := r.keyColumn(at)
		if i < 0 || seen[i] {
			return false
		}
		seen[i] = true
	}
	return n == len(r.key) && !slices.Contains(seen, false)
}
