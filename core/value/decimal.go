package value

import (
	"cmp"
	"errors"
	"math"
	"strconv"
	"strings"
)

// A decimal is 0.DIGITS × 10^exponent with a sign. Its class is in aux, the
// exponent in num, the digits in str, without leading and trailing zeros, so
// that equal numbers have equal fields. Classes are in numeric order.
const (
	decNegInf uint32 = iota
	decNegative
	decZero
	decPositive
	decPosInf
	decNaN
)

const (
	// maxDecimalText bounds the text of a decimal, in bytes. Postgres's
	// longest has about 150,000.
	maxDecimalText = 1 << 18
	// maxDecimalExp bounds the exponent in both directions.
	maxDecimalExp = 1 << 30
	// maxZeros bounds the zeros that the text form adds to a number's own digits before it
	// uses an exponent instead.
	maxZeros = 40
)

var (
	errNoDecimal       = errors.New("not a decimal number")
	errDecimalTooLarge = errors.New("decimal number out of range")
)

// ParseDecimal reads a decimal number: an optional sign, digits with an optional point, and
// an optional exponent; or NaN, Infinity or Inf with an optional sign, in any case. The
// result is in canonical form: 1.50, 1.5 and 15e-1 are equal. It refuses white space, texts
// of more than 256 KiB, and exponents beyond ±2^30.
func ParseDecimal(s string) (Value, error) {
	v, err := parseDecimal(s)
	if err != nil {
		return Value{}, problem("parsing", KindDecimal, s, err)
	}
	return v, nil
}

func parseDecimal(s string) (Value, error) {
	if len(s) > maxDecimalText {
		return Value{}, errDecimalTooLarge
	}
	rest, negative := s, false
	if rest != "" && (rest[0] == '+' || rest[0] == '-') {
		negative, rest = rest[0] == '-', rest[1:]
	}
	if v, ok := specialDecimal(rest, negative); ok {
		return v, nil
	}
	whole, rest := leadingDigits(rest)
	var frac string
	if rest != "" && rest[0] == '.' {
		frac, rest = leadingDigits(rest[1:])
	}
	if whole == "" && frac == "" {
		return Value{}, errNoDecimal
	}
	exp := int64(0)
	if rest != "" {
		var err error
		if exp, err = parseExponent(rest); err != nil {
			return Value{}, err
		}
	}
	whole = strings.TrimLeft(whole, "0")
	frac = strings.TrimRight(frac, "0")
	exp += int64(len(whole))
	digits := whole + frac // allocates only if both have digits
	if whole == "" {
		digits = strings.TrimLeft(frac, "0")
		exp -= int64(len(frac) - len(digits))
	}
	return makeDecimal(negative, digits, exp)
}

// makeDecimal makes 0.digits × 10^exp; digits has no leading zeros.
func makeDecimal(negative bool, digits string, exp int64) (Value, error) {
	digits = strings.TrimRight(digits, "0")
	if digits == "" {
		return Value{kind: KindDecimal, aux: decZero}, nil
	}
	if exp < -maxDecimalExp || exp > maxDecimalExp {
		return Value{}, errDecimalTooLarge
	}
	class := decPositive
	if negative {
		class = decNegative
	}
	return Value{kind: KindDecimal, aux: class, num: uint64(exp), str: digits}, nil
}

func specialDecimal(s string, negative bool) (Value, bool) {
	class := decPosInf
	switch {
	case strings.EqualFold(s, "nan"):
		class = decNaN
	case strings.EqualFold(s, "inf"), strings.EqualFold(s, "infinity"):
		if negative {
			class = decNegInf
		}
	default:
		return Value{}, false
	}
	return Value{kind: KindDecimal, aux: class}, true
}

func leadingDigits(s string) (digits, rest string) {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return s[:n], s[n:]
}

func isDigit(c byte) bool { return c-'0' <= 9 }

