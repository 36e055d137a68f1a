package value

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
)

// The ordered encoding: a byte for the kind, then
//
//	bool     one byte, 0 or 1
//	int      8 bytes, big-endian, sign bit flipped
//	float    8 bytes, big-endian; sign bit flipped, all bits if negative
//	decimal  its class; unless that says it all: 4 bytes exponent (as int),
//	         the digits in pairs from 1 to 100, a 0; for negative numbers
//	         everything after the class is complemented
//	text, bytes, opaque
//	         the bytes, each 0 followed by 0xff; then 0 and 1
//	time     8 bytes seconds (as int), 4 bytes nanoseconds
//
// Every value has exactly one encoding, and decoding accepts no other, since keys are
// compared as bytes.

const (
	signBit    = 1 << 63
	expSignBit = 1 << 31

	escapedZero = 0xff // after 0: the byte 0 itself
	endOfString = 0x01 // after 0: the end
)

// AppendOrdered appends the value to dst in an encoding whose byte order is the order of
// [Compare]. No encoding is a prefix of another, so concatenated encodings order tuples. It
// allocates only to grow dst.
func (v Value) AppendOrdered(dst []byte) []byte {
	dst = append(dst, tag(v.kind))
	switch v.kind {
	case KindBool:
		return append(dst, byte(v.num))
	case KindInt:
		return binary.BigEndian.AppendUint64(dst, v.num^signBit)
	case KindFloat:
		return binary.BigEndian.AppendUint64(dst, orderedFloat(v.float()))
	case KindDecimal:
		return v.appendDecimal(dst)
	case KindText, KindBytes, KindOpaque:
		return appendString(dst, v.str)
	case KindTime:
		dst = binary.BigEndian.AppendUint64(dst, v.num^signBit)
		return binary.BigEndian.AppendUint32(dst, v.aux)
	default:
		return dst
	}
}

// tag leaves 0 and 0xff free, so that a caller can put either after an encoded
// prefix to find where it begins or ends.
func tag(k Kind) byte { return byte(k) + 1 }

func orderedFloat(f float64) uint64 {
	bits := math.Float64bits(f) // NaN has its sign bit clear: above infinity
	if bits&signBit != 0 {
		return ^bits
	}
	return bits | signBit
}

func floatOfOrdered(o uint64) float64 {
	if o&signBit == 0 {
		return math.Float64frombits(^o)
	}
	return math.Float64frombits(o &^ signBit)
}

func appendString(dst []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			break
		}
		dst = append(append(dst, s[:i]...), 0, escapedZero)
		s = s[i+1:]
	}
	return append(append(dst, s...), 0, endOfString)
}

func (v Value) appendDecimal(dst []byte) []byte {
	dst = append(dst, byte(v.aux))
	if v.aux != decPositive && v.aux != decNegative {
		return dst
	}
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(v.num)^expSignBit)
	for i := 0; i < len(v.str); i += 2 {
		pair := (v.str[i] - '0') * 10
		if i+1 < len(v.str) {
			pair += v.str[i+1] - '0'
		}
		dst = append(dst, pair+1)
	}
	dst = append(dst, 0)
	if v.aux == decNegative {
		for i := start; i < len(dst); i++ {
			dst[i] = ^dst[i]
		}
	}
	return dst
}

var (
	errShort     = errors.New("too short")
	errMalformed = errors.New("not as an encoder writes it")
)

// DecodeOrdered decodes a value written by [Value.AppendOrdered] from the start of b, and
// returns the remaining bytes. For malformed bytes it returns an error, NULL and b. It
// retains nothing of b.
func DecodeOrdered(b []byte) (v Value, rest []byte, err error) {
	if len(b) == 0 {
		return Value{}, b, fmt.Errorf("value: decoding: %w", errShort)
	}
	kind := Kind(b[0] - 1)
	if b[0] == 0 || kind >= kinds {
		return Value{}, b, fmt.Errorf("value: decoding: no kind has the tag %#x", b[0])
	}
	v, rest, err = decodeKind(kind, b[1:])
	if err != nil {
		return Value{}, b, fmt.Errorf("value: decoding %s: %w", kind, err)
	}
	return v, rest, nil
}

func decodeKind(kind Kind, b []byte) (Value, []byte, error) {
	if size := fixedSize[kind]; len(b) < size {
		return Value{}, nil, errShort
	}
	switch kind {
	case KindBool:
		if b[0] > 1 {
			return Value{}, nil, errMalformed
		}
		return Bool(b[0] == 1), b[1:], nil
	case KindInt:
		return Int(int64(binary.BigEndian.Uint64(b) ^ signBit)), b[8:], nil
	case KindFloat:
		ordered := binary.BigEndian.Uint64(b)
		v := Float(floatOfOrdered(ordered))
		if orderedFloat(v.float()) != ordered { // -0, or another NaN
			return Value{}, nil, errMalformed
		}
		return v, b[8:], nil
	case KindDecimal:
		return decodeDecimal(b)
	case KindText, KindBytes, KindOpaque:
		s, rest, err := decodeString(b)
		return Value{kind: kind, str: s}, rest, err
	case KindTime:
		nanos := binary.BigEndian.Uint32(b[8:])
		if nanos > 999_999_999 {
			return Value{}, nil, errMalformed
		}
		return Value{kind: KindTime, num: binary.BigEndian.Uint64(b) ^ signBit, aux: nanos}, b[12:], nil
	default:
		return Value{}, b, nil
	}
}

// fixedSize is the minimum number of bytes after the tag.
var fixedSize = [kinds]int{KindBool: 1, KindInt: 8, KindFloat: 8, KindDecimal: 1, KindTime: 12}

func decodeString(b []byte) (string, []byte, error) {
	var out []byte // stays nil when nothing is escaped
	start := 0
	for i := 0; i < len(b); i++ {
		if b[i] != 0 {
			continue
		}
		if i+1 == len(b) {
			return "", nil, errShort
		}
		switch b[i+1] {
		case endOfString:
			if out == nil {
				return string(b[start:i]), b[i+2:], nil
			}
			return string(append(out, b[start:i]...)), b[i+2:], nil
		case escapedZero:
			out = append(out, b[start:i+1]...)
			start = i + 2
			i++
		default:
			return "", nil, errMalformed
		}
	}
	return "", nil, errShort
}

func decodeDecimal(b []byte) (Value, []byte, error) {
	class, b := uint32(b[0]), b[1:]
	if class > decNaN {
		return Value{}, nil, errMalformed
	}
	if class != decPositive && class != decNegative {
		return Value{kind: KindDecimal, aux: class}, b, nil
	}
	if len(b) < 4 {
		return Value{}, nil, errShort
	}
	var flip byte
	exp := binary.BigEndian.Uint32(b)
	if class == decNegative {
		flip, exp = 0xff, ^exp
	}
	b = b[4:]
	var digits []byte
	for i, c := range b {
		c ^= flip
		if c == 0 {
			return finishDecimal(class, int64(int32(exp^expSignBit)), digits, b[i+1:])
		}
		if c > 100 {
			return Value{}, nil, errMalformed
		}
		digits = append(digits, '0'+(c-1)/10, '0'+(c-1)%10)
	}
	return Value{}, nil, errShort
}

func finishDecimal(class uint32, exp int64, digits, rest []byte) (Value, []byte, error) {
	n := len(digits)
	if n == 0 || digits[0] == '0' || (digits[n-2] == '0' && digits[n-1] == '0') {
		return Value{}, nil, errMalformed
	}
	v, err := makeDecimal(class == decNegative, string(digits), exp)
	return v, rest, err
}
