package sqlitefile

import "encoding/binary"

// page is a page of a table's tree: see "B-tree Pages" in SQLite's file format. It may
// have been torn, so everything in it is checked.
type page struct {
	data   []byte
	header int // where its header begins
	usable int // how many of its bytes belong to SQLite
}

// The kinds of pages of tables.
const (
	interiorTable = 0x05
	leafTable     = 0x0d
)

func (p page) kind() byte { return p.data[p.header] }

// pointers returns where the page's cells begin.
func (p page) pointers(kind byte, headerLength int) ([]byte, error) {
	if p.kind() != kind {
		return nil, errNoHint
	}
	n := int(binary.BigEndian.Uint16(p.data[p.header+3:]))
	begin := p.header + headerLength
	if begin+2*n > len(p.data) {
		return nil, errNoHint
	}
	return p.data[begin : begin+2*n], nil
}

// children appends the pages below an interior page.
func (p page) children(to []uint32) ([]uint32, error) {
	pointers, err := p.pointers(interiorTable, 12)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(pointers); i += 2 {
		at := int(binary.BigEndian.Uint16(pointers[i:]))
		if at+4 > len(p.data) {
			return nil, errNoHint
		}
		to = append(to, binary.BigEndian.Uint32(p.data[at:]))
	}
	to = append(to, binary.BigEndian.Uint32(p.data[p.header+8:]))
	for _, number := range to {
		if number == 0 {
			return nil, errNoHint
		}
	}
	return to, nil
}

// rows calls visit with the number and the cell of each row of a leaf page.
func (p page) rows(visit func(id int64, cell []byte)) error {
	pointers, err := p.pointers(leafTable, 8)
	if err != nil {
		return err
	}
	for i := 0; i < len(pointers); i += 2 {
		at := int(binary.BigEndian.Uint16(pointers[i:]))
		if at >= len(p.data) {
			return errNoHint
		}
		payload, n := varint(p.data[at:])
		if n == 0 {
			return errNoHint
		}
		id, m := varint(p.data[at+n:])
		if m == 0 {
			return errNoHint
		}
		end := at + n + m + p.local(payload)
		if payload > 1<<32 || end > len(p.data) {
			return errNoHint
		}
		visit(int64(id), p.data[at:end])
	}
	return nil
}

// local returns how many bytes of a payload, and of the number of the page on which it
// goes on, lie in a cell of a leaf page.
func (p page) local(payload uint64) int {
	most := uint64(p.usable - 35)
	if payload <= most {
		return int(payload)
	}
	least := uint64((p.usable-12)*32/255 - 23)
	n := least + (payload-least)%uint64(p.usable-4)
	if n > most {
		n = least
	}
	return int(n) + 4
}

// varint reads one of SQLite's integers of variable length, and returns how many bytes
// it has; 0 where it is not whole.
func varint(b []byte) (v uint64, n int) {
	for n < len(b) && n < 8 {
		v = v<<7 | uint64(b[n]&0x7f)
		n++
		if b[n-1] < 0x80 {
			return v, n
		}
	}
	if n == 8 && n < len(b) {
		return v<<8 | uint64(b[8]), 9
	}
	return 0, 0
}