func parseExponent(s string) (int64, error) {
	if s[0] != 'e' && s[0] != 'E' {
		return 0, errNoDecimal
	}
	s = s[1:]
	unsigned := strings.TrimPrefix(s, "-")
	if unsigned == s {
		unsigned = strings.TrimPrefix(s, "+")
	}
	if digits, rest := leadingDigits(unsigned); digits == "" || rest != "" {
		return 0, errNoDecimal
	}
	exp, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0, errDecimalTooLarge
	}
	return exp, nil
}

func decimalOfInt(i int64) Value {
	if i == 0 {
		return Value{kind: KindDecimal, aux: decZero}
	}
	digits, negative := strings.CutPrefix(strconv.FormatInt(i, 10), "-")
	v, _ := makeDecimal(negative, digits, int64(len(digits))) // 19 digits are always in range
	return v
}

func decimalOfUint(u uint64) Value {
	digits := strconv.FormatUint(u, 10)
	v, _ := makeDecimal(false, digits, int64(len(digits)))
	return v
}

// decimalOfFloat returns the shortest decimal that reads back as f: 0.1 means 0.1, not the
// 55 digits of the nearest float64.
func decimalOfFloat(f float64) Value {
	v, _ := parseDecimal(strconv.FormatFloat(f, 'e', -1, 64)) // every float64 has such a text
	return v
}

// decimalToInt reports whether the decimal is an int64.
func (v Value) decimalToInt() (int64, bool) {
	if v.aux == decZero {
		return 0, true
	}
	exp := int64(v.num)
	if (v.aux != decPositive && v.aux != decNegative) || int64(len(v.str)) > exp || exp > 19 {
		return 0, false
	}
	i, err := strconv.ParseInt(v.decimalString(), 10, 64)
	return i, err == nil
}

// decimalToFloat reports whether decimalOfFloat gives the decimal for some float64, and
// returns that.
func (v Value) decimalToFloat() (float64, bool) {
	switch v.aux {
	case decNegInf:
		return math.Inf(-1), true
	case decPosInf:
		return math.Inf(1), true
	case decNaN:
		return math.NaN(), true
	}
	if exp := int64(v.num); exp > 310 || exp < -330 {
		return 0, false // beyond every float64; skip formatting
	}
	f, err := strconv.ParseFloat(v.decimalString(), 64)
	if err != nil {
		return 0, false
	}
	return f, decimalOfFloat(f) == v
}

func (v Value) decimalString() string {
	switch v.aux {
	case decNegInf:
		return "-Infinity"
	case decPosInf:
		return "Infinity"
	case decNaN:
		return "NaN"
	case decZero:
		return "0"
	}
	var b strings.Builder
	if v.aux == decNegative {
		b.WriteByte('-')
	}
	digits, exp := v.str, int64(v.num)
	n := int64(len(digits))
	switch {
	case exp > n+maxZeros || exp < -maxZeros:
		b.WriteString(digits[:1])
		if n > 1 {
			b.WriteByte('.')
			b.WriteString(digits[1:])
		}
		b.WriteByte('e')
		b.WriteString(strconv.FormatInt(exp-1, 10))
	case exp >= n:
		b.WriteString(digits)
		writeZeros(&b, exp-n)
	case exp > 0:
		b.WriteString(digits[:exp])
		b.WriteByte('.')
		b.WriteString(digits[exp:])
	default:
		b.WriteString("0.")
		writeZeros(&b, -exp)
		b.WriteString(digits)
	}
	return b.String()
}

func writeZeros(b *strings.Builder, n int64) {
	for range n {
		b.WriteByte('0')
	}
}

func compareDecimals(a, b Value) int {
	if a.aux != b.aux {
		return cmp.Compare(a.aux, b.aux)
	}
	c := cmp.Compare(int64(a.num), int64(b.num))
	if c == 0 {
		c = strings.Compare(a.str, b.str) // no trailing zeros, so a prefix is less
	}
	if a.aux == decNegative {
		return -c
	}
	return c
}
