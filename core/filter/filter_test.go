package filter_test

import (
	"cmp"
	"database/sql"
	"errors"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// columns of the tests' table.
var columns = []struct {
	name string
	kind value.Kind
}{
	{"flag", value.KindBool},
	{"n", value.KindInt},
	{"f", value.KindFloat},
	{"price", value.KindDecimal},
	{"name", value.KindText},
	{"raw", value.KindBytes},
	{"at", value.KindTime},
}

func find(name string) (int, value.Kind, bool) {
	for i, c := range columns {
		if c.name == name {
			return i, c.kind, true
		}
	}
	return 0, 0, false
}

func kindOf(name string) (value.Kind, bool) {
	_, kind, ok := find(name)
	return kind, ok
}

// row is a row in Go's own types, in the order of columns; nil is NULL.
type row []any

func (r row) get(i int) value.Value {
	v, err := value.Convert(r[i], columns[i].kind)
	if err != nil {
		panic(err)
	}
	return v
}

// The model: a second evaluation, on Go's own types, with *bool for truths and
// the rules of SQL spelled out.

func model(e filter.Expr, r row) *bool {
	yes, no := true, false
	lift := func(b bool) *bool {
		if b {
			return &yes
		}
		return &no
	}
	negate := func(t *bool) *bool {
		if t == nil {
			return nil
		}
		return lift(!*t)
	}
	col := func(name string) any { i, _, _ := find(name); return r[i] }
	compare := func(name string, literal any) *int {
		if col(name) == nil {
			return nil
		}
		c := compareNative(col(name), literal.(value.Value))
		return &c
	}
	switch e := e.(type) {
	case *filter.NullTest:
		return lift((col(e.Column) == nil) != e.Negated)
	case *filter.Comparison:
		c := compare(e.Column, e.Value)
		if c == nil {
			return nil
		}
		switch e.Op.String() {
		case "=":
			return lift(*c == 0)
		case "<>":
			return lift(*c != 0)
		case "<":
			return lift(*c < 0)
		case "<=":
			return lift(*c <= 0)
		case ">":
			return lift(*c > 0)
		default:
			return lift(*c >= 0)
		}
	case *filter.Membership:
		// By definition a chain of OR over equalities.
		var chain []filter.Expr
		for _, v := range e.Values {
			chain = append(chain, filter.Eq(e.Column, v))
		}
		t := model(&filter.Disjunction{Exprs: chain}, r)
		if e.Negated {
			return negate(t)
		}
		return t
	case *filter.Search:
		if col(e.Column) == nil {
			return nil
		}
		text, sought := col(e.Column).(string), e.Text.(value.Value).String()
		if e.Fold { // the tests' texts have no other letters that have cases and lengths in common
			ascii := func(r rune) rune {
				if r < 0x80 {
					return unicode.ToLower(r)
				}
				return r
			}
			text, sought = strings.Map(ascii, text), strings.Map(ascii, sought)
		}
		if e.Prefix {
			return lift(strings.Index(text, sought) == 0)
		}
		return lift(strings.Count(text, sought) > 0)
	case *filter.Negation:
		return negate(model(e.Expr, r))
	case *filter.Conjunction:
		unknown := false
		for _, part := range e.Exprs {
			switch t := model(part, r); {
			case t == nil:
				unknown = true
			case !*t:
				return lift(false)
			}
		}
		if unknown {
			return nil
		}
		return lift(true)
	case *filter.Disjunction:
		unknown := false
		for _, part := range e.Exprs {
			switch t := model(part, r); {
			case t == nil:
				unknown = true
			case *t:
				return lift(true)
			}
		}
		if unknown {
			return nil
		}
		return lift(false)
	}
	panic("unknown expression")
}

func compareNative(a any, literal value.Value) int {
	b := literal.Any()
	switch a := a.(type) {
	case bool:
		n := map[bool]int{true: 1}
		return cmp.Compare(n[a], n[b.(bool)])
	case int64:
		return cmp.Compare(a, b.(int64))
	case float64:
		return -cmp.Compare(-a, -b.(float64)) // NaN is the greatest
	case []byte:
		return slices.Compare(a, b.([]byte))
	case time.Time:
		return a.Compare(b.(time.Time))
	case string:
		if ra, ok := new(big.Rat).SetString(a); ok && literal.Kind() == value.KindDecimal {
			rb, _ := new(big.Rat).SetString(b.(string))
			return ra.Cmp(rb)
		}
		return cmp.Compare(a, b.(string))
	}
	panic("unknown type")
}

// genNative draws a value of a column from a small set, so that equal ones meet.
func genNative(kind value.Kind) *rapid.Generator[any] {
	at := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	all := map[value.Kind][]any{
		value.KindBool:    {true, false},
		value.KindInt:     {int64(0), int64(1), int64(-1), int64(1) << 53, int64(1)<<53 + 1, int64(math.MaxInt64), int64(math.MinInt64)},
		value.KindFloat:   {0.0, math.Copysign(0, -1), 1.5, -1.5, math.NaN(), math.Inf(1), math.Inf(-1)},
		value.KindDecimal: {"0", "-0.0", "1.5", "1.50", "9007199254740993", "9007199254740992", "0.1"},
		value.KindText:    {"", " ", "a", "a ", "A", "é", "É", "e\u0301", "z\x00", "xAé%"},
		value.KindBytes:   {[]byte{}, []byte{0}, []byte("a"), []byte{0xff}},
		value.KindTime:    {at, at.Add(1), at.In(time.FixedZone("", 3600)), at.AddDate(-3000, 0, 0), time.Time{}},
	}
	return rapid.SampledFrom(all[kind])
}

var genRow = rapid.Custom(func(t *rapid.T) row {
	r := make(row, len(columns))
	for i, c := range columns {
		if rapid.IntRange(0, 3).Draw(t, "null") > 0 {
			r[i] = genNative(c.kind).Draw(t, c.name)
		}
	}
	return r
})

func genExpr(depth int) *rapid.Generator[filter.Expr] {
	return rapid.Custom(func(t *rapid.T) filter.Expr {
		if depth > 0 && rapid.Bool().Draw(t, "group") {
			parts := rapid.SliceOfN(genExpr(depth-1), 0, 3).Draw(t, "parts")
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				return filter.And(parts...)
			case 1:
				return filter.Or(parts...)
			default:
				return filter.Not(genExpr(depth-1).Draw(t, "part"))
			}
		}
		c := rapid.SampledFrom(columns).Draw(t, "column")
		literal := func() any {
			v, err := value.Convert(genNative(c.kind).Draw(t, "literal"), c.kind)
			if err != nil {
				panic(err)
			}
			return v
		}
		test := rapid.IntRange(0, 7).Draw(t, "test")
		if test == 7 && c.kind == value.KindText {
			search := rapid.SampledFrom([]func(string, any) filter.Expr{
				filter.Contains, filter.ContainsFold, filter.HasPrefix, filter.HasPrefixFold,
			}).Draw(t, "search")
			return search(c.name, rapid.SampledFrom([]string{"", "a", "A", "aé", "É", "%", " "}).Draw(t, "text"))
		}
		switch test {
		case 0:
			return filter.IsNull(c.name)
		case 1:
			return filter.NotNull(c.name)
		case 2, 3:
			values := make([]any, rapid.SampledFrom([]int{0, 1, 3, 12}).Draw(t, "values"))
			for i := range values {
				values[i] = literal()
			}
			if rapid.Bool().Draw(t, "negated") {
				return filter.NotIn(c.name, values...)
			}
			return filter.In(c.name, values...)
		default:
			op := rapid.SampledFrom([]func(string, any) filter.Expr{
				filter.Eq, filter.Ne, filter.Lt, filter.Le, filter.Gt, filter.Ge,
			}).Draw(t, "op")
			return op(c.name, literal())
		}
	})
}

func TestEvalAgainstTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := genExpr(3).Draw(t, "expr")
		p, err := filter.Compile(e, find)
		if err != nil {
			t.Fatalf("%v: %v", e, err)
		}
		for range 5 {
			r := genRow.Draw(t, "row")
			want := filter.Unknown
			if m := model(e, r); m != nil {
				want = map[bool]filter.Truth{true: filter.True, false: filter.False}[*m]
			}
			if got := p.Eval(r.get); got != want {
				t.Fatalf("%v of %v is %v, want %v", e, r, got, want)
			}
		}
	})
}

// TestEqualTextMeansEqualMeaning: expressions with the same text have the same
// truth for every row.
func TestEqualTextMeansEqualMeaning(t *testing.T) {
	seen := make(map[string]filter.Expr)
	rapid.Check(t, func(t *rapid.T) {
		e := genExpr(1).Draw(t, "expr")
		other, ok := seen[e.String()]
		if !ok {
			seen[e.String()] = e
			return
		}
		r := genRow.Draw(t, "row")
		a, err := filter.Compile(e, find)
		b, otherErr := filter.Compile(other, find)
		if err != nil || otherErr != nil || a.Eval(r.get) != b.Eval(r.get) {
			t.Fatalf("%v has two meanings", e)
		}
	})
}

