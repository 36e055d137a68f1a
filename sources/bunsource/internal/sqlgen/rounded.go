package sqlgen

import (
	"fmt"
	"math"
	"math/big"
	"strings"

	"github.com/uptrace/bun/dialect"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/bunsource/internal/exact"
)

// rounded says that rows show a column's numbers rounded: the Go type is a float of
// fewer digits than the column keeps. A key or a filter names the number that rows show.
// So it is compared with all the numbers that are rounded to it.
type rounded struct {
	dialect dialect.Name
	sqlType string
	bits    int // of the float
}

// is returns a condition on the column, which stands as [ColumnMark]. It is unknown
// for NULL. It returns "" for NaN and the infinities, which nothing is rounded to.
func (r rounded) is(op filter.Op, f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) || r.bits == 32 && math.Abs(f) > math.MaxFloat32 {
		return ""
	}
	column := ColumnMark
	if r.dialect == dialect.SQLite && exact.SQLiteAffinity(r.sqlType) == exact.AffinityText {
		column = "CAST(" + ColumnMark + " AS REAL)"
	}
	s := spanOf(f, r.bits)
	if r.storesFloats() {
		s = spanOfFloats(f, r.bits)
	}
	low, lowIn := r.literal(s.low, s.closed, f, big.ToPositiveInf)
	high, highIn := r.literal(s.high, s.closed, f, big.ToNegativeInf)
	within := func(less, orEqual string, in bool) string {
		if in {
			return orEqual
		}
		return less
	}
	switch op {
	case filter.OpLt:
		return column + within(" <= ", " < ", lowIn) + low
	case filter.OpLe:
		return column + within(" < ", " <= ", highIn) + high
	case filter.OpGt:
		return column + within(" >= ", " > ", highIn) + high
	case filter.OpGe:
		return column + within(" > ", " >= ", lowIn) + low
	}
	equal := fmt.Sprintf("(%s%s%s AND %s%s%s)", column, within(" > ", " >= ", lowIn), low, column, within(" < ", " <= ", highIn), high)
	if op == filter.OpNe {
		return "(NOT " + equal + ")"
	}
	return equal
}

// storesFloats reports whether the column holds nothing but floats of 64 bits.
func (r rounded) storesFloats() bool {
	if r.dialect == dialect.PG {
		return exact.BaseType(r.sqlType) == "double precision"
	}
	switch exact.SQLiteAffinity(r.sqlType) {
	case exact.AffinityReal, exact.AffinityText:
		return true
	}
	return false
}

// literal writes an end of a span for the column; in says that the end as it is
// written belongs to the span. f is the float that the span is around.
func (r rounded) literal(end *big.Float, closed bool, f float64, inward big.RoundingMode) (text string, in bool) {
	asFloat, accuracy := end.Float64()
	isFloat := accuracy == big.Exact && !math.IsInf(asFloat, 0)
	if r.dialect == dialect.PG {
		switch base := exact.BaseType(r.sqlType); {
		case base == "double precision":
			return "float8 '" + value.Float(asFloat).String() + "'", closed
		case exact.PGIntegers[base]:
			// A literal with digits behind the point would be compared as a numeric, and
			// no index be used.
			whole, in := inwardInt(end, closed, inward)
			return whole.String(), in
		}
		return "numeric '" + exactDecimal(end) + "'", closed
	}
	switch whole, _ := end.Int(nil); {
	case end.IsInt() && whole.IsInt64():
		return whole.String(), closed
	case isFloat:
		return SQLiteFloat(asFloat), closed
	}
	return SQLiteFloat(f), true // between the end and the float there is nothing that SQLite can hold
}

// inwardInt returns the integer next to the end of a span, on its inner side.
func inwardInt(end *big.Float, closed bool, inward big.RoundingMode) (whole *big.Int, in bool) {
	whole, accuracy := end.Int(nil) // toward zero
	switch {
	case accuracy == big.Exact:
		return whole, closed
	case inward == big.ToPositiveInf && accuracy == big.Below:
		whole.Add(whole, big.NewInt(1))
	case inward == big.ToNegativeInf && accuracy == big.Above:
		whole.Sub(whole, big.NewInt(1))
	}
	return whole, true
}

// span holds the numbers that are rounded to one float, as strconv and the processor
// round: to the nearest, and of two as near to the one whose last bit is 0.
type span struct {
	low, high *big.Float
	closed    bool // low and high belong to it
}

// spanOf returns the real numbers that are rounded to the float. For 32 bits they are
// rounded to 64 bits first, as Bun reads them.
func spanOf(f float64, bits int) span {
	if bits == 64 {
		return span{between(f, math.Inf(-1)), between(f, math.Inf(1)), math.Float64bits(f)&1 == 0}
	}
	s := spanOfFloats(f, bits)
	low, _ := s.low.Float64()
	high, _ := s.high.Float64()
	outward, inward := math.Inf(1), math.Inf(-1)
	if s.closed {
		outward, inward = inward, outward
	}
	return span{between(low, outward), between(high, inward), s.closed}
}

// spanOfFloats returns the floats of 64 bits that are rounded to the one of fewer bits.
func spanOfFloats(f float64, bits int) span {
	if bits == 64 {
		same := new(big.Float).SetFloat64(f)
		return span{same, same, true}
	}
	g := float32(f)
	return span{between32(g, float32(math.Inf(-1))), between32(g, float32(math.Inf(1))), math.Float32bits(g)&1 == 0}
}

// halfBits suffices for the middle between two neighbours of 64 bits.
const halfBits = 64

// between returns the middle between the float and its neighbour toward the other. Behind
// the greatest one stands the power of two that would follow it.
func between(f, toward float64) *big.Float {
	a := new(big.Float).SetPrec(halfBits).SetFloat64(f)
	next := math.Nextafter(f, toward)
	b := new(big.Float).SetPrec(halfBits)
	if math.IsInf(next, 0) {
		b.SetMantExp(big.NewFloat(math.Copysign(1, f)), 1024)
	} else {
		b.SetFloat64(next)
	}
	return half(a.Add(a, b))
}

// between32 is between for floats of 32 bits.
func between32(f, toward float32) *big.Float {
	next := float64(math.Nextafter32(f, toward))
	if math.IsInf(next, 0) {
		next = math.Copysign(math.Ldexp(1, 128), float64(f))
	}
	a := new(big.Float).SetPrec(halfBits).SetFloat64(float64(f))
	return half(a.Add(a, new(big.Float).SetFloat64(next)))
}

func half(x *big.Float) *big.Float { return x.SetMantExp(x, -1) }

// exactDecimal writes the number with all its digits.
func exactDecimal(x *big.Float) string {
	r, _ := x.Rat(nil) // the denominator 2^n takes n digits
	digits := r.FloatString(r.Denom().BitLen() - 1)
	if strings.Contains(digits, ".") {
		digits = strings.TrimRight(strings.TrimRight(digits, "0"), ".")
	}
	return digits
}
