package core_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/status"
)

// BenchmarkFlood asks for 1,500 members of a family over 3,000 rows, one after the
// other, as GETs do, and then joins 2,560 at once, on ten connections. It reports the
// memory that the registry accounts for, the heap beyond the rows, the process's resident
// memory, how many are refused, and how late others are at most: a binding of the same table, whose rows
// change meanwhile, and for comparison before.
func BenchmarkFlood(b *testing.B) {
	const rows, budget = 3000, 256 << 20
	for b.Loop() {
		f := newFlood(b, rows, core.Config{MemoryBudget: budget})
		f.ctx = context.WithoutCancel(b.Context())
		before := heapInUse()
		b.ReportMetric(float64(residentMemory())/(1<<20), "rows-MiB-RSS")
		quiet := f.watch(b, func() { time.Sleep(2 * time.Second) })
		b.ReportMetric(float64(quiet.Milliseconds()), "quiet-ms-late")
		late := f.watch(b, func() {
			for n := range 1500 {
				g, err := f.open(b.Context(), n)
				if err != nil {
					b.Fatal(err)
				}
				if err := loaded(b, g); err != nil {
					b.Fatal(err)
				}
				_ = g.View().Snapshot().Body()
				g.Close()
			}
		})
		f.report(b)
		metrics(b, "get", f.reg.Status().Memory, heapInUse()-before, late)

		var mu sync.Mutex
		var grants []*core.Grant // guarded by mu
		late = f.watch(b, func() {
			var clients sync.WaitGroup
			for c := range 10 {
				clients.Go(func() {
					ctx := core.WithClient(b.Context())
					for n := range 256 {
						g, err := f.open(ctx, 256*c+n)
						if err != nil {
							if !errors.Is(err, core.ErrBudget) {
								b.Error(err)
							}
							continue
						}
						mu.Lock()
						grants = append(grants, g)
						mu.Unlock()
					}
				})
			}
			clients.Wait()
			for _, g := range grants {
				_ = loaded(b, g)
			}
		})
		m, heap := f.reg.Status().Memory, heapInUse()-before
		metrics(b, "join", m, heap, late)
		b.ReportMetric(float64(len(grants)), "joined")
		if m.Total > budget || heap > budget || len(grants) < 2560 || m.Refused > 0 {
			b.Errorf("%d are joined with a heap of %d bytes: %+v", len(grants), heap, m)
		}
		for _, g := range grants {
			g.Close()
		}
		f.stop(b)
	}
}

// residentMemory returns the memory that the system has given the process (its resident
// set), in bytes; 0 where /proc does not tell.
func residentMemory() int {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int // in pages
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * os.Getpagesize()
}

func metrics(b *testing.B, what string, m status.Memory, heap int, late time.Duration) {
	b.ReportMetric(float64(residentMemory())/(1<<20), what+"-MiB-RSS")
	b.ReportMetric(float64(m.Total)/(1<<20), what+"-MiB-accounted")
	b.ReportMetric(float64(heap)/(1<<20), what+"-MiB-heap")
	b.ReportMetric(float64(late.Milliseconds()), what+"-ms-late")
	b.ReportMetric(float64(m.Refused), what+"-refused")
}

// watch runs do, and returns how long a change of another binding took at most
// meanwhile.
func (f *flood) watch(b *testing.B, do func()) (worst time.Duration) {
	ctx, cancel := context.WithCancel(b.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		for id := 1_000_000; ctx.Err() == nil; id++ {
			begun := time.Now()
			if err := f.source.Report(b.Context(), f.table.Put(item{ID: id, Price: -1, Live: true})); err != nil {
				b.Error(err)
				return
			}
			worst = max(worst, time.Since(begun))
			time.Sleep(5 * time.Millisecond)
		}
	})
	do()
	cancel()
	watching.Wait()
	return worst
}