func TestThreeValuedLogic(t *testing.T) {
	truths := map[filter.Truth]filter.Expr{
		filter.False: filter.Or(), filter.Unknown: filter.Eq("n", 1), filter.True: filter.And(),
	}
	const F, U, T = filter.False, filter.Unknown, filter.True
	for _, tt := range []struct{ a, b, and, or filter.Truth }{
		{F, F, F, F},
		{F, U, F, U},
		{F, T, F, T},
		{U, F, F, U},
		{U, U, U, U},
		{U, T, U, T},
		{T, F, F, T},
		{T, U, U, T},
		{T, T, T, T},
	} {
		for e, want := range map[filter.Expr]filter.Truth{
			filter.And(truths[tt.a], truths[tt.b]): tt.and,
			filter.Or(truths[tt.a], truths[tt.b]):  tt.or,
			filter.Not(truths[tt.a]):               map[filter.Truth]filter.Truth{F: T, U: U, T: F}[tt.a],
		} {
			if got := eval(t, e, row{nil, nil, nil, nil, nil, nil, nil}); got != want {
				t.Errorf("%v is %v, want %v", e, got, want)
			}
		}
	}
}

func eval(t *testing.T, e filter.Expr, r row) filter.Truth {
	t.Helper()
	p, err := filter.Compile(e, find)
	if err != nil {
		t.Fatalf("%v: %v", e, err)
	}
	return p.Eval(r.get)
}

func TestEval(t *testing.T) {
	r := row{true, int64(5), math.NaN(), "1.50", "é", nil, time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)}
	for _, tt := range []struct {
		e    filter.Expr
		want filter.Truth
	}{
		{nil, filter.True},
		{filter.Eq("n", int8(5)), filter.True},
		{filter.Eq("n", 5.0), filter.True},
		{filter.Eq("n", "5"), filter.True},
		{filter.Between("n", 5, 6), filter.True},
		{filter.Between("n", 6, 5), filter.False},
		{filter.Eq("flag", true), filter.True},
		{filter.Gt("flag", false), filter.True},
		{filter.Eq("flag", 1), filter.True},
		{filter.Eq("f", math.NaN()), filter.True},
		{filter.Gt("f", math.Inf(1)), filter.True},
		{filter.Lt("f", 1), filter.False},
		{filter.Eq("price", 1.5), filter.True},
		{filter.Lt("price", "1.51"), filter.True},
		{filter.In("price", 1, "1.5"), filter.True},
		{filter.Eq("name", "e\u0301"), filter.False},
		{filter.Eq("at", time.Date(2024, 1, 1, 1, 0, 0, 0, time.FixedZone("", 3600))), filter.True},
		{filter.Ge("at", "2024-01-01"), filter.True},
		{filter.Eq("raw", []byte{}), filter.Unknown},
		{filter.In("raw"), filter.False},
		{filter.NotIn("raw"), filter.True},
		{filter.NotIn("raw", []byte{}), filter.Unknown},
		{filter.IsNull("raw"), filter.True},
		{filter.NotNull("raw"), filter.False},
	} {
		if got := eval(t, tt.e, r); got != tt.want {
			t.Errorf("%v is %v, want %v", tt.e, got, tt.want)
		}
	}
}

