package followsource_test

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/sources/followsource"
)

// TestDatabaseLoadIsFlat: the table is read by the origin alone. With any number of
// followers, and of followers of these, the same writes cost the same reads.
func TestDatabaseLoadIsFlat(t *testing.T) {
	reads := func(followers int) (loads, keys int) {
		table, source := coretest.NewTable[wiretest.Item]("things", "id"), &coretest.Source{}
		reg, b := quiet(), core.Bind("things", table)
		_, _ = reg.Add(b), reg.Watch(source)
		of := serve(t, reg, "")
		nodes := []*node{of}
		defer func() {
			for _, n := range slices.Backward(nodes) {
				n.stop()
			}
		}()
		<-b.Loaded()
		var views []*core.Binding[wiretest.Item]
		for i := range followers {
			if i == followers/2 && i > 0 {
				of = nodes[1] // half of them follow a follower
			}
			reg := quiet()
			f := followsource.Bind[wiretest.Item](followsource.New(of.events(), quick), "things")
			_ = reg.Add(f)
			nodes, views = append(nodes, serve(t, reg, "")), append(views, f)
		}
		for i := range 50 {
			if err := source.Report(t.Context(), table.Put(wiretest.Item{ID: i % 7, Name: fmt.Sprint(i)})); err != nil {
				t.Fatal(err)
			}
		}
		for i, f := range views {
			reaches(t, nodes[i+1].reg, f.View, b.Version().Token)
		}
		return table.Reads()
	}
	loads, keys := reads(0)
	for _, n := range []int{1, 8} {
		if l, k := reads(n); l != loads || k != keys {
			t.Errorf("with %d followers %d reads of %d keys, without %d of %d", n, l, k, loads, keys)
		}
	}
	t.Logf("%d reads of %d keys for 50 writes", loads, keys)
}

var hopRows = flag.Int("followsource.rows", 1000, "the rows of the benchmarks of hops")

// BenchmarkHops is the time from a commit until each node of a chain shows it: the
// origin (hop 0), its follower, and so on. B/op-wire is what an origin sends each
// follower for a change of one row; MB-rows is the heap that a follower takes.
//
//	go test ./sources/followsource -run '^$' -bench Hops -benchtime 300x
func BenchmarkHops(b *testing.B) {
	const hops = 3
	table, source := coretest.NewTable[wiretest.Item]("things", "id"), &coretest.Source{}
	for id := range *hopRows {
		table.Put(wiretest.Item{ID: id, Name: "a thing with a name of some length", Note: "and a note, so that a row is as long as rows are"})
	}
	reg, origin := quiet(), core.Bind("things", table)
	_, _ = reg.Add(origin), reg.Watch(source)
	nodes := []*node{serve(b, reg, "")}
	defer func() {
		for _, n := range slices.Backward(nodes) {
			n.stop()
		}
	}()
	<-origin.Loaded()
	views := []*live.View{origin.View}
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	before := heap()
	var first *followsource.Origin
	for range hops {
		o := followsource.New(nodes[len(nodes)-1].events(), quick)
		if first == nil {
			first = o
		}
		reg := quiet()
		f := followsource.Bind[wiretest.Item](o, "things")
		_ = reg.Add(f)
		nodes, views = append(nodes, serve(b, reg, "")), append(views, f.View)
		reaches(b, reg, f.View, origin.Version().Token)
	}
	memory := (heap() - before) / hops
	subs := make([]*live.Subscription, len(views))
	for i, v := range views {
		subs[i] = v.Subscribe(live.SubscribeOptions{Version: v.Version().Token})
		defer subs[i].Close()
		if _, err := subs[i].Next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	delays := make([][]time.Duration, len(views))
	sent := first.Status().Bytes
	b.ResetTimer()
	for i := range b.N {
		change := table.Put(wiretest.Item{ID: i % *hopRows, Name: fmt.Sprint("changed ", i), Note: "and a note, so that a row is as long as rows are"})
		begun := time.Now()
		go func() { _ = source.Report(b.Context(), change) }()
		for hop, sub := range subs {
			if _, err := sub.Next(b.Context()); err != nil {
				b.Fatal(err)
			}
			delays[hop] = append(delays[hop], time.Since(begun))
		}
	}
	b.StopTimer()
	for hop, d := range delays {
		slices.Sort(d)
		b.ReportMetric(float64(d[len(d)/2].Microseconds())/1000, fmt.Sprintf("p50-ms-hop%d", hop))
		b.ReportMetric(float64(d[len(d)*95/100].Microseconds())/1000, fmt.Sprintf("p95-ms-hop%d", hop))
	}
	b.ReportMetric(float64(first.Status().Bytes-sent)/float64(b.N), "wire-B/op")
	b.ReportMetric(memory, "MB/follower")
	b.ReportMetric(0, "ns/op")
}
