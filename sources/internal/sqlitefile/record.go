package sqlitefile

import (
	"encoding/binary"
	"math"
)

// record is the beginning of a row as SQLite stores it: what of it lies in the cell. See
// "Record Format" in SQLite's file format. It may have been torn, so everything in it is
// checked.
type record []byte

// columns returns the values of the columns with these positions, each an int64, a float64,
// a string, a []byte or nil. A column that the record does not have, or of which a part lies
// on another page, is [ErrGap]. Text is taken as UTF-8.
func (r record) columns(positions []int) ([]any, error) {
	length, n := varint(r)
	if n == 0 || length < uint64(n) || length > uint64(len(r)) {
		return nil, errDamaged
	}
	last := 0
	for _, p := range positions {
		last = max(last, p)
	}
	values := make([]any, len(positions))
	header, at := r[n:length], length
	for i := 0; i <= last; i++ {
		kind, n := varint(header)
		if n == 0 {
			return nil, errDamaged
		}
		header = header[n:]
		size := sizeOf(kind)
		if size > uint64(len(r))-at {
			return nil, errDamaged
		}
		for k, p := range positions {
			if p == i {
				values[k] = valueOf(kind, r[at:at+size])
			}
		}
		at += size
	}
	return values, nil
}

// The kinds of values in a record; see its table of serial types.
const (
	kindFloat = 7
	kindZero  = 8
	kindOne   = 9
	kindBytes = 12 // and beyond: blobs where even, text where odd
)

// sizeOf returns how many bytes a value of the kind takes.
func sizeOf(kind uint64) uint64 {
	switch {
	case kind >= kindBytes:
		return (kind - kindBytes) / 2
	case kind >= kindZero:
		return 0 // the numbers 0 and 1, and two kinds that are reserved
	default:
		return [...]uint64{0, 1, 2, 3, 4, 6, 8, 8}[kind]
	}
}

func valueOf(kind uint64, b []byte) any {
	switch {
	case kind >= kindBytes && kind%2 == 1:
		return string(b)
	case kind >= kindBytes:
		return append([]byte{}, b...)
	case kind == kindZero, kind == kindOne:
		return int64(kind - kindZero)
	case kind == 0 || kind > kindOne:
		return nil
	case kind == kindFloat:
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	}
	// A number in two's complement, of as many bytes as it needs.
	v := int64(int8(b[0]))
	for _, c := range b[1:] {
		v = v<<8 | int64(c)
	}
	return v
}
