package core_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
)

// benchMembers opens n members of a family over n rows, row i of which is of
// price i.
func benchMembers(tb testing.TB, n int, where filter.Expr, args func(i int) core.Args) (*rig, []*core.Grant) {
	tb.Helper()
	r := &rig{table: coretest.NewTable[item]("items", "id"), source: &coretest.Source{}, reg: core.Config{Logger: quiet()}.NewRegistry(), ctx: context.Background()}
	rows := make([]item, n)
	for i := range rows {
		rows[i] = item{ID: i, Name: fmt.Sprint("item ", i), Price: i, Live: true}
	}
	r.table.Put(rows...)
	r.start(tb, core.BindFamily("family", r.table, core.Where(where), core.Tune(core.Tuning{MaxMembers: n + 1})))
	tb.Cleanup(func() { r.stop(tb) })
	grants := make([]*core.Grant, n)
	for i := range grants {
		g, err := r.reg.Open(r.ctx, "family", args(i))
		if err != nil {
			tb.Fatal(err)
		}
		grants[i] = g
	}
	for _, g := range grants {
		<-g.View().Loaded()
	}
	return r, grants
}

// familyKinds are the ways in which a change finds the members that it concerns.
var familyKinds = []struct {
	name  string
	where filter.Expr
	args  func(i int) core.Args
	sizes []int
}{
	{
		"equality", filter.And(filter.Eq("live", true), filter.Eq("price", filter.Param("price"))),
		func(i int) core.Args { return core.Args{"price": i} },
		[]int{10, 1_000, 100_000},
	},
	{
		"range", filter.Between("price", filter.Param("lo"), filter.Param("hi")),
		func(i int) core.Args { return core.Args{"lo": i, "hi": i + 1} },
		[]int{10, 1_000, 100_000},
	},
	{ // what neither hashes nor fits an interval: every member is looked at
		"scan", filter.Or(filter.Eq("price", filter.Param("price")), filter.Ne("live", true)),
		func(i int) core.Args { return core.Args{"price": i} },
		[]int{10, 1_000},
	},
}

// BenchmarkFamilyChange has one changed row read, and shown by the members that
// it leaves and comes to, while many others are alive.
func BenchmarkFamilyChange(b *testing.B) {
	for _, k := range familyKinds {
		for _, n := range k.sizes {
			b.Run(fmt.Sprintf("%s/%d", k.name, n), func(b *testing.B) {
				r, _ := benchMembers(b, n, k.where, k.args)
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					i++
					r.report(b, r.table.Put(item{ID: 1, Name: fmt.Sprint("changed ", i), Price: i * 7919 % n, Live: true}))
				}
			})
		}
	}
}

// BenchmarkFamilyOpen opens a member and closes it, so that it is loaded and
// retires, while many others are alive.
func BenchmarkFamilyOpen(b *testing.B) {
	for _, n := range []int{10, 1_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r, _ := benchMembers(b, n, filter.Eq("name", filter.Param("name")), func(i int) core.Args {
				return core.Args{"name": fmt.Sprint("item ", i)}
			})
			r.table.Edit(func(rows map[driver.Key]item) { clear(rows) }) // or the load is what costs
			b.ReportAllocs()
			i := 0
			for b.Loop() { // there is room for one more, so each makes the one before go
				i++
				g, err := r.reg.Open(r.ctx, "family", core.Args{"name": fmt.Sprint("new ", i)})
				if err != nil {
					b.Fatal(err)
				}
				<-g.View().Loaded()
				g.Close()
			}
		})
	}
}

// BenchmarkFamilyMemory reports what a member costs beside its rows.
func BenchmarkFamilyMemory(b *testing.B) {
	const n = 20_000
	for b.Loop() {
		heap := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		r := &rig{table: coretest.NewTable[item]("items", "id"), source: &coretest.Source{}, reg: core.Config{Logger: quiet()}.NewRegistry(), ctx: context.Background()}
		r.start(b, core.BindFamily("family", r.table, core.Tune(core.Tuning{MaxMembers: n}),
			core.Where(filter.Eq("live", true), filter.Eq("name", filter.Param("name")))))
		before := heap()
		grants := make([]*core.Grant, n)
		for i := range grants {
			grants[i], _ = r.reg.Open(r.ctx, "family", core.Args{"name": fmt.Sprint("item ", i)})
		}
		for _, g := range grants {
			<-g.View().Loaded()
		}
		b.ReportMetric(float64(heap()-before)/n, "B/member")
		runtime.KeepAlive(grants)
		r.stop(b)
	}
}
