package value_test

import (
	"bytes"
	"cmp"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/value"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Generators. They favour what breaks encodings: borders, zeros in text, and
// values close to each other.

var (
	genInt = rapid.OneOf(rapid.Int64(), rapid.Int64Range(-3, 3),
		rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, 1 << 53, 1<<53 + 1}))
	genFloat = rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{
		0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), 0.1, 1e23,
		math.SmallestNonzeroFloat64, math.MaxFloat64, 1 << 53, 1 << 63,
	}), rapid.Map(rapid.Int64Range(-3, 3), func(i int64) float64 { return float64(i) }))
	genString  = rapid.OneOf(rapid.String(), rapid.StringMatching("[\x00\x01ab]{0,4}"), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 5), func(b []byte) string { return string(b) }))
	genDecimal = rapid.OneOf(
		rapid.StringMatching(`-?[0-9]{1,3}(\.[0-9]{1,3})?(e-?[0-9]{1,2})?`),
		rapid.StringMatching(`-?[0-9]{0,40}\.[0-9]{1,40}`),
		rapid.StringMatching(`[-+]?[0-9]{1,5}\.?e-?[0-9]{1,6}`),
	)
	genTime = rapid.Custom(func(t *rapid.T) time.Time {
		sec := rapid.OneOf(rapid.Int64Range(-2, 2), rapid.Int64Range(-1e11, 1e12), rapid.Int64Range(-1e15, 1e15)).Draw(t, "sec")
		nsec := rapid.OneOf(rapid.Int64Range(0, 2), rapid.Int64Range(0, 999_999_999)).Draw(t, "nsec")
		zone := time.FixedZone("", rapid.IntRange(-12*60, 14*60).Draw(t, "zone")*60)
		return time.Unix(sec, nsec).In(zone)
	})
	genKind = rapid.SampledFrom([]value.Kind{
		value.KindNull, value.KindBool, value.KindInt, value.KindFloat, value.KindDecimal,
		value.KindText, value.KindBytes, value.KindTime, value.KindOpaque,
	})
	genValue = rapid.Custom(func(t *rapid.T) value.Value { return ofKind(genKind.Draw(t, "kind")).Draw(t, "value") })
)

func ofKind(k value.Kind) *rapid.Generator[value.Value] {
	if k == value.KindNull {
		return rapid.Just(value.Null())
	}
	return rapid.Custom(func(t *rapid.T) value.Value {
		switch k {
		case value.KindBool:
			return value.Bool(rapid.Bool().Draw(t, "bool"))
		case value.KindInt:
			return value.Int(genInt.Draw(t, "int"))
		case value.KindFloat:
			return value.Float(genFloat.Draw(t, "float"))
		case value.KindDecimal:
			s := rapid.OneOf(genDecimal, rapid.SampledFrom([]string{"NaN", "-Infinity", "inf", "0", "-0.00"})).Draw(t, "decimal")
			v, err := value.ParseDecimal(s)
			if err != nil {
				t.Fatalf("ParseDecimal(%q): %v", s, err)
			}
			return v
		case value.KindText:
			return value.Text(genString.Draw(t, "text"))
		case value.KindBytes:
			return value.Bytes([]byte(genString.Draw(t, "bytes")))
		case value.KindTime:
			return value.Time(genTime.Draw(t, "time"))
		case value.KindOpaque:
			return must(value.Parse(value.KindOpaque, genString.Draw(t, "opaque")))
		default:
			panic("no generator for " + k.String())
		}
	})
}

func must(v value.Value, err error) value.Value {
	if err != nil {
		panic(err)
	}
	return v
}

