package index

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

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

// row is a row in Go's own types, in the order of columns; nil is NULL.
type row []any

func (r row) get(i int) value.Value {
	v, err := value.Convert(r[i], columns[i].kind)
	if err != nil {
		panic(err)
	}
	return v
}

// genNative draws a value of a column, in one of several Go types, from a set
// so small that equal ones meet.
func genNative(kind value.Kind) *rapid.Generator[any] {
	at := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	all := map[value.Kind][]any{
		value.KindBool:    {true, false, 1, "f"},
		value.KindInt:     {0, int8(1), -1, int64(1) << 53, int64(1)<<53 + 1, int64(math.MaxInt64), int64(math.MinInt64), 5.0, "5"},
		value.KindFloat:   {0.0, math.Copysign(0, -1), 1.5, -1.5, math.NaN(), -math.NaN(), math.Inf(1), math.Inf(-1), 5},
		value.KindDecimal: {"0", "-0.0", 1.5, "1.50", uint64(math.MaxUint64), int64(1) << 53, "9007199254740993", "9007199254740992", 0.1, "-7e30"},
		value.KindText:    {"", " ", "a", "a ", "A", "é", "e\u0301", "z\x00", "ab", "b", "\xff", "\xffa"},
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

func genLeaf(ops ...func(string, any) filter.Expr) *rapid.Generator[filter.Expr] {
	return rapid.Custom(func(t *rapid.T) filter.Expr {
		c := rapid.SampledFrom(columns).Draw(t, "column")
		literal := genNative(c.kind)
		switch rapid.IntRange(0, 6).Draw(t, "test") {
		case 0:
			return filter.IsNull(c.name)
		case 1, 2:
			return filter.In(c.name, rapid.SliceOfN(literal, 0, 5).Draw(t, "values")...)
		default:
			return rapid.SampledFrom(ops).Draw(t, "op")(c.name, literal.Draw(t, "literal"))
		}
	})
}

// genExpr draws any expression.
func genExpr(depth int) *rapid.Generator[filter.Expr] {
	leaf := genLeaf(filter.Eq, filter.Ne, filter.Lt, filter.Le, filter.Gt, filter.Ge)
	return rapid.Custom(func(t *rapid.T) filter.Expr {
		if depth > 0 {
			switch part := genExpr(depth - 1); rapid.IntRange(0, 6).Draw(t, "kind") {
			case 0, 1:
				return filter.And(rapid.SliceOfN(part, 0, 3).Draw(t, "parts")...)
			case 2, 3:
				return filter.Or(rapid.SliceOfN(part, 0, 3).Draw(t, "parts")...)
			case 4:
				return filter.Not(part.Draw(t, "part"))
			}
		}
		if rapid.IntRange(0, 5).Draw(t, "search") == 0 {
			return &filter.Search{
				Column: "name", Text: rapid.SampledFrom([]string{"", "a", "A", "é", "ab", "\U0010ffff"}).Draw(t, "text"),
				Prefix: rapid.IntRange(0, 3).Draw(t, "prefix") > 0, Fold: rapid.IntRange(0, 3).Draw(t, "fold") == 0,
			}
		}
		switch e := leaf.Draw(t, "leaf").(type) {
		case *filter.Membership:
			return &filter.Membership{Column: e.Column, Values: e.Values, Negated: rapid.Bool().Draw(t, "negated")}
		case *filter.NullTest:
			return &filter.NullTest{Column: e.Column, Negated: rapid.Bool().Draw(t, "negated")}
		default:
			return e
		}
	})
}

// genEqualities draws conjunctions of restrictions to values, which the index
// answers exactly.
var genEqualities = rapid.Custom(func(t *rapid.T) filter.Expr {
	return filter.And(rapid.SliceOfN(genLeaf(filter.Eq), 1, 2).Draw(t, "parts")...)
})

// genInterval draws intervals of one column, which it answers exactly, too.
var genInterval = rapid.Custom(func(t *rapid.T) filter.Expr {
	c := columns[rapid.SampledFrom([]int{1, 2, 3}).Draw(t, "column")]
	ops := rapid.SampledFrom([]func(string, any) filter.Expr{filter.Lt, filter.Le, filter.Gt, filter.Ge})
	parts := make([]filter.Expr, rapid.IntRange(1, 3).Draw(t, "parts"))
	for i := range parts {
		parts[i] = ops.Draw(t, "op")(c.name, genNative(c.kind).Draw(t, "literal"))
	}
	return filter.And(parts...)
})

// model is what the index stands for: all expressions, each evaluated.
type model map[int]*filter.Program

func (m model) match(r row) map[int]bool {
	found := make(map[int]bool)
	for v, p := range m {
		if p.Eval(r.get) == filter.True {
			found[v] = true
		}
	}
	return found
}

// check compares the index with the model for a row, and with itself.
func (m model) check(t *rapid.T, x *Index[int], r row, exact bool) {
	visited := make(map[int]bool)
	asked := make(map[int]bool)
	x.Match(func(column int) value.Value {
		if asked[column] {
			t.Fatalf("column %d was asked for twice", column)
		}
		asked[column] = true
		return r.get(column)
	}, func(v int) {
		if visited[v] {
			t.Fatalf("%d was visited twice", v)
		}
		visited[v] = true
		if m[v] == nil {
			t.Fatalf("%d was visited and is no member", v)
		}
	})
	want := m.match(r)
	if exact && !maps.Equal(visited, want) {
		t.Fatalf("visited %v for %v, want exactly %v", visited, r, want)
	}
	for v := range want {
		if !visited[v] {
			t.Fatalf("%d was not visited for %v", v, r)
		}
	}
	checkStructure(t, x)
	hashed, ranged, scanned := x.Stats()
	if n := hashed + ranged + scanned; n != len(m) {
		t.Fatalf("Stats tells of %d members, want %d", n, len(m))
	}
}

// checkStructure holds the invariants of the lists, the trees and the families.
func checkStructure(t *rapid.T, x *Index[int]) {
	total := 0
	for _, m := range x.members {
		for e := m.first; e != nil; e = e.sibling {
			total++
		}
	}
	if len(x.families) != len(x.bySign) {
		t.Fatalf("%d families, of which %d are known", len(x.families), len(x.bySign))
	}
	for i, f := range x.families {
		if f.at != i || x.bySign[f.sign] != f || f.entries == 0 {
			t.Fatalf("family %d: at %d, with %d entries", i, f.at, f.entries)
		}
		entries := 0
		list := func(first *entry[int]) {
			if first == nil || first.prev != nil {
				t.Fatalf("family %d: a list without a beginning", i)
			}
			for e := first; e != nil; e = e.next {
				entries++
				if e.next != nil && e.next.prev != e {
					t.Fatalf("family %d: a list is torn", i)
				}
			}
		}
		for _, first := range f.lists {
			list(first)
		}
		for _, root := range f.trees {
			if root == nil {
				t.Fatalf("family %d: an empty tree", i)
			}
			for _, n := range checkTree(t, root) {
				list(n.first)
			}
		}
		if entries != f.entries {
			t.Fatalf("family %d: %d entries found, %d counted", i, entries, f.entries)
		}
		total -= entries
	}
	if total != 0 {
		t.Fatalf("%d entries of members are in no family", total)
	}
	for i, c := range x.cells {
		if c != (cell{}) {
			t.Fatalf("column %d of the last row is held on to", i)
		}
	}
}

// checkTree returns the nodes in order.
func checkTree(t *rapid.T, n *node[int]) []*node[int] {
	if n == nil {
		return nil
	}
	nodes := slices.Concat(checkTree(t, n.left), []*node[int]{n}, checkTree(t, n.right))
	if n.leftLast != n.left.last() || n.rightLast != n.right.last() {
		t.Fatal("a tree's last end is stale")
	}
	last := n.span.hi
	for i, m := range nodes {
		if i > 0 && nodes[i-1].span.compare(&m.span) >= 0 {
			t.Fatal("a tree is out of order")
		}
		if m != n && m.weight > n.weight {
			t.Fatal("a tree is no heap")
		}
		if m.span.hi.compare(&last) > 0 {
			last = m.span.hi
		}
	}
	if n.last() != last {
		t.Fatal("a tree's last end is wrong")
	}
	return nodes
}

// TestAgainstEvaluatingAll: whatever is added and removed, every member whose
// expression is true is visited, and none twice.
func TestAgainstEvaluatingAll(t *testing.T) {
	for name, tt := range map[string]struct {
		expr  *rapid.Generator[filter.Expr]
		exact bool
	}{
		"any":        {genExpr(3), false},
		"equalities": {genEqualities, true},
		"intervals":  {genInterval, true},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				x, m := New[int](), make(model)
				member := rapid.IntRange(0, 20)
				t.Repeat(map[string]func(*rapid.T){
					"add": func(t *rapid.T) {
						v, e := member.Draw(t, "member"), tt.expr.Draw(t, "expr")
						p, err := filter.Compile(e, find)
						if err != nil {
							t.Fatal(err)
						}
						x.Add(v, e, find)
						m[v] = p
					},
					"remove": func(t *rapid.T) {
						v := member.Draw(t, "member")
						x.Remove(v)
						delete(m, v)
					},
					"match": func(t *rapid.T) { m.check(t, x, genRow.Draw(t, "row"), tt.exact) },
				})
				for v := range 21 {
					x.Remove(v)
				}
				clear(m)
				m.check(t, x, genRow.Draw(t, "row"), true)
				if len(x.families) != 0 {
					t.Fatal("families are left without members")
				}
			})
		})
	}
}

