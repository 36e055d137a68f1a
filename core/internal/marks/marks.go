package marks

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// MaxLength bounds the text of a mark, in characters.
const MaxLength = 256

// MaxKind bounds the length of a part's kind, in bytes.
const MaxKind = 16

// maxBytes is what MaxLength characters hold.
const maxBytes = MaxLength * 3 / 4

const (
	format       = 1
	checksumSize = 4
)

// ErrMalformed means that a text is no mark.
var ErrMalformed = errors.New("marks: malformed")

// Node names the registry that has made a mark. It is random, and new in each
// process.
type Node [8]byte

// Mark is a point in the history of commits.
type Mark struct {
	Node Node
	// Number counts the marks of the node.
	Number uint64
	Parts  []Part
}

// Part is what one source of the node knows about the point.
type Part struct {
	// Kind names the form of the data, the same on all nodes. It has 1 to MaxKind
	// bytes.
	Kind string
	Data []byte
}

var (
	encoding = base64.RawURLEncoding.Strict()
	castle   = crc32.MakeTable(crc32.Castagnoli)
)

// Text encodes the mark. Parts that do not fit into MaxLength, or whose kind has no
// allowed length, are left out and counted: the mark then says less.
func (m Mark) Text() (text string, omitted int) {
	b := make([]byte, 0, maxBytes)
	b = append(append(b, format), m.Node[:]...)
	b = binary.AppendUvarint(b, m.Number)
	for _, p := range m.Parts {
		begun := len(b)
		b = append(append(b, byte(len(p.Kind))), p.Kind...)
		b = append(binary.AppendUvarint(b, uint64(len(p.Data))), p.Data...)
		if len(p.Kind) == 0 || len(p.Kind) > MaxKind || len(b) > maxBytes-checksumSize {
			b = b[:begun]
			omitted++
		}
	}
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castle))
	return encoding.EncodeToString(b), omitted
}

// Parse decodes a mark. It returns ErrMalformed for everything that Text has not
// made.
func Parse(text string) (Mark, error) {
	if len(text) > MaxLength {
		return Mark{}, ErrMalformed
	}
	var room [maxBytes]byte
	n, err := encoding.Decode(room[:], []byte(text))
	var m Mark
	if err != nil || n < 1+len(m.Node)+1+checksumSize || room[0] != format {
		return Mark{}, ErrMalformed
	}
	b, sum := room[:n-checksumSize], room[n-checksumSize:n]
	if binary.BigEndian.Uint32(sum) != crc32.Checksum(b, castle) {
		return Mark{}, ErrMalformed
	}
	b = b[1+copy(m.Node[:], b[1:]):]
	if m.Number, b, err = uvarint(b); err != nil {
		return Mark{}, err
	}
	for len(b) > 0 {
		length := int(b[0])
		b = b[1:]
		if length == 0 || length > MaxKind || length > len(b) {
			return Mark{}, ErrMalformed
		}
		p := Part{Kind: string(b[:length])}
		size, rest, err := uvarint(b[length:])
		if err != nil || size > uint64(len(rest)) {
			return Mark{}, ErrMalformed
		}
		p.Data, b = append([]byte{}, rest[:size]...), rest[size:]
		m.Parts = append(m.Parts, p)
	}
	return m, nil
}

// uvarint takes a number, in its shortest form, from the beginning of b.
func uvarint(b []byte) (n uint64, rest []byte, err error) {
	n, length := binary.Uvarint(b)
	if length <= 0 || length > 1 && b[length-1] == 0 {
		return 0, nil, ErrMalformed
	}
	return n, b[length:], nil
}

// Of returns the data of the parts of that kind.
func (m Mark) Of(kind string) (data [][]byte) {
	for _, p := range m.Parts {
		if p.Kind == kind {
			data = append(data, p.Data)
		}
	}
	return data
}