// model orders two values in an independent way: through math/big and the
// standard library's own types.
func model(a, b value.Value) int {
	if a.Kind() != b.Kind() {
		return cmp.Compare(a.Kind(), b.Kind())
	}
	switch x := a.Any().(type) {
	case nil:
		return 0
	case bool:
		toInt := map[bool]int{true: 1}
		return cmp.Compare(toInt[x], toInt[b.Any().(bool)])
	case int64:
		return cmp.Compare(x, b.Any().(int64))
	case float64:
		return -cmp.Compare(-x, -b.Any().(float64)) // cmp has NaN first, so from the other end it is last
	case []byte:
		return bytes.Compare(x, b.Any().([]byte))
	case time.Time:
		return x.Compare(b.Any().(time.Time))
	case string:
		y := b.Any().(string)
		if a.Kind() != value.KindDecimal {
			return cmp.Compare(x, y)
		}
		rank := map[string]int{"-Infinity": -1, "Infinity": 1, "NaN": 2}
		if rank[x] != 0 || rank[y] != 0 {
			return cmp.Compare(rank[x], rank[y])
		}
		return rat(x).Cmp(rat(y))
	}
	panic("unknown type")
}

func rat(s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		panic("math/big does not read " + s)
	}
	return r
}

// related draws a pair that is often close together or equal.
func related(t *rapid.T) (a, b value.Value) {
	a = genValue.Draw(t, "a")
	switch rapid.IntRange(0, 5).Draw(t, "relation") {
	case 0:
		return a, genValue.Draw(t, "b")
	case 1:
		return a, ofKind(a.Kind()).Draw(t, "b")
	case 2:
		return a, a
	}
	switch a.Kind() {
	case value.KindText, value.KindBytes, value.KindOpaque: // one begins as the other
		tail := rapid.StringMatching("[\x00\x01a]{1,2}").Draw(t, "tail")
		s := string(must(value.Convert(a, value.KindBytes)).Any().([]byte))
		return a, must(value.Convert([]byte(s+tail), a.Kind()))
	case value.KindDecimal: // one more digit, another exponent, the other sign
		s := a.String()
		if rapid.Bool().Draw(t, "negate") {
			s = strings.TrimPrefix("-"+s, "--")
		}
		if strings.Contains(s, ".") && !strings.Contains(s, "e") {
			s += rapid.StringMatching("[0-9]{0,3}(e-?[0-9])?").Draw(t, "digits")
		}
		return a, must(value.ParseDecimal(s))
	default:
		return a, ofKind(a.Kind()).Draw(t, "b")
	}
}

// hugeExponent keeps decimals away from math/big that would take it minutes.
func hugeExponent(v value.Value) bool {
	if v.Kind() != value.KindDecimal {
		return false
	}
	_, exp, found := strings.Cut(v.String(), "e")
	return found && len(strings.TrimPrefix(exp, "-")) > 4
}

func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := related(t)
		if hugeExponent(a) || hugeExponent(b) {
			t.Skip("too large for the model")
		}
		want := model(a, b)
		if got := value.Compare(a, b); got != want {
			t.Fatalf("Compare(%v, %v) = %d, want %d", a, b, got, want)
		}
		if got := value.Compare(b, a); got != -want {
			t.Fatalf("Compare(%v, %v) = %d, want %d", b, a, got, -want)
		}
		if (a == b) != (want == 0) {
			t.Fatalf("%v == %v is %t, but they compare as %d", a, b, a == b, want)
		}
	})
}

func TestOrderedEncodingKeepsTheOrderOfTuples(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 3).Draw(t, "columns")
		var as, bs []value.Value
		for range n {
			a, b := related(t)
			if rapid.Bool().Draw(t, "equal") {
				b = a
			}
			as, bs = append(as, a), append(bs, b)
		}
		want := slices.CompareFunc(as, bs, value.Compare)
		if got := bytes.Compare(encode(as), encode(bs)); got != want {
			t.Fatalf("encodings of %v and %v compare as %d, want %d", as, bs, got, want)
		}
		if want != 0 && len(as) == 1 && bytes.HasPrefix(encode(as), encode(bs)) {
			t.Fatalf("the encoding of %v is a prefix of that of %v", bs, as)
		}
	})
}

func encode(vs []value.Value) []byte {
	var b []byte
	for _, v := range vs {
		b = v.AppendOrdered(b)
	}
	return b
}

func TestRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := genValue.Draw(t, "value")
		tail := rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "tail")
		got, rest, err := value.DecodeOrdered(append(v.AppendOrdered(nil), tail...))
		if err != nil || got != v || !bytes.Equal(rest, tail) {
			t.Fatalf("DecodeOrdered gave %v, % x, %v; want %v, % x", got, rest, err, v, tail)
		}
		if got, err := value.Parse(v.Kind(), v.String()); err != nil || got != v {
			t.Fatalf("Parse(%s, %q) = %v, %v", v.Kind(), v.String(), got, err)
		}
		if got, err := value.Convert(v.Any(), v.Kind()); err != nil || got != v {
			t.Fatalf("Convert(%#v, %s) = %v, %v", v.Any(), v.Kind(), got, err)
		}
	})
}

// TestConvertLosesNothing: whatever converts to another kind converts back to
// the same value, except that text has several spellings.
func TestConvertLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, k := genValue.Draw(t, "value"), genKind.Draw(t, "kind")
		to, err := value.Convert(v, k)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "value: converting "+v.Kind().String()) || !strings.Contains(err.Error(), k.String()) {
				t.Fatalf("the error does not name the kinds %s and %s: %v", v.Kind(), k, err)
			}
			return
		}
		if v.IsNull() {
			if !to.IsNull() {
				t.Fatalf("NULL became %v", to)
			}
			return
		}
		if to.Kind() != k {
			t.Fatalf("Convert(%v, %s) has kind %s", v, k, to.Kind())
		}
		switch v.Kind() {
		case value.KindText, value.KindBytes, value.KindOpaque:
			if k != value.KindText && k != value.KindBytes && k != value.KindOpaque {
				return
			}
		}
		if k == value.KindBytes {
			t.Skip("only texts become bytes, and they are checked as texts")
		}
		back, err := value.Convert(to, v.Kind())
		if v.Kind() == value.KindBytes || v.Kind() == value.KindOpaque {
			return // their text form may differ from their bytes
		}
		if err != nil || back != v {
			t.Fatalf("%s %v became %s %v and then %v, %v", v.Kind(), v, k, to, back, err)
		}
	})
}

type (
	color  string
	count  int16
	flag   bool
	stamp  time.Time
	digest [3]byte
	broken struct{}
)

func (broken) Value() (driver.Value, error) { return nil, errors.New("broken") }

func TestOf(t *testing.T) {
	at := time.Date(2024, 2, 29, 12, 0, 0, 5, time.FixedZone("", 3600))
	seven := 7
	pseven := &seven
	for _, tt := range []struct {
		in   any
		want value.Value
	}{
		{nil, value.Null()},
		{(*int)(nil), value.Null()},
		{(*time.Time)(nil), value.Null()},
		{(*sql.NullString)(nil), value.Null()}, // a Valuer by value: calling it would panic
		{[]byte(nil), value.Null()},
		{json.RawMessage(nil), value.Null()},
		{sql.NullString{}, value.Null()},
		{sql.NullString{String: "x", Valid: true}, value.Text("x")},
		{sql.Null[int]{V: 3, Valid: true}, value.Int(3)},
		{7, value.Int(7)},
		{int8(7), value.Int(7)},
		{int16(7), value.Int(7)},
		{int32(7), value.Int(7)},
		{int64(7), value.Int(7)},
		{uint(7), value.Int(7)},
		{uint8(7), value.Int(7)},
		{uint16(7), value.Int(7)},
		{uint32(7), value.Int(7)},
		{uint64(7), value.Int(7)},
		{&pseven, value.Int(7)},
		{uint64(math.MaxUint64), must(value.ParseDecimal("18446744073709551615"))},
		{float32(0.5), value.Float(0.5)},
		{0.5, value.Float(0.5)},
		{math.Copysign(0, -1), value.Float(0)},
		{"x", value.Text("x")},
		{color("x"), value.Text("x")},
		{count(3), value.Int(3)},
		{flag(true), value.Bool(true)},
		{true, value.Bool(true)},
		{[]byte("x"), value.Bytes([]byte("x"))},
		{json.RawMessage("{}"), value.Bytes([]byte("{}"))},
		{digest{1, 2, 3}, value.Bytes([]byte{1, 2, 3})},
		{at, value.Time(at.UTC())},
		{&at, value.Time(at)},
		{stamp(at), value.Time(at)},
		{value.Int(1), value.Int(1)},
	} {
		if got, err := value.Of(tt.in); err != nil || got != tt.want {
			t.Errorf("Of(%#v) = %s %v, %v; want %s %v", tt.in, got.Kind(), got, err, tt.want.Kind(), tt.want)
		}
	}
	for _, in := range []any{struct{ A int }{}, []string{"a"}, map[string]int{}, complex(1, 1), func() {}, broken{}} {
		if got, err := value.Of(in); err == nil {
			t.Errorf("Of(%T) = %v, want an error", in, got)
		}
	}
}

