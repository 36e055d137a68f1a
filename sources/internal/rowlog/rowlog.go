// Package rowlog gathers the changed rows of a database's log: keys by table, as
// texts. They become keys of bindings when they are reported.
package rowlog

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

// Changes are keys by table.
type Changes map[driver.Table]*Set

// Set is a set of keys of one table, or the whole table. The zero value is empty.
type Set struct {
	whole bool
	keys  map[Key]struct{}
}

// Key is a key from the log: the texts of the key columns, each after its length. It
// becomes a [driver.Key] only when it is reported, because the columns' kinds may be
// unknown before: a loader learns them before its first read.
type Key string

// Of returns the set of a table, and adds an empty one if there is none.
func (c Changes) Of(t driver.Table) *Set {
	set := c[t]
	if set == nil {
		set = &Set{}
		c[t] = set
	}
	return set
}

// SetWhole makes the set the whole table.
func (s *Set) SetWhole() { s.whole, s.keys = true, nil }

// Whole reports whether the set is the whole table.
func (s *Set) Whole() bool { return s.whole }

// Keys returns the keys that the set holds, each as the texts of its columns; none
// if it is the whole table.
func (s *Set) Keys() [][]string {
	out := make([][]string, 0, len(s.keys))
	for k := range s.keys {
		out = append(out, k.parts())
	}
	return out
}

// Add adds a key, built by AppendPart; with more than limit of them the set
// is the whole table.
func (s *Set) Add(key []byte, limit int) {
	if s.whole {
		return
	}
	if _, ok := s.keys[Key(key)]; ok { // allocates nothing
		return
	}
	if len(s.keys) >= limit {
		s.SetWhole()
		return
	}
	if s.keys == nil {
		s.keys = make(map[Key]struct{})
	}
	s.keys[Key(key)] = struct{}{}
}

// Merge adds all of the other's changes.
func (c Changes) Merge(other Changes, limit int) {
	for t, theirs := range other {
		set := c.Of(t)
		if theirs.whole {
			set.SetWhole()
		}
		for k := range theirs.keys {
			set.Add([]byte(k), limit)
		}
	}
}

// Size counts keys.
func (c Changes) Size() int {
	n := 0
	for _, s := range c {
		n += len(s.keys)
	}
	return n
}

// SetWhole makes the changes those of whole tables.
func (c Changes) SetWhole() {
	for _, s := range c {
		s.SetWhole()
	}
}

// AppendPart appends the text of a key column to a key.
func AppendPart(key, text []byte) []byte {
	key = binary.AppendUvarint(key, uint64(len(text)))
	return append(key, text...)
}

func (k Key) parts() []string {
	var parts []string
	for rest := []byte(k); len(rest) > 0; {
		n, used := binary.Uvarint(rest)
		rest = rest[used:]
		parts = append(parts, string(rest[:n]))
		rest = rest[n:]
	}
	return parts
}

// Report converts the changes of bound tables for a sink. Call it right before
// reporting, with the schemas of that moment: a table whose columns' kinds are learned
// later is then read in full.
func (c Changes) Report(schemas []driver.Schema) []driver.Change {
	var list []driver.Change
	for i := range schemas {
		if set := c[schemas[i].Table]; set != nil {
			list = append(list, driver.Change{Table: schemas[i].Table, Keys: set.Encode(&schemas[i])})
		}
	}
	return list
}

// Encode returns the keys, or nil for the whole table. It returns nil too if the log
// does not determine a key.
func (s *Set) Encode(schema *driver.Schema) []driver.Key {
	if s.whole || len(schema.Key) == 0 {
		return nil
	}
	kinds := make([]value.Kind, len(schema.Key))
	for i, name := range schema.Key {
		at := schema.Column(name)
		if at < 0 {
			return nil
		}
		if schema.Columns[at].Ambiguous {
			return nil
		}
		kinds[i] = schema.Columns[at].Kind
	}
	keys := make([]driver.Key, 0, len(s.keys))
	values := make([]any, len(kinds))
	for k := range s.keys {
		parts := k.parts()
		if len(parts) != len(kinds) {
			return nil
		}
		for i, text := range parts {
			v, err := columnValue(text, kinds[i])
			if err != nil {
				return nil
			}
			values[i] = v
		}
		key, err := schema.MakeKey(values...)
		if err != nil {
			return nil
		}
		keys = append(keys, key)
	}
	return keys
}

var errAmbiguous = errors.New("the log's text need not be the loader's")

// columnValue converts a column's text for MakeKey. It returns an error for opaque
// values, whose text may differ from the loader's, and for floats, because the text of
// a float4 is a different number than its value.
func columnValue(text string, kind value.Kind) (any, error) {
	switch kind {
	case value.KindNull, value.KindOpaque, value.KindFloat:
		return nil, errAmbiguous
	case value.KindBytes:
		digits, ok := strings.CutPrefix(text, `\x`)
		if !ok {
			return nil, errAmbiguous // not a bytea
		}
		return hex.DecodeString(digits)
	}
	return text, nil
}
