package index_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/index"
	"github.com/binderyhq/bindery/core/value"
)

// The columns of the benchmarks: venue, active, price.
func column(name string) (int, value.Kind, bool) {
	switch name {
	case "venue":
		return 0, value.KindText, true
	case "active":
		return 1, value.KindBool, true
	case "price":
		return 2, value.KindInt, true
	default:
		return 0, 0, false
	}
}

func venue(i int) string { return fmt.Sprintf("venue-%06d", i) }

// shapes are the families of filters that are measured: what the i-th of n
// members selects. All but the last visit a few members for each row, however
// many there are.
var shapes = []struct {
	name   string
	filter func(i, n int) filter.Expr
}{
	{"equality", func(i, _ int) filter.Expr {
		return filter.And(filter.Eq("venue", venue(i)), filter.Eq("active", true))
	}},
	{"in", func(i, n int) filter.Expr {
		return filter.In("venue", venue(i), venue((i+1)%n), venue((i+2)%n), venue((i+3)%n))
	}},
	{"range", func(i, _ int) filter.Expr {
		return filter.Between("price", 10*i, 10*i+19)
	}},
	{"equality+range", func(i, _ int) filter.Expr {
		return filter.And(filter.Eq("active", true), filter.Between("price", 10*i, 10*i+19))
	}},
	{"scan", func(i, _ int) filter.Expr {
		return filter.Ne("venue", venue(i))
	}},
}

var sizes = []int{10, 1_000, 100_000}

func fill(shape, n int) *index.Index[*int] {
	x := index.New[*int]()
	for i := range n {
		x.Add(new(int), shapes[shape].filter(i, n), column)
	}
	return x
}

// rows returns random rows, as many as make sure that the processor's caches
// are of no more help than in real life.
func rows(n int) [][3]value.Value {
	random := rand.New(rand.NewPCG(1, 2))
	out := make([][3]value.Value, 10_007)
	for i := range out {
		v := random.IntN(n)
		out[i] = [...]value.Value{value.Text(venue(v)), value.Bool(true), value.Int(int64(10*v + random.IntN(20)))}
	}
	return out
}

// BenchmarkMatch is finding the members for one row, without evaluating their
// expressions. visited/op tells how many were found.
func BenchmarkMatch(b *testing.B) {
	for shape := range shapes {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("%s/members=%d", shapes[shape].name, n), func(b *testing.B) {
				x, rows := fill(shape, n), rows(n)
				var row *[3]value.Value
				get := func(column int) value.Value { return row[column] }
				visited := 0
				visit := func(*int) { visited++ }
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					row = &rows[i%len(rows)]
					x.Match(get, visit)
					i++
				}
				b.ReportMetric(float64(visited)/float64(i), "visited/op")
			})
		}
	}
}

// BenchmarkAddRemove is a member's coming and going beside n others.
func BenchmarkAddRemove(b *testing.B) {
	for shape := range shapes {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("%s/members=%d", shapes[shape].name, n), func(b *testing.B) {
				x := fill(shape, n)
				exprs := make([]filter.Expr, 1000)
				for i := range exprs {
					exprs[i] = shapes[shape].filter(i*7919%n, n)
				}
				v := new(int)
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					x.Add(v, exprs[i%len(exprs)], column)
					x.Remove(v)
					i++
				}
			})
		}
	}
}

// BenchmarkMemory tells what the index itself takes, in bytes per member.
func BenchmarkMemory(b *testing.B) {
	const n = 100_000
	for shape := range shapes {
		b.Run(shapes[shape].name, func(b *testing.B) {
			members := make([]int, n)
			exprs := make([]filter.Expr, n)
			for i := range exprs {
				exprs[i] = shapes[shape].filter(i, n)
			}
			var taken uint64
			for b.Loop() {
				before := heap()
				x := index.New[*int]()
				for i, e := range exprs {
					x.Add(&members[i], e, column)
				}
				taken += heap() - before
				runtime.KeepAlive(x)
			}
			b.ReportMetric(float64(taken)/float64(b.N)/n, "B/member")
			runtime.KeepAlive(exprs)
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