func TestConvert(t *testing.T) {
	dec := func(s string) value.Value { return must(value.ParseDecimal(s)) }
	at := time.Date(2024, 2, 29, 12, 30, 0, 0, time.UTC)
	for _, tt := range []struct {
		in   any
		kind value.Kind
		want value.Value
	}{
		{7, value.KindDecimal, dec("7")},
		{7, value.KindFloat, value.Float(7)},
		{7, value.KindText, value.Text("7")},
		{7.0, value.KindInt, value.Int(7)},
		{"7", value.KindInt, value.Int(7)},
		{[]byte("7"), value.KindInt, value.Int(7)},
		{1e23, value.KindDecimal, dec("1e23")},
		{0.1, value.KindDecimal, dec("0.1")},
		{dec("0.10"), value.KindFloat, value.Float(0.1)},
		{dec("1e23"), value.KindFloat, value.Float(1e23)},
		{dec("7.0"), value.KindInt, value.Int(7)},
		{dec("-9223372036854775808"), value.KindInt, value.Int(math.MinInt64)},
		{"1.50", value.KindDecimal, dec("1.5")},
		{"NaN", value.KindFloat, value.Float(math.NaN())},
		{math.Inf(-1), value.KindDecimal, dec("-Infinity")},
		{dec("NaN"), value.KindFloat, value.Float(math.NaN())},
		{1, value.KindBool, value.Bool(true)},
		{0, value.KindBool, value.Bool(false)},
		{"t", value.KindBool, value.Bool(true)},
		{true, value.KindInt, value.Int(1)},
		{false, value.KindText, value.Text("false")},
		{"x", value.KindBytes, value.Bytes([]byte("x"))},
		{[]byte("x"), value.KindText, value.Text("x")},
		{"2024-02-29T12:30:00Z", value.KindTime, value.Time(at)},
		{"2024-02-29T13:30:00+01:00", value.KindTime, value.Time(at)},
		{"2024-02-29 12:30:00", value.KindTime, value.Time(at)},
		{"2024-02-29 12:30", value.KindTime, value.Time(at)},
		{"2024-02-29 14:30:00.000+02", value.KindTime, value.Time(at)},
		{"2024-02-29 14:30:00.5+02:00", value.KindTime, value.Time(at.Add(time.Second / 2))},
		{"2024-02-29", value.KindTime, value.Time(at.Truncate(24 * time.Hour))},
		{at.In(time.FixedZone("", 3600)), value.KindText, value.Text("2024-02-29T12:30:00Z")},
		{map[string]int{"b": 1, "a": 2}, value.KindOpaque, must(value.Parse(value.KindOpaque, `{"a":2,"b":1}`))},
		{json.RawMessage(`{}`), value.KindOpaque, must(value.Parse(value.KindOpaque, `{}`))},
		{nil, value.KindOpaque, value.Null()},
	} {
		if got, err := value.Convert(tt.in, tt.kind); err != nil || got != tt.want {
			t.Errorf("Convert(%#v, %s) = %v, %v; want %v", tt.in, tt.kind, got, err, tt.want)
		}
	}
	for _, tt := range []struct {
		in   any
		kind value.Kind
	}{
		{1.5, value.KindInt},
		{math.NaN(), value.KindInt},
		{9223372036854775808.0, value.KindInt},
		{"7 ", value.KindInt},
		{"", value.KindInt},
		{dec("0.5"), value.KindInt},
		{dec("9223372036854775808"), value.KindInt},
		{dec("1e400"), value.KindFloat},
		{dec("0.1000000000000000055511151231257827"), value.KindFloat},
		{int64(1<<53 + 1), value.KindFloat},
		{int64(math.MaxInt64), value.KindFloat},
		{2, value.KindBool},
		{"yes", value.KindBool},
		{7, value.KindTime},
		{7, value.KindBytes},
		{time.Now(), value.KindInt},
		{true, value.KindTime},
		{"today", value.KindTime},
		{"0x10", value.KindFloat},
		{"1_000", value.KindFloat},
		{"1e999", value.KindFloat},
		{"1_000", value.KindInt},
		{7, value.KindNull},
		{make(chan int), value.KindOpaque},
		{make(chan int), value.KindInt},
	} {
		if got, err := value.Convert(tt.in, tt.kind); err == nil {
			t.Errorf("Convert(%#v, %s) = %v, want an error", tt.in, tt.kind, got)
		}
	}
}

