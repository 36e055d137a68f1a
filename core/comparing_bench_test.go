package core_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
)

// BenchmarkReportBesidePolls is one reported write, with a wait for it to show, in
// a table of 10,000 rows of which a family has so many members, without and
// with polls that have the table compared all the time.
func BenchmarkReportBesidePolls(b *testing.B) {
	const rows = 10_000
	for _, members := range []int{10, 100, 1000, 10_000} {
		for _, polls := range []bool{false, true} {
			b.Run(fmt.Sprintf("members=%d/polls=%v", members, polls), func(b *testing.B) {
				r := newItems(b, core.Config{})
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				r.ctx = ctx
				r.table.Edit(func(all map[driver.Key]item) {
					for i := range rows {
						all[key(i)] = item{ID: i, Price: i % members, Live: true}
					}
				})
				family := core.BindFamily("shelf", r.table, core.Where(filter.Eq("price", filter.Param("shelf"))), core.Tune(core.Tuning{MaxMembers: members}))
				r.start(b, family)
				all := make([]*core.Grant, members)
				opening := time.Now()
				for i := range all { // without waiting, so that members share reads: this loader cannot query, and each reads the table
					var err error
					if all[i], err = r.reg.Open(r.ctx, "shelf", core.Args{"shelf": i}); err != nil {
						b.Fatal(err)
					}
				}
				for _, m := range all {
					<-m.View().Loaded()
				}
				opened := time.Since(opening)
				done := make(chan struct{})
				go func() {
					defer close(done)
					for polls && ctx.Err() == nil {
						_ = r.source.Sink().Report(driver.Change{Table: r.table.Name(), Compare: true}).Wait(ctx)
					}
				}()
				before := r.stats()
				times := make([]time.Duration, 0, b.N)
				b.ResetTimer()
				for i := range b.N {
					begun := time.Now()
					r.report(b, r.table.Put(item{ID: i % rows, Name: fmt.Sprint(i), Price: i % members, Live: true}))
					times = append(times, time.Since(begun))
				}
				b.StopTimer()
				slices.Sort(times)
				b.ReportMetric(float64(opened.Milliseconds()), "ms-opening")
				b.ReportMetric(float64(times[len(times)/2].Nanoseconds())/1000, "p50-µs")
				b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds())/1000, "p99-µs")
				after := r.stats()
				b.ReportMetric(float64(after.Comparisons-before.Comparisons), "comparisons")
				if after.WholeReads != before.WholeReads || after.BatchKeys-before.BatchKeys != uint64(b.N) {
					b.Errorf("for %d writes %d keys were read, and the table %d times", b.N, after.BatchKeys-before.BatchKeys, after.WholeReads-before.WholeReads)
				}
				cancel()
				<-done
				if err := r.reg.Shutdown(context.Background()); err != nil {
					b.Error(err)
				}
			})
		}
	}
}

// BenchmarkReportBesideWhole is one write that names its row, waited for, in a table of
// 100,000 rows whose whole is reported all the time, as by bulk statements.
func BenchmarkReportBesideWhole(b *testing.B) {
	const rows = 100_000
	r := newItems(b, core.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r.ctx = ctx
	r.table.Edit(func(all map[driver.Key]item) {
		for i := range rows {
			all[key(i)] = item{ID: i}
		}
	})
	r.start(b, core.Bind("items", r.table))
	whole, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		for ; ctx.Err() == nil; whole++ {
			_ = r.source.Sink().Report(driver.Change{Table: r.table.Name()}).Wait(ctx)
		}
	}()
	times := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for i := range b.N {
		begun := time.Now()
		r.report(b, r.table.Put(item{ID: i % rows, Name: fmt.Sprint(i)}))
		times = append(times, time.Since(begun))
		time.Sleep(time.Millisecond) // so that others come between
	}
	b.StopTimer()
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds())/1000, "p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds())/1000, "p99-µs")
	cancel()
	<-done
	b.ReportMetric(float64(whole), "whole")
	if err := r.reg.Shutdown(context.Background()); err != nil {
		b.Error(err)
	}
}