func numbers(from, to int) []any {
	var out []any
	for i := from; i <= to; i++ {
		out = append(out, i)
	}
	return out
}

func decades(n int) []filter.Expr {
	var out []filter.Expr
	for i := range n {
		out = append(out, filter.Between("n", 10*i, 10*i+5))
	}
	return out
}

func equals(column string, values []any) []filter.Expr {
	var out []filter.Expr
	for _, v := range values {
		out = append(out, filter.Eq(column, v))
	}
	return out
}

// TestWays tells, per expression, by which way and to how many entries it is
// searched for, and rows that it is visited for or not.
func TestWays(t *testing.T) {
	at := func(n any) row { return row{true, n, nil, nil, "a", nil} }
	for _, tt := range []struct {
		e         filter.Expr
		way       way
		entries   int
		hit, miss []row
	}{
		{nil, scanned, 1, []row{at(1), at(nil)}, nil},
		{filter.And(), scanned, 1, []row{at(1)}, nil},
		{filter.Or(), hashed, 0, nil, []row{at(1)}},
		{filter.Eq("n", 1), hashed, 1, []row{at(1)}, []row{at(2), at(nil)}},
		{filter.IsNull("n"), hashed, 1, []row{at(nil)}, []row{at(0)}},
		{filter.And(filter.Eq("n", 1), filter.Eq("name", "a")), hashed, 1, []row{at(1)}, []row{at(2), {nil, 1}}},
		{filter.And(filter.Eq("n", 1), filter.Eq("n", 2)), hashed, 0, nil, []row{at(1), at(2)}},
		{filter.And(filter.Eq("n", 1), filter.IsNull("n")), hashed, 0, nil, []row{at(1), at(nil)}},
		{filter.And(filter.Eq("n", 1), filter.Gt("n", 1)), hashed, 0, nil, []row{at(1)}},
		{filter.HasPrefix("name", "a"), ranged, 1, []row{{nil, nil, nil, nil, "a"}, {nil, nil, nil, nil, "az"}}, []row{{nil, nil, nil, nil, "b"}, {nil, nil, nil, nil, "A"}}},
		{filter.And(filter.In("n", 1, 2, 3), filter.Ge("n", 2)), hashed, 2, []row{at(2), at(3)}, []row{at(1)}},
		{filter.And(filter.IsNull("n"), filter.Lt("n", 1)), hashed, 0, nil, []row{at(nil)}},
		// A conjunct that is no help is left out.
		{filter.And(filter.Eq("n", 1), filter.Ne("name", "a"), filter.NotNull("name")), hashed, 1, []row{at(1)}, []row{at(2)}},

		{filter.In("n"), hashed, 0, nil, []row{at(1), at(nil)}},
		{filter.In("n", 1, 2, 2.0, "1"), hashed, 2, []row{at(1), at(2)}, []row{at(3), at(nil)}},
		{filter.In("n", numbers(1, maxEntries)...), hashed, maxEntries, []row{at(1)}, []row{at(0)}},
		{filter.In("n", numbers(1, maxEntries+1)...), ranged, 1, []row{at(1), at(65)}, []row{at(0), at(66), at(nil)}},
		{filter.And(filter.In("n", numbers(1, 100)...), filter.Eq("name", "a")), ranged, 1, []row{at(1)}, []row{at(0), {nil, 1}}},
		{filter.And(filter.In("n", numbers(1, 100)...), filter.Between("price", 1, 2)), ranged, 1, []row{{nil, 200, nil, 1}}, []row{{nil, 1, nil, 3}}},
		{filter.And(filter.In("n", 1, 2, 3), filter.In("name", "a", "b")), hashed, 6, []row{at(3)}, []row{at(4)}},
		{filter.And(filter.In("n", numbers(1, 33)...), filter.In("name", "a", "b")), ranged, 2, []row{at(33)}, []row{at(34)}},

		{filter.Or(filter.Eq("n", 1), filter.Eq("n", 2), filter.IsNull("n")), hashed, 3, []row{at(1), at(2), at(nil)}, []row{at(3)}},
		{filter.Or(filter.Eq("n", 1), filter.Eq("name", "a")), hashed, 2, []row{at(1), at(2), {nil, 1}}, []row{{nil, 2}}},
		{filter.Or(filter.Eq("n", 1), filter.Ne("name", "a")), scanned, 1, []row{at(1), at(2)}, nil},
		{filter.Or(filter.Eq("n", 1), filter.Gt("n", 5)), ranged, 2, []row{at(1), at(6)}, []row{at(5), at(nil)}},
		{filter.Or(equals("n", numbers(1, 1000))...), ranged, 1, []row{at(1000)}, []row{at(1001)}},
		{filter.Or(append(equals("n", numbers(1, 1000)), filter.IsNull("n"))...), scanned, 1, []row{at(nil), at(7)}, nil},
		{filter.Or(decades(maxEntries)...), ranged, maxEntries, []row{at(12)}, []row{at(17)}},
		{filter.Or(decades(maxEntries + 1)...), scanned, 1, []row{at(12), at(17)}, nil},

		{filter.Lt("n", 5), ranged, 1, []row{at(4)}, []row{at(5), at(nil)}},
		{filter.Le("n", 5), ranged, 1, []row{at(5)}, []row{at(6), at(nil)}},
		{filter.Gt("n", 5), ranged, 1, []row{at(6)}, []row{at(5), at(nil)}},
		{filter.Ge("n", 5), ranged, 1, []row{at(5)}, []row{at(4), at(nil)}},
		{filter.Between("n", 2, 4), ranged, 1, []row{at(2), at(4)}, []row{at(1), at(5), at(nil)}},
		{filter.Between("n", 4, 2), hashed, 0, nil, []row{at(3)}},
		{filter.And(filter.Ge("n", 2), filter.Lt("n", 2)), hashed, 0, nil, []row{at(2)}},
		{filter.And(filter.Eq("name", "a"), filter.Between("n", 2, 4)), ranged, 1, []row{at(3)}, []row{at(5), {nil, 3}}},
		// The interval with two ends is chosen.
		{filter.And(filter.Gt("n", 2), filter.Between("price", 1, 2)), ranged, 1, []row{{nil, 0, nil, 1}}, []row{{nil, 3, nil, 3}}},

		{filter.Not(filter.Ne("n", 1)), hashed, 1, []row{at(1)}, []row{at(2)}},
		{filter.Not(filter.NotIn("n", 1, 2)), hashed, 2, []row{at(1)}, []row{at(3)}},
		{filter.Not(filter.NotNull("n")), hashed, 1, []row{at(nil)}, []row{at(3)}},
		{filter.Not(filter.Lt("n", 5)), ranged, 1, []row{at(5)}, []row{at(4), at(nil)}},
		{filter.Not(filter.Le("n", 5)), ranged, 1, []row{at(6)}, []row{at(5), at(nil)}},
		{filter.Not(filter.Gt("n", 5)), ranged, 1, []row{at(5)}, []row{at(6), at(nil)}},
		{filter.Not(filter.Ge("n", 5)), ranged, 1, []row{at(4)}, []row{at(5), at(nil)}},
		{filter.Not(filter.Eq("n", 1)), scanned, 1, []row{at(2)}, nil},
		{filter.Not(filter.Or(filter.Lt("n", 2), filter.Gt("n", 4))), ranged, 1, []row{at(2), at(4)}, []row{at(1), at(5)}},
		{filter.Not(filter.And(filter.Ne("n", 1), filter.Ne("n", 2))), hashed, 2, []row{at(1), at(2)}, []row{at(3)}},
		{filter.Not(filter.And()), hashed, 0, nil, []row{at(1)}},
		{filter.Not(filter.Or()), scanned, 1, []row{at(1)}, nil},
		{filter.Not(filter.In("n")), scanned, 1, []row{at(nil)}, nil},
		{filter.Not(filter.NotIn("n")), hashed, 0, nil, []row{at(1)}},
		{filter.NotIn("n"), scanned, 1, []row{at(nil)}, nil},

		// What does not compile restricts nothing.
		{filter.Eq("n", nil), scanned, 1, []row{at(1)}, nil},
		{filter.Eq("n", 1.5), scanned, 1, []row{at(1)}, nil},
		{filter.In("n", 1, "x"), scanned, 1, []row{at(1)}, nil},
		{filter.Eq("odd", 1), scanned, 1, []row{at(1)}, nil},
		{filter.IsNull("odd"), scanned, 1, []row{at(1)}, nil},
		{filter.And(nil, filter.Eq("n", 1)), hashed, 1, []row{at(1)}, []row{at(2)}},
		{filter.Not(filter.And(nil, filter.Ne("n", 1))), scanned, 1, []row{at(1), at(2)}, nil},
		{(*filter.Comparison)(nil), scanned, 1, []row{at(1)}, nil},
		{(*filter.Membership)(nil), scanned, 1, []row{at(1)}, nil},
		{(*filter.NullTest)(nil), scanned, 1, []row{at(1)}, nil},
		{(*filter.Conjunction)(nil), scanned, 1, []row{at(1)}, nil},
		{(*filter.Disjunction)(nil), scanned, 1, []row{at(1)}, nil},
		{(*filter.Negation)(nil), scanned, 1, []row{at(1)}, nil},
		{&filter.Comparison{Column: "n", Op: 42, Value: 1}, scanned, 1, []row{at(1)}, nil},
		{filter.Not(&filter.Comparison{Column: "n", Op: 42, Value: 1}), scanned, 1, []row{at(1)}, nil},
	} {
		x := New[string]()
		x.Add("it", tt.e, find)
		var stats [ways]int
		stats[hashed], stats[ranged], stats[scanned] = x.Stats()
		if stats[tt.way] != 1 || stats[hashed]+stats[ranged]+stats[scanned] != 1 {
			t.Errorf("%v: hashed, ranged, scanned is %d, want way %d", tt.e, stats, tt.way)
		}
		entries := 0
		for _, f := range x.families {
			entries += f.entries
		}
		if entries != tt.entries {
			t.Errorf("%v: %d entries, want %d", tt.e, entries, tt.entries)
		}
		visits := func(r row) bool {
			r = append(slices.Clone(r), make(row, len(columns)-len(r))...)
			visited := false
			x.Match(r.get, func(string) { visited = true })
			return visited
		}
		for _, r := range tt.hit {
			if !visits(r) {
				t.Errorf("%v is not visited for %v", tt.e, r)
			}
		}
		for _, r := range tt.miss {
			if visits(r) {
				t.Errorf("%v is visited for %v", tt.e, r)
			}
		}
	}
}

