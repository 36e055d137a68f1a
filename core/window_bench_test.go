package core_test

import (
	"testing"

	"github.com/binderyhq/bindery/core"
)

// BenchmarkWindow has one changed row of 100,000 read and compared with a
// binding of the first twenty: beyond them and their margin, where nothing is to be
// done, and among them.
func BenchmarkWindow(b *testing.B) {
	const rows = 100_000
	for _, c := range []struct {
		name   string
		change func(i int) ware
	}{
		{"outside", func(i int) ware { return ware{ID: rows/2 + i%1000, Price: ptr(rows/2 + i)} }},
		{"inside", func(i int) ware { return ware{ID: i % 20, Price: ptr(i % 20), Shelf: i} }},
	} {
		b.Run(c.name, func(b *testing.B) {
			st := newStore()
			st.fill(rows)
			s := newShop(b, st, core.Bind("cheapest", st, core.OrderBy("price"), core.Limit(20)))
			b.Cleanup(func() { s.stop(b) })
			asked, _ := st.asked()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				s.report(b, st.Put(c.change(i)))
			}
			if now, _ := st.asked(); now != asked {
				b.Fatalf("%d queries", now-asked)
			}
		})
	}
}
