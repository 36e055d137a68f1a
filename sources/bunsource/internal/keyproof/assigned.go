package keyproof

import (
	"strings"

	"github.com/binderyhq/bindery/sources/internal/sqltext"
)

// assigned returns the first token of the value that is assigned to a key
// column, and whether there may be such an assignment at all. The token is the
// end of the assignments when the value cannot be read.
func (r *keyReader) assigned() (at int, ok bool) {
	s := r.w.Set
	if s.Empty() {
		return 0, false
	}
	for i := range r.key {
		if r.key[i].Computed { // perhaps from assigned columns
			return s.Hi, true
		}
	}
	depth := r.Depth(s.Lo)
	start := true
	for at := s.Lo; at < s.Hi; at++ {
		if r.Depth(at) != depth {
			continue
		}
		switch {
		case start && r.Is(at, "("): // (a, b) = …
			for i := at + 1; i < r.Closing(at, s.Hi); i++ {
				if !r.Is(i, ",") && r.mayBeKey(i) {
					return s.Hi, true
				}
			}
		case start:
			last := at
			for last+2 < s.Hi && r.Is(last+1, ".") {
				last += 2
			}
			if !r.Is(last+1, "=") {
				return s.Hi, true // an element or a field of the column, or unknown syntax
			}
			if r.keyColumn(last) >= 0 {
				return last + 2, true
			}
			if r.mayBeKey(last) {
				return s.Hi, true
			}
		}
		start = r.Is(at, ",")
	}
	return 0, false
}

// mayBeKey reports whether the name at the token may be a key column's: it is, or
// its spelling is not understood.
func (r *keyReader) mayBeKey(at int) bool {
	if !r.IsName(at) || r.keyColumn(at) >= 0 {
		return true
	}
	if r.Dialect != sqltext.SQLite {
		return false
	}
	switch strings.ToLower(r.Name(at)) {
	case "rowid", "oid", "_rowid_": // other names of an INTEGER PRIMARY KEY
		return true
	}
	return false
}
