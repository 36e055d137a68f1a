package keyproof

import (
	sqldriver "database/sql/driver"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/internal/sqltext"
)

// MaxKeys bounds the keys of one table that a write reports one by one; beyond it
// the whole table is reported.
const MaxKeys = 4096

// proof says which rows of one table a write changes, as its text proves.
type proof struct {
	keys  []driver.Key // with known: every row that changes has one of these keys
	known bool
	one   bool // at most one row changes, before and after under the same key
}

// keyReader reads keys out of the text of one write.
type keyReader struct {
	*sqltext.Text
	w    *sqltext.Write
	s    *driver.Schema
	args []sqldriver.NamedValue
	key  []driver.Column // the key's columns, in key order

	vals [][]any // per key column: the values that WHERE leaves
	rows [][]any // the keys that WHERE leaves, where it names them whole
	with []int   // per key column: the token of the column it is compared with
}

func newKeyReader(p *sqltext.Text, w *sqltext.Write, s *driver.Schema, args []sqldriver.NamedValue) (keyReader, bool) {
	r := keyReader{Text: p, w: w, s: s, args: args, key: make([]driver.Column, len(s.Key))}
	if len(s.Key) == 0 {
		return r, false // a table that bindings only depend on
	}
	for i, name := range s.Key {
		c := s.Column(name)
		if c < 0 {
			return r, false
		}
		r.key[i] = s.Columns[c]
	}
	return r, true
}

// prove finds the rows of the table that the write changes.
func (r *keyReader) prove() proof {
	if r.w.Replace {
		return proof{}
	}
	switch r.w.Verb {
	case sqltext.Insert:
		return r.proveInsert()
	case sqltext.Update, sqltext.Delete:
		return r.proveWhere()
	default:
		return proof{}
	}
}

// exact reports whether keys that the database finds equal to a literal are equal in
// Go too. Integers always are, with any type of the column.
func (r *keyReader) exact() bool {
	for i := range r.key {
		if r.key[i].Kind != value.KindInt && r.key[i].Exact&filter.ExactEqual == 0 {
			return false
		}
	}
	return true
}
