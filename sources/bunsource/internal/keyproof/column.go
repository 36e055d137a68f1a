package keyproof

import (
	"strings"

	"github.com/binderyhq/bindery/sources/internal/sqltext"
)

// targetColumn reads a column of the write's table, with or without its
// table, and returns which column of the key it is, or -1, and the token
// after it.
func (r *keyReader) targetColumn(s sqltext.Span) (i, next int) {
	last := s.Lo
	for last+2 < s.Hi && r.Is(last+1, ".") {
		last += 2
	}
	switch parts := (last - s.Lo) / 2; {
	case parts == 0:
	case parts > 2, !r.isTarget(last - 2):
		return -1, last + 1
	case parts == 2:
		// Two tables of one name may stand in a statement, in different schemas.
		if r.w.Alias != "" || r.w.Exact.Schema == "" || !r.IsName(s.Lo) || r.Resolved(s.Lo) != r.w.Exact.Schema {
			return -1, last + 1
		}
	}
	return r.keyColumn(last), last + 1
}

// isTarget reports whether the token names the table that is written.
func (r *keyReader) isTarget(i int) bool {
	if !r.IsName(i) {
		return false
	}
	if r.w.Alias != "" {
		return r.Resolved(i) == r.w.Alias
	}
	return r.Resolved(i) == r.w.Exact.Name
}

// keyColumn returns which column of the key the token names, or -1.
func (r *keyReader) keyColumn(at int) int {
	for i := range r.key {
		if r.column(at, i) {
			return i
		}
	}
	return -1
}

func (r *keyReader) column(at, i int) bool {
	return at < r.Len() && r.sameName(at, r.key[i].Name)
}

// sameName reports whether the identifier at the token is the name, as the
// dialect compares names: in Postgres a bare Id is not the column "Id".
func (r *keyReader) sameName(at int, name string) bool {
	if !r.IsName(at) {
		return false
	}
	if r.Dialect == sqltext.Postgres {
		return r.Resolved(at) == name
	}
	return strings.EqualFold(r.Name(at), name)
}

func span(lo, hi int) sqltext.Span { return sqltext.Span{Lo: lo, Hi: hi} }