func TestCheckFindsEverything(t *testing.T) {
	var nobody *string
	e := filter.And(
		filter.Eq("nmae", 1),
		filter.Or(filter.Lt("n", 1.5), filter.Gt("nmae", 2), nil),
		filter.Not(filter.In("name", "a", nil)),
		filter.Eq("name", nobody), filter.Eq("name", sql.NullString{}),
		filter.Eq("n", uint64(math.MaxUint64)),
		filter.NotIn("at", struct{}{}, "yesterday"),
		filter.IsNull("odd"),
		&filter.Comparison{Column: "n", Op: 42, Value: 1},
		filter.Not(nil),
	)
	err := filter.Check(e, kindOf)
	want := []string{
		`filter: unknown column "nmae"`,
		`filter: comparing column "n": value: converting float "1.5" as int: it would not be the same value`,
		`filter: a part of the expression is nil`,
		`filter: comparing column "name": nothing compares with NULL; use IsNull or NotNull`,
		`filter: comparing column "name": nothing compares with NULL; use IsNull or NotNull`,
		`filter: comparing column "name": nothing compares with NULL; use IsNull or NotNull`,
		`filter: comparing column "n": value: converting decimal "18446744073709551615" as int: it would not be the same value`,
		`filter: comparing column "at": value: no column holds a struct {}`,
		`filter: comparing column "at": value: converting text "yesterday" as time: not a time as in RFC 3339 or SQL`,
		`filter: unknown column "odd"`,
		`filter: comparing column "n": no operator has the number 42`,
		`filter: a part of the expression is nil`,
	}
	if err == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("got\n%v\nwant\n%s", err, strings.Join(want, "\n"))
	}
	var unknown *filter.UnknownColumnError
	if !errors.As(err, &unknown) || unknown.Column != "nmae" {
		t.Errorf("no UnknownColumnError: %v", unknown)
	}
	if _, compileErr := filter.Compile(e, find); compileErr == nil || compileErr.Error() != err.Error() {
		t.Errorf("Compile says %v", compileErr)
	}
	for _, e := range []filter.Expr{nil, (*filter.Negation)(nil), filter.And(), filter.Eq("n", "7")} {
		if err := filter.Check(e, kindOf); err != nil {
			t.Errorf("%v: %v", e, err)
		}
	}
}