// TestBounded: no expression makes more entries than maxEntries, however its
// parts multiply.
func TestBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var parts []filter.Expr
		for _, c := range columns[1:5] {
			n := rapid.IntRange(1, 9).Draw(t, c.name)
			var options []filter.Expr
			for range n {
				options = append(options, filter.And(
					filter.In(c.name, rapid.SliceOfN(genNative(c.kind), 1, 9).Draw(t, "values")...),
					filter.In("at", rapid.SliceOfN(genNative(value.KindTime), 1, 5).Draw(t, "times")...)))
			}
			parts = append(parts, filter.Or(options...))
		}
		e := filter.And(parts...)
		if rapid.Bool().Draw(t, "or") {
			e = filter.Or(parts...)
		}
		x := New[int]()
		x.Add(1, e, find)
		entries := 0
		for _, f := range x.families {
			entries += f.entries
		}
		if entries > maxEntries {
			t.Fatalf("%d entries of %v", entries, e)
		}
	})
}

// TestManyMembers removes members of one bucket, one interval and one tree from
// anywhere, and finds the others.
func TestManyMembers(t *testing.T) {
	for name, expr := range map[string]func(i int) filter.Expr{
		"one bucket":   func(int) filter.Expr { return filter.Eq("n", 1) },
		"one interval": func(int) filter.Expr { return filter.Between("n", 0, 2) },
		"one tree":     func(i int) filter.Expr { return filter.And(filter.Eq("name", "a"), filter.Between("n", -i, i+1)) },
		"scanned":      func(int) filter.Expr { return filter.Ne("n", 2) },
	} {
		t.Run(name, func(t *testing.T) {
			const n = 5000
			x := New[int]()
			for i := range n {
				x.Add(i, expr(i), find)
			}
			for i := range n {
				if i%3 != 0 {
					x.Remove(i * 7919 % n) // in no order; n and 7919 have no common factor
				}
			}
			want := make(map[int]bool)
			for i := range n {
				if i%3 == 0 {
					want[i*7919%n] = true
				}
			}
			got := make(map[int]bool)
			x.Match(row{true, 1, nil, nil, "a", nil}.get, func(v int) { got[v] = true })
			if !maps.Equal(got, want) {
				t.Errorf("visited %d members, want %d", len(got), len(want))
			}
		})
	}
}

