package value

import (
	"cmp"
	"math"
	"strings"
	"time"
)

// Kind is the kind of a value, and of the column that holds it.
type Kind uint8

// The kinds. Their order is the order of values of different kinds.
const (
	// KindNull is NULL, the kind of the zero Value.
	KindNull Kind = iota
	// KindBool is false or true.
	KindBool
	// KindInt is an integer in the range of int64.
	KindInt
	// KindFloat is a float64.
	KindFloat
	// KindDecimal is an exact decimal number of any size: numeric columns, and integers
	// beyond int64. It includes NaN and the infinities of Postgres.
	KindDecimal
	// KindText is text, compared by its bytes.
	KindText
	// KindBytes is a string of bytes.
	KindBytes
	// KindTime is an instant, in nanoseconds.
	KindTime
	// KindOpaque is a value that Go cannot compare as the database does (JSON, arrays,
	// geometry). It is stored and compared only as text.
	KindOpaque

	kinds // the number of kinds
)

var kindNames = [kinds]string{"null", "bool", "int", "float", "decimal", "text", "bytes", "time", "opaque"}

// String returns the kind's name in lower case.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "unknown"
}

// Value is the value of one column. The zero Value is NULL. Values are
// immutable, comparable with ==, and safe for concurrent use.
type Value struct {
	kind Kind
	// aux holds a time's nanoseconds, or a decimal's class.
	aux uint32
	// num holds a bool (0 or 1), an int64, the bits of a float64, a time's
	// Unix seconds, or a decimal's exponent.
	num uint64
	// str holds text, bytes, opaque text, or a decimal's digits.
	str string
}

// Null returns NULL.
func Null() Value { return Value{} }

// Bool returns a value of [KindBool].
func Bool(b bool) Value {
	v := Value{kind: KindBool}
	if b {
		v.num = 1
	}
	return v
}

// Int returns a value of [KindInt].
func Int(i int64) Value { return Value{kind: KindInt, num: uint64(i)} }

// Float returns a value of [KindFloat]. -0 becomes 0, and every NaN the same
// NaN, so that equal values are equal with ==.
func Float(f float64) Value {
	switch {
	case f == 0:
		f = 0 // drops the sign of -0
	case f != f:
		f = math.NaN()
	}
	return Value{kind: KindFloat, num: math.Float64bits(f)}
}

// Text returns a value of [KindText]. Text that is not valid UTF-8 is kept as
// it is.
func Text(s string) Value { return Value{kind: KindText, str: s} }

// Bytes returns a value of [KindBytes] that holds a copy of b. A nil slice is
// an empty string of bytes, not NULL; [Of] and [Convert] read it as NULL.
func Bytes(b []byte) Value { return Value{kind: KindBytes, str: string(b)} }

// Time returns a value of [KindTime]: the instant of t in UTC, without t's
// location and monotonic clock reading.
func Time(t time.Time) Value {
	return Value{kind: KindTime, num: uint64(t.Unix()), aux: uint32(t.Nanosecond())}
}

func opaque(s string) Value { return Value{kind: KindOpaque, str: s} }

// Kind returns the value's kind.
func (v Value) Kind() Kind { return v.kind }

// IsNull reports whether the value is NULL.
func (v Value) IsNull() bool { return v.kind == KindNull }

// IsNaN reports whether the value is the float or the decimal NaN.
func (v Value) IsNaN() bool {
	switch v.kind {
	case KindFloat:
		f := v.float()
		return f != f
	case KindDecimal:
		return v.aux == decNaN
	default:
		return false
	}
}

// Any returns the value as an argument for database/sql: nil, bool, int64,
// float64, string (text, opaque values, and decimals in full precision),
// []byte (a fresh copy), or a time.Time in UTC.
func (v Value) Any() any {
	switch v.kind {
	case KindBool:
		return v.num != 0
	case KindInt:
		return int64(v.num)
	case KindFloat:
		return v.float()
	case KindDecimal:
		return v.decimalString()
	case KindText, KindOpaque:
		return v.str
	case KindBytes:
		return []byte(v.str)
	case KindTime:
		return v.time()
	default:
		return nil
	}
}

func (v Value) float() float64  { return math.Float64frombits(v.num) }
func (v Value) time() time.Time { return time.Unix(int64(v.num), int64(v.aux)).UTC() }

// Compare returns -1, 0 or +1 as a is less than, equal to or greater than b,
// in the order that the package comment describes. It does not allocate.
func Compare(a, b Value) int {
	if a.kind != b.kind {
		return cmp.Compare(a.kind, b.kind)
	}
	switch a.kind {
	case KindBool:
		return cmp.Compare(a.num, b.num)
	case KindInt:
		return cmp.Compare(int64(a.num), int64(b.num))
	case KindFloat:
		return compareFloats(a.float(), b.float())
	case KindDecimal:
		return compareDecimals(a, b)
	case KindText, KindBytes, KindOpaque:
		return strings.Compare(a.str, b.str)
	case KindTime:
		if c := cmp.Compare(int64(a.num), int64(b.num)); c != 0 {
			return c
		}
		return cmp.Compare(a.aux, b.aux)
	default:
		return 0
	}
}

// compareFloats differs from cmp.Compare in that NaN is the greatest.
func compareFloats(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	case a != a && b != b:
		return 0
	case a != a:
		return 1
	default:
		return -1
	}
}
