package pgsource

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
)

// commit is a transaction that the log says is committed, with what it changed.
type commit struct {
	xid     uint32
	changes changes
	// unsettled: it is not known to be a commit, nor to change anything. It is
	// forgotten when the transaction's commit comes after all.
	unsettled bool
}

// changes are keys by table.
type changes map[driver.Table]*keySet

// keySet is a set of keys of one table, or the whole table.
type keySet struct {
	whole bool
	keys  map[rowKey]struct{}
}

// rowKey is a key as the log has it: the texts of the key columns, each behind
// its length. It is made a core.Key only when it is reported, since the kinds of
// the columns may not be known before: a loader learns them before it first
// reads.
type rowKey string

func (c changes) of(t driver.Table) *keySet {
	set := c[t]
	if set == nil {
		set = &keySet{}
		c[t] = set
	}
	return set
}

func (s *keySet) setWhole() { s.whole, s.keys = true, nil }

// add adds a key, built by appendKeyPart; with more than limit of them the set
// is the whole table.
func (s *keySet) add(key []byte, limit int) {
	if s.whole {
		return
	}
	if _, ok := s.keys[rowKey(key)]; ok { // which allocates nothing
		return
	}
	if len(s.keys) >= limit {
		s.setWhole()
		return
	}
	if s.keys == nil {
		s.keys = make(map[rowKey]struct{})
	}
	s.keys[rowKey(key)] = struct{}{}
}

// merge adds all of the other's changes.
func (c changes) merge(other changes, limit int) {
	for t, theirs := range other {
		set := c.of(t)
		if theirs.whole {
			set.setWhole()
		}
		for k := range theirs.keys {
			set.add([]byte(k), limit)
		}
	}
}

// size counts keys.
func (c changes) size() int {
	n := 0
	for _, s := range c {
		n += len(s.keys)
	}
	return n
}

func (c changes) setWhole() {
	for _, s := range c {
		s.setWhole()
	}
}

func appendKeyPart(key, text []byte) []byte {
	key = binary.AppendUvarint(key, uint64(len(text)))
	return append(key, text...)
}

func (k rowKey) parts() []string {
	var parts []string
	for rest := []byte(k); len(rest) > 0; {
		n, used := binary.Uvarint(rest)
		rest = rest[used:]
		parts = append(parts, string(rest[:n]))
		rest = rest[n:]
	}
	return parts
}

// report makes the changes what a sink takes, for those tables that are bound.
// It is called right before they are reported, with the schemas of that moment:
// whoever learns his columns' kinds later reads the table in full later.
func (c changes) report(schemas []driver.Schema) []driver.Change {
	var list []driver.Change
	for i := range schemas {
		if set := c[schemas[i].Table]; set != nil {
			list = append(list, driver.Change{Table: schemas[i].Table, Keys: set.encode(&schemas[i])})
		}
	}
	return list
}

// encode returns the keys, or nil for the whole table. That is reported too
// where a key cannot be told from the log.
func (s *keySet) encode(schema *driver.Schema) []driver.Key {
	if s.whole || len(schema.Key) == 0 {
		return nil
	}
	kinds := make([]value.Kind, len(schema.Key))
	for i, name := range schema.Key {
		at := schema.Column(name)
		if at < 0 {
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

// columnValue returns what MakeKey takes for a column's text. Opaque values have
// many texts, of which the loader knows another; and the text of a float4 is
// another number than its value.
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