// TestTreeIsShallow: the weights keep the tree balanced when intervals come in
// order.
func TestTreeIsShallow(t *testing.T) {
	const n = 1 << 14
	x := New[int]()
	for i := range n {
		x.Add(i, filter.Between("n", i, i+10), find)
	}
	var depth func(n *node[int]) int
	depth = func(n *node[int]) int {
		if n == nil {
			return 0
		}
		return 1 + max(depth(n.left), depth(n.right))
	}
	// Some 35 is usual. The chance to exceed 100 is beyond astronomical.
	if d := depth(x.families[0].trees[0]); d > 100 {
		t.Errorf("%d intervals are %d deep", n, d)
	}
}

// TestMatchDoesNotAllocate for any way of finding a member.
func TestMatchDoesNotAllocate(t *testing.T) {
	x := New[string]()
	for i := range 100 {
		for name, e := range map[string]filter.Expr{
			"equality": filter.And(filter.Eq("n", i), filter.Eq("flag", true)),
			"in":       filter.In("n", i, i+1, i+2),
			"interval": filter.Between("price", i, i+10),
			"both":     filter.And(filter.Eq("name", "a"), filter.Lt("price", i)),
			"scanned":  filter.Ne("n", i),
		} {
			x.Add(fmt.Sprint(name, i), e, find)
		}
	}
	values := make([]value.Value, len(columns))
	for i := range values {
		values[i] = row{true, 50, 1.0, "55.5", "a", nil}.get(i)
	}
	visited := 0
	get := func(column int) value.Value { return values[column] }
	visit := func(string) { visited++ }
	if n := testing.AllocsPerRun(100, func() { x.Match(get, visit) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if visited == 0 {
		t.Error("nothing was visited")
	}
}
