package sqlitefile

import (
	"encoding/binary"
	"fmt"
)

// page is a page of a database: see "B-tree Pages" in SQLite's file format. It may
// have been torn, so everything in it is checked.
type page struct {
	number uint32 // where it is needed
	data   []byte
	header int // where its header begins
	usable int // how many of its bytes belong to SQLite
}

// The kinds of pages of trees.
const (
	interiorIndex = 0x02
	interiorTable = 0x05
	leafIndex     = 0x0a
	leafTable     = 0x0d
)

var errDamaged = fmt.Errorf("%w: a page is not as it should be", ErrGap)

func (p page) kind() byte { return p.data[p.header] }

// schemaCookie returns the number that every change of the schema moves; of page 1.
func (p page) schemaCookie() uint32 { return binary.BigEndian.Uint32(p.data[40:]) }

// autoVacuum reports whether the database has pages that map others to their owners; of
// page 1.
func (p page) autoVacuum() bool { return binary.BigEndian.Uint32(p.data[52:]) != 0 }

// mapsPages reports whether the page with the number is one of those that map others to
// their owners: see "Pointer Map or Ptrmap Pages".
func (p page) mapsPages(number uint32) bool {
	each := uint32(p.usable/5 + 1)
	at := (number-2)/each*each + 2
	if at == 0x40000000/uint32(len(p.data))+1 { // the page that locks lie on
		at++
	}
	return number == at
}

// pointers returns where the page's cells begin.
func (p page) pointers(headerLength int) ([]byte, error) {
	n := int(binary.BigEndian.Uint16(p.data[p.header+3:]))
	begin := p.header + headerLength
	if begin+2*n > len(p.data) {
		return nil, errDamaged
	}
	return p.data[begin : begin+2*n], nil
}

// children appends the pages below an interior page of a table.
func (p page) children(to []uint32) ([]uint32, error) {
	if p.kind() != interiorTable {
		return nil, errDamaged
	}
	pointers, err := p.pointers(12)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(pointers); i += 2 {
		at := int(binary.BigEndian.Uint16(pointers[i:]))
		if at+4 > len(p.data) {
			return nil, errDamaged
		}
		to = append(to, binary.BigEndian.Uint32(p.data[at:]))
	}
	to = append(to, binary.BigEndian.Uint32(p.data[p.header+8:]))
	for _, number := range to {
		if number == 0 {
			return nil, errDamaged
		}
	}
	return to, nil
}

// rows calls visit with the rowid of each row of a table's leaf page, its cell, and its
// overflow pages.
func (p page) rows(visit func(id int64, cell []byte, more chain)) error {
	if p.kind() != leafTable {
		return errDamaged
	}
	pointers, err := p.pointers(8)
	if err != nil {
		return err
	}
	for i := 0; i < len(pointers); i += 2 {
		at := int(binary.BigEndian.Uint16(pointers[i:]))
		if at >= len(p.data) {
			return errDamaged
		}
		payload, n := varint(p.data[at:])
		if n == 0 {
			return errDamaged
		}
		id, m := varint(p.data[at+n:])
		if m == 0 {
			return errDamaged
		}
		end, more, err := p.payload(at+n+m, payload, p.usable-35)
		if err != nil {
			return err
		}
		visit(int64(id), p.data[at:end], more)
	}
	return nil
}

// payload returns the end of the payload's part in this page, and its overflow pages. A
// page holds at most most bytes of a payload.
func (p page) payload(at int, length uint64, most int) (end int, more chain, err error) {
	local := p.local(length, uint64(most))
	if end = at + local; length > 1<<32 || end > len(p.data) {
		return 0, more, errDamaged
	}
	if length > uint64(most) {
		each := uint64(p.usable - 4)
		more.first = binary.BigEndian.Uint32(p.data[end-4:])
		more.pages = uint32((length - uint64(local-4) + each - 1) / each)
	}
	return end, more, nil
}

// local returns how many bytes of a payload, and of the number of its first overflow
// page, lie in a cell.
func (p page) local(payload, most uint64) int {
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

// chains returns the overflow pages of the long rows or entries of a page of any tree.
func (p page) chains() (chains []chain, err error) {
	if p.kind() == interiorTable {
		return nil, nil
	}
	if p.kind() == leafTable {
		err = p.rows(func(_ int64, _ []byte, more chain) {
			if more.pages > 0 {
				chains = append(chains, more)
			}
		})
		return chains, err
	}
	header, child := 8, 0
	if p.kind() == interiorIndex {
		header, child = 12, 4
	}
	pointers, err := p.pointers(header)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(pointers); i += 2 {
		at := int(binary.BigEndian.Uint16(pointers[i:])) + child
		if at >= len(p.data) {
			return nil, errDamaged
		}
		length, n := varint(p.data[at:])
		if n == 0 {
			return nil, errDamaged
		}
		_, more, err := p.payload(at+n, length, (p.usable-12)*64/255-23)
		if err != nil {
			return nil, err
		}
		if more.pages > 0 {
			chains = append(chains, more)
		}
	}
	return chains, nil
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