func TestErrorsAreShortAndNameTheValue(t *testing.T) {
	_, err := value.Convert(strings.Repeat("é", 1000), value.KindInt)
	if err == nil || len(err.Error()) > 200 || !strings.Contains(err.Error(), "as int") {
		t.Errorf("got %v", err)
	}
	_, err = value.Convert("seven", value.KindInt)
	if want := `value: converting text "seven" as int: not an integer`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestParseIsStrict(t *testing.T) {
	for _, tt := range []struct {
		kind value.Kind
		text string
	}{
		{value.KindInt, "7 "},
		{value.KindInt, "+7"},
		{value.KindInt, ""},
		{value.KindInt, "7.0"},
		{value.KindInt, "9223372036854775808"},
		{value.KindFloat, " 7"},
		{value.KindFloat, "+7"},
		{value.KindFloat, "0x1p1"},
		{value.KindDecimal, "+7"},
		{value.KindDecimal, "."},
		{value.KindDecimal, "1e"},
		{value.KindDecimal, "1e+"},
		{value.KindDecimal, "1e99999999999"},
		{value.KindDecimal, "--1"},
		{value.KindBool, "t"},
		{value.KindBool, "TRUE"},
		{value.KindBool, ""},
		{value.KindBytes, "0"},
		{value.KindBytes, "\\x00"},
		{value.KindTime, "2024-02-29"},
		{value.KindTime, "2024-02-30T00:00:00Z"},
		{value.KindTime, "+99999999999-01-01T00:00:00Z"},
		{value.KindNull, ""},
		{value.Kind(200), "x"},
	} {
		if got, err := value.Parse(tt.kind, tt.text); err == nil {
			t.Errorf("Parse(%s, %q) = %v, want an error", tt.kind, tt.text, got)
		}
	}
}

func TestDecimalText(t *testing.T) {
	for in, want := range map[string]string{
		"1.50": "1.5", "15e-1": "1.5", "00.0150": "0.015", "-0": "0", "-0.0e5": "0", "100": "100", "1e2": "100", "-12.5": "-12.5",
		".5": "0.5", "5.": "5", "1E+3": "1000", "+1": "1", "1e60": "1e60", "12e60": "1.2e61", "1e-60": "1e-60", "nan": "NaN", "-inf": "-Infinity",
	} {
		if got, err := value.ParseDecimal(in); err != nil || got.String() != want {
			t.Errorf("ParseDecimal(%q) = %v, %v; want %s", in, got, err, want)
		}
	}
	if _, err := value.ParseDecimal(strings.Repeat("1", 1<<19)); err == nil {
		t.Error("a decimal of half a megabyte was accepted")
	}
}

func TestYearsBeyondFourDigits(t *testing.T) {
	for year, want := range map[int]string{
		10000: "+10000-02-29T00:00:00Z", -44: "-0044-02-29T00:00:00Z", 294276: "+294276-02-29T00:00:00Z", 0: "0000-02-29T00:00:00Z",
	} {
		at := time.Date(year, 2, 29, 0, 0, 0, 0, time.UTC)
		if got := value.Time(at).String(); got != want {
			t.Errorf("year %d: got %s, want %s", year, got, want)
		}
	}
}

func TestAppendOrderedDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 256)
	vals := []value.Value{value.Int(7), value.Text("a\x00b"), value.Float(1), value.Time(time.Now()), must(value.ParseDecimal("-1.25"))}
	if n := testing.AllocsPerRun(100, func() {
		b := buf
		for _, v := range vals {
			b = v.AppendOrdered(b)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	a, b := must(value.ParseDecimal("1.25")), must(value.ParseDecimal("1.26"))
	if n := testing.AllocsPerRun(100, func() { value.Compare(a, b) }); n != 0 {
		t.Errorf("Compare: %v allocations", n)
	}
}

func TestDecodeOrderedRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing": {}, "no tag": {0}, "unknown tag": {99}, "short int": {3, 0}, "bool 2": {2, 2},
		"text without end": {6, 'a'}, "text with a lone zero": {6, 0}, "bad escape": {6, 0, 7},
		"nanoseconds": {8, 128, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, "decimal class": {5, 9},
		"decimal without digits": {5, 3, 128, 0, 0, 1, 0}, "leading zero": {5, 3, 128, 0, 0, 1, 6, 0}, "trailing zeros": {5, 3, 128, 0, 0, 1, 11, 1, 0},
		"negative zero": {4, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		if v, rest, err := value.DecodeOrdered(b); err == nil || !v.IsNull() || !bytes.Equal(rest, b) {
			t.Errorf("%s: got %v, % x, %v", name, v, rest, err)
		}
	}
}

// FuzzDecodeOrdered: whatever decodes is encoded as the very same bytes.
func FuzzDecodeOrdered(f *testing.F) {
	for _, v := range []value.Value{
		value.Null(), value.Bool(true), value.Int(-1), value.Float(1.5), must(value.ParseDecimal("-12.345e7")),
		value.Text("a\x00b"), value.Bytes(nil), value.Time(time.Unix(1, 2)), must(value.ParseDecimal("nan")),
	} {
		f.Add(v.AppendOrdered(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, rest, err := value.DecodeOrdered(b)
		if err != nil {
			return
		}
		if got := append(v.AppendOrdered(nil), rest...); !bytes.Equal(got, b) {
			t.Fatalf("% x decodes as %s %v, which encodes as % x", b, v.Kind(), v, got)
		}
		_, _ = v.String(), v.Any()
	})
}

// FuzzParseDecimal: texts are read as math/big reads them, and written so that
// they read back the same.
func FuzzParseDecimal(f *testing.F) {
	for _, s := range []string{"0", "-1.50", "1e10", ".5", "5.", "+7E-3", "NaN", "-inf", "1_0", "0x1", "1/2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := value.ParseDecimal(s)
		if err != nil {
			return
		}
		if again, err := value.ParseDecimal(v.String()); err != nil || again != v {
			t.Fatalf("%q gives %v, which gives %v, %v", s, v, again, err)
		}
		if strings.ContainsAny(s, "nN") || hugeExponent(v) || len(s) > 1000 {
			return
		}
		if _, exp, ok := strings.Cut(strings.ToLower(s), "e"); ok && len(exp) > 5 {
			return // zero with an exponent that math/big would work on for minutes
		}
		if rat(s).Cmp(rat(v.String())) != 0 {
			t.Fatalf("%q gives %v", s, v)
		}
	})
}

func BenchmarkAppendOrdered(b *testing.B) {
	vals := map[string]value.Value{
		"int": value.Int(1 << 40), "text": value.Text("a product's name"),
		"decimal": must(value.ParseDecimal("1234.56")), "time": value.Time(time.Unix(1e9, 0)),
	}
	for name, v := range vals {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 0, 64)
			b.ReportAllocs()
			for b.Loop() {
				buf = v.AppendOrdered(buf[:0])
			}
		})
	}
}

// FuzzParse: whatever text is read as a value, the value's own text is read as
// the same one.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"null", "true", "-7", "1e23", "Infinity", "00ff", "2024-02-29T12:00:00.5+01:00", "-0044-03-15T00:00:00Z", "0000-01-01T00:00:00+23:59"} {
		for k := value.KindNull; k <= value.KindOpaque; k++ {
			f.Add(uint8(k), s)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, s string) {
		v, err := value.Parse(value.Kind(kind), s)
		if err != nil {
			return
		}
		if again, err := value.Parse(v.Kind(), v.String()); err != nil || again != v {
			t.Fatalf("%q as %s gives %v, which gives %v, %v", s, value.Kind(kind), v, again, err)
		}
	})
}
