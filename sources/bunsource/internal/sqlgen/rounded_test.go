package sqlgen

import (
	"math"
	"math/big"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// The span of a float holds exactly the decimals that are read as that float, as Bun
// reads them: by strconv, to 64 bits, and from there to 32.
func TestSpansHoldWhatIsReadAsTheFloat(t *testing.T) {
	for _, bits := range []int{32, 64} {
		t.Run(strconv.Itoa(bits), rapid.MakeCheck(func(t *rapid.T) {
			f := rapid.Float64().Draw(t, "float")
			if bits == 32 {
				f = float64(float32(f))
			}
			if math.IsNaN(f) || math.IsInf(f, 0) {
				t.Skip("nothing is rounded to it")
			}
			s := spanOf(f, bits)
			reads := func(x *big.Float) bool {
				read, err := strconv.ParseFloat(exactDecimal(x), 64)
				if bits == 32 {
					read = float64(float32(read))
				}
				return err == nil && read == f
			}
			nudge := func(x *big.Float, up bool) *big.Float {
				tiny := new(big.Float).SetMantExp(big.NewFloat(1), max(x.MantExp(nil), -1100)-200)
				if !up {
					tiny.Neg(tiny)
				}
				return new(big.Float).SetPrec(4000).Add(x, tiny)
			}
			for _, end := range []struct {
				at    *big.Float
				outer bool
				name  string
			}{{s.low, false, "low"}, {s.high, true, "high"}} {
				if got := reads(end.at); got != s.closed {
					t.Fatalf("the %s end %s of %v is read as it: %v, the span is closed: %v", end.name, exactDecimal(end.at), f, got, s.closed)
				}
				if !reads(nudge(end.at, !end.outer)) {
					t.Fatalf("a little within the %s end of %v is read as something else", end.name, f)
				}
				if reads(nudge(end.at, end.outer)) {
					t.Fatalf("a little beyond the %s end of %v is read as it", end.name, f)
				}
			}
		}))
	}
}
