package pgsource

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// The messages of pgoutput, protocol version 1, that this package needs. It decodes
// only the keys of rows: loaders read the rows from the database.
type (
	beginMessage struct {
		xid uint32
	}
	commitMessage struct {
		end uint64 // the position after the commit's record
	}
	relationMessage struct {
		id           uint32
		schema, name string
		columns      []string
		types        []columnType // parallel to columns
	}
	// rowMessage is an insert, an update or a delete. The tuples refer to the
	// decoder's memory and the message's, until the next message is decoded.
	rowMessage struct {
		relation uint32
		old, new []field // nil if the message has none
	}
	truncateMessage struct {
		relations []uint32
	}
)

// columnType is a column's type in the log: its oid and modifier.
type columnType struct{ oid, modifier uint32 }

// field is one column's value.
type field struct {
	kind byte // see the constants
	text []byte
}

const (
	fieldNull      = 'n'
	fieldUnchanged = 'u' // stored out of line, not changed and not sent
	fieldText      = 't'
	fieldBinary    = 'b' // never: the source does not ask for it
)

var errShort = errors.New("it ends too early")

// decoder decodes messages, reusing its memory.
type decoder struct {
	old, new []field
}

// decode returns one of the messages above, or nil for any other.
func (d *decoder) decode(data []byte) (any, error) {
	if len(data) == 0 {
		return nil, errors.New("empty message")
	}
	r := reader{rest: data[1:]}
	var msg any
	switch kind := data[0]; kind {
	case 'B':
		r.skip(8 + 8) // position and time of the commit
		msg = beginMessage{xid: r.uint32()}
	case 'C':
		r.skip(1 + 8) // flags, position of the commit's record
		msg = commitMessage{end: r.uint64()}
		r.skip(8) // time
	case 'R':
		msg = r.relation()
	case 'I':
		m := rowMessage{relation: r.uint32()}
		d.tuples(&r, &m, "N")
		msg = m
	case 'U':
		m := rowMessage{relation: r.uint32()}
		d.tuples(&r, &m, "KON")
		if r.err == nil && m.new == nil {
			r.err = errors.New("an update without a new row")
		}
		msg = m
	case 'D':
		m := rowMessage{relation: r.uint32()}
		d.tuples(&r, &m, "KO")
		msg = m
	case 'T':
		n := r.uint32()
		r.skip(1) // options
		m := truncateMessage{}
		for range n {
			if r.err != nil {
				break
			}
			m.relations = append(m.relations, r.uint32())
		}
		msg = m
	case 'O', 'Y', 'M': // origin, type, a message of the application
		return nil, nil
	default:
		return nil, fmt.Errorf("message of unknown type %q", kind)
	}
	if r.err != nil {
		return nil, fmt.Errorf("message of type %q: %w", data[0], r.err)
	}
	return msg, nil
}

// tuples reads the remaining tuples, of the allowed kinds.
func (d *decoder) tuples(r *reader, m *rowMessage, allowed string) {
	for len(r.rest) > 0 && r.err == nil {
		kind := r.byte()
		switch {
		case bytes.IndexByte([]byte(allowed), kind) < 0:
			r.err = fmt.Errorf("tuple of unknown type %q", kind)
		case kind == 'N':
			d.new = r.tuple(d.new[:0])
			m.new = d.new
		default:
			d.old = r.tuple(d.old[:0])
			m.old = d.old
		}
	}
	if r.err == nil && m.old == nil && m.new == nil {
		r.err = errShort
	}
}

// reader reads big-endian numbers and strings. After an error it returns zeroes.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.rest) {
		if r.err == nil {
			r.err = errShort
		}
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) skip(n int) { r.take(n) }

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) string() string {
	end := bytes.IndexByte(r.rest, 0)
	if end < 0 {
		end = len(r.rest) // so that take fails
	}
	b := r.take(end + 1)
	if b == nil {
		return ""
	}
	return string(b[:end])
}

func (r *reader) relation() relationMessage {
	m := relationMessage{id: r.uint32(), schema: r.string(), name: r.string()}
	r.skip(1) // replica identity: it was checked in the catalog
	for range r.uint16() {
		r.skip(1) // whether it is part of the identity
		m.columns = append(m.columns, r.string())
		m.types = append(m.types, columnType{r.uint32(), r.uint32()})
		if r.err != nil {
			break
		}
	}
	return m
}

// tuple appends to fields, and returns a slice that is not nil.
func (r *reader) tuple(fields []field) []field {
	for range r.uint16() {
		f := field{kind: r.byte()}
		switch f.kind {
		case fieldNull, fieldUnchanged:
		case fieldText, fieldBinary:
			f.text = r.take(int(r.uint32()))
		default:
			if r.err == nil {
				r.err = fmt.Errorf("column of unknown type %q", f.kind)
			}
		}
		if r.err != nil {
			break
		}
		fields = append(fields, f)
	}
	if fields == nil {
		fields = []field{}
	}
	return fields
}
