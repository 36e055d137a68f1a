package keyproof

import (
	sqldriver "database/sql/driver"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/internal/sqltext"
)

// answer says where the rows of RETURNING hold the key.
type answer struct {
	columns []int // per key column; nil: found by name
	names   []string
	keys    []driver.Key
	failed  bool
}

// generates reports whether an INSERT of one row has the database generate an integer
// key, which the driver then returns as LastInsertId.
func (r *keyReader) generates() bool {
	if r.w.Verb != sqltext.Insert || r.w.Columns.Empty() || len(r.key) != 1 || r.key[0].Kind != value.KindInt {
		return false
	}
	if r.Dialect == sqltext.MySQL {
		for at := r.w.Values.Lo; at < r.w.Values.Hi; at++ {
			if r.Word(at, "LAST_INSERT_ID") { // sets the number itself
				return false
			}
		}
	}
	place := r.place(0)
	if place < 0 {
		return true
	}
	depth := r.Depth(r.w.Values.Lo) + 1
	at := r.w.Values.Lo + 1
	for n := 0; n < place && at < r.w.Values.Hi; at++ {
		if r.Depth(at) == depth && r.Is(at, ",") {
			n++
		}
	}
	if at >= r.w.Values.Hi || !r.Word(at, "NULL", "DEFAULT") && r.Token(at) != "0" {
		return false
	}
	return r.Is(at+1, ",") || r.Is(at+1, ")")
}

// answer finds the key among the columns of RETURNING. Only plain columns count: an
// expression may bear a column's name.
func (r *keyReader) answer() *answer {
	for i := range r.key {
		if k := r.key[i].Kind; k == value.KindFloat || k == value.KindOpaque {
			return nil
		}
	}
	s := r.w.Returning
	last := s.Hi - 1
	if r.Is(last, "*") && (last == s.Lo || last == s.Lo+2 && r.Is(s.Lo+1, ".") && r.isTarget(s.Lo)) {
		return &answer{names: r.s.Key}
	}
	columns := make([]int, len(r.key))
	for i := range columns {
		columns[i] = -1
	}
	depth := r.Depth(s.Lo)
	n := 0
	for at := s.Lo; at < s.Hi; n++ {
		end := at
		for end < s.Hi && (r.Depth(end) != depth || !r.Is(end, ",")) {
			if r.Depth(end) == depth && r.Is(end, "*") && (end == at || r.Is(end-1, ".")) {
				return nil // a star: the number of its columns is not known here
			}
			end++
		}
		i, next := r.targetColumn(span(at, end))
		if i >= 0 && (next == end || r.Word(next, "AS")) {
			columns[i] = n
		}
		at = end + 1
	}
	for _, c := range columns {
		if c < 0 {
			return nil
		}
	}
	return &answer{columns: columns}
}

// locate finds the columns by name, once the names are known.
func (a *answer) locate(names []string) {
	if a.columns != nil || a.failed {
		return
	}
	for _, key := range a.names {
		at := -1
		for i, name := range names {
			if strings.EqualFold(name, key) {
				if at >= 0 {
					a.failed = true // of two tables
					return
				}
				at = i
			}
		}
		if at < 0 {
			a.failed = true
			return
		}
		a.columns = append(a.columns, at)
	}
}

// row takes the key of one row of the answer.
func (a *answer) row(s *driver.Schema, row []sqldriver.Value) {
	if a.failed {
		return
	}
	vals := make([]any, len(a.columns))
	for i, c := range a.columns {
		if c >= len(row) {
			a.failed = true
			return
		}
		vals[i] = row[c]
	}
	key, err := s.MakeKey(vals...)
	if err != nil || len(a.keys) == MaxKeys {
		a.failed, a.keys = true, nil
		return
	}
	a.keys = append(a.keys, key)
}

// TakesRows reports whether the rows of the statement hold keys.
func (e *Effect) TakesRows() bool {
	for b := range e.bound {
		if b.answer != nil {
			return true
		}
	}
	return false
}

// TakeRow takes the keys of one row of the statement's answer. names returns the
// names of its columns.
func (e *Effect) TakeRow(names func() []string, row []sqldriver.Value) {
	for b := range e.bound {
		if b.answer == nil {
			continue
		}
		if b.answer.columns == nil {
			b.answer.locate(names())
		}
		b.answer.row(b.schema, row)
	}
}

// Settle takes over the keys of an answer. ended says that it was read to its
// end. For a statement that changes one row, one key suffices.
func (e *Effect) Settle(ended bool) {
	for b := range e.bound {
		if b.answer != nil && !b.answer.failed && (ended || b.one && len(b.answer.keys) == 1) {
			b.keys, b.known = b.answer.keys, true
		}
	}
}