func TestString(t *testing.T) {
	at := time.Date(2024, 1, 1, 1, 0, 0, 0, time.FixedZone("", 3600))
	for _, tt := range []struct {
		e    filter.Expr
		want string
	}{
		{filter.And(filter.Eq("n", int32(7)), filter.Not(filter.Lt("price", 1.5))), `(n = 7 and not (price < float(1.5)))`},
		{filter.Or(filter.IsNull("a b"), filter.NotNull("and")), `("a b" is null or "and" is not null)`},
		{filter.In("n", 2, int8(1), 2), `n in (1, 2)`},
		{filter.NotIn("name", "a, b", "c"), `name not in ("a, b", "c")`},
		{filter.Eq("name", "7"), `name = "7"`},
		{filter.Eq("name", true), `name = true`},
		{filter.Ne("raw", []byte{1, 255}), `raw <> bytes(01ff)`},
		{filter.Ge("at", at), `at >= time(2024-01-01T00:00:00Z)`},
		{filter.Gt("price", uint64(math.MaxUint64)), `price > decimal(18446744073709551615)`},
		{filter.Le("n", nil), `n <= null`},
		{filter.Eq("n", struct{}{}), `n = invalid(struct {})`},
		{filter.And(), `true`},
		{filter.Or(), `false`},
		{filter.In("n"), `n in ()`},
		{filter.And(nil, filter.Not(nil)), `(nil and not (nil))`},
		{filter.And(filter.Eq("n", 1)), `n = 1`},
	} {
		if got := tt.e.String(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

// TestLiteralsAreReadOnce: what the user does with a literal later leaves the
// expression as it was.
func TestLiteralsAreReadOnce(t *testing.T) {
	n, raw := 1, []byte("a")
	list := []any{&n}
	e := filter.And(filter.Eq("n", &n), filter.Eq("raw", raw), filter.In("n", list...))
	before := e.String()
	n, raw[0], list[0] = 2, 'b', 3
	if after := e.String(); after != before {
		t.Errorf("%s became %s", before, after)
	}
}

func TestColumns(t *testing.T) {
	e := filter.And(filter.Eq("b", 1), filter.Not(filter.Or(filter.IsNull("a"), filter.In("b", 2))), nil)
	if got := filter.Columns(e); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %q", got)
	}
	if got := filter.Columns(nil); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

func TestIsExact(t *testing.T) {
	exactness := func(column string) filter.Exactness {
		return map[string]filter.Exactness{"all": filter.Exact, "eq": filter.ExactEqual, "order": filter.ExactOrder}[column]
	}
	for _, tt := range []struct {
		e    filter.Expr
		want bool
	}{
		{nil, true},
		{filter.And(filter.Eq("all", 1), filter.Lt("all", 1)), true},
		{filter.And(filter.Eq("eq", 1), filter.Ne("eq", 1), filter.In("eq", 1), filter.NotIn("eq", 1)), true},
		{filter.Le("eq", 1), false},
		{filter.Gt("order", 1), true},
		{filter.Eq("order", 1), false},
		{filter.Eq("none", 1), false},
		{filter.Not(filter.Or(filter.Eq("all", 1), filter.Eq("none", 1))), false},
		{filter.IsNull("none"), false},
		{filter.NotNull("none"), false},
		{filter.And(filter.IsNull("eq"), filter.NotNull("order")), true},
		{filter.In("none"), true},
		{filter.In("none", 1), false},
	} {
		if got := filter.IsExact(tt.e, exactness); got != tt.want {
			t.Errorf("%v: got %t", tt.e, got)
		}
	}
	for x, want := range map[filter.Exactness]string{0: "none", filter.ExactEqual: "equal", filter.ExactOrder: "order", filter.Exact: "exact"} {
		if x.String() != want {
			t.Errorf("%d is %q", x, x.String())
		}
	}
}

func TestEvalDoesNotAllocate(t *testing.T) {
	values := make([]any, 100)
	for i := range values {
		values[i] = i
	}
	e := filter.And(filter.In("n", values...), filter.Or(filter.Eq("name", "x"), filter.Lt("price", "3.5")), filter.Not(filter.IsNull("at")))
	p, err := filter.Compile(e, find)
	if err != nil {
		t.Fatal(err)
	}
	r := row{true, int64(5), 1.0, "1.5", "é", nil, time.Now()}
	vals := make([]value.Value, len(r))
	for i := range r {
		vals[i] = r.get(i)
	}
	get := func(i int) value.Value { return vals[i] }
	if n := testing.AllocsPerRun(100, func() { p.Eval(get) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkMembership tells from how many literals on hashing pays.
func BenchmarkMembership(b *testing.B) {
	for name, n := range map[string]int{"4": 4, "8": 8, "9": 9, "16": 16, "1000": 1000} {
		b.Run(name, func(b *testing.B) {
			values := make([]any, n)
			for i := range values {
				values[i] = "a product's name " + string(rune('a'+i))
			}
			p, err := filter.Compile(filter.In("name", values...), find)
			if err != nil {
				b.Fatal(err)
			}
			get := func(int) value.Value { return value.Text("a product's name ?") }
			b.ReportAllocs()
			for b.Loop() {
				p.Eval(get)
			}
		})
	}
}
