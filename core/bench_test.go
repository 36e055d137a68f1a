package core_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
)

func benchRig(tb testing.TB, rows int, opts ...core.Option) (*rig, *core.Binding[item]) {
	tb.Helper()
	r := &rig{table: coretest.NewTable[item]("items", "id"), source: &coretest.Source{}, reg: core.Config{Logger: quiet()}.NewRegistry(), ctx: context.Background()}
	all := make([]item, rows)
	for i := range all {
		all[i] = item{ID: i, Name: fmt.Sprint("item ", i), Price: i % 1000, Live: i%10 != 0}
	}
	r.table.Put(all...)
	b := core.Bind("items", r.table, opts...)
	r.start(tb, b)
	tb.Cleanup(func() { r.stop(tb) })
	return r, b
}

// BenchmarkGet reads one row by its key.
func BenchmarkGet(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			_, items := benchRig(b, n)
			k := key(n / 2)
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := items.At(k); !ok {
					b.Fatal("no row")
				}
			}
		})
	}
}

// BenchmarkGetParallel reads from all processors at once: there is no lock to
// wait for.
func BenchmarkGetParallel(b *testing.B) {
	_, items := benchRig(b, 100_000)
	k := key(5)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			items.At(k)
		}
	})
}

// BenchmarkAll iterates over all rows; the figure is for one row.
func BenchmarkAll(b *testing.B) {
	const n = 100_000
	_, items := benchRig(b, n)
	b.ReportAllocs()
	sum, rows := 0, 0
	for b.Loop() {
		for it := range items.All() {
			sum += it.Price
			rows++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
}

// BenchmarkApply has one changed row read, diffed and published; its cost grows
// with the logarithm of the rows.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000, 100_000} {
		for name, opts := range map[string][]core.Option{
			"by-key":  nil,
			"ordered": {core.OrderBy("name")},
			"filter":  {core.Where(filter.Eq("live", true), filter.Lt("price", 900))},
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				r, _ := benchRig(b, n, opts...)
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					i++
					r.report(b, r.table.Put(item{ID: i * 7919 % n, Name: fmt.Sprint("changed ", i), Price: 1, Live: true}))
				}
			})
		}
	}
}

// BenchmarkBody asks for the list of a version that has been asked for before.
func BenchmarkBody(b *testing.B) {
	_, items := benchRig(b, 1_000)
	b.ReportAllocs()
	for b.Loop() {
		_ = items.Snapshot().Body()
	}
}

// BenchmarkFanOut publishes one change to subscribers that poll it.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{1, 1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r, items := benchRig(b, 100)
			subs := make([]*live.Subscription, n)
			for i := range subs {
				subs[i] = items.Subscribe(live.SubscribeOptions{Version: items.Version().Token, Notify: func() {}})
				_, _ = subs[i].Poll()
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				r.report(b, r.table.Put(item{ID: 1, Price: i}))
				for _, s := range subs {
					if e, _ := s.Poll(); e == nil {
						b.Fatal("no event")
					}
					_, _ = s.Poll() // none; be called again
				}
			}
			for _, s := range subs {
				s.Close()
			}
		})
	}
}

// TestReadingAllocatesNothing: neither Get nor a row of All allocates.
func TestReadingAllocatesNothing(t *testing.T) {
	_, items := benchRig(t, 1_000)
	k := key(500)
	if n := testing.AllocsPerRun(100, func() { items.At(k) }); n != 0 {
		t.Errorf("Get allocates %v times", n)
	}
	few := testing.AllocsPerRun(10, func() {
		for range items.All() {
			break
		}
	})
	all := testing.AllocsPerRun(10, func() {
		for range items.All() {
		}
	})
	if all > few+100 { // what tests before have left in the background is counted as well
		t.Errorf("All allocates %v times for 1,000 rows and %v times for one", all, few)
	}
}
