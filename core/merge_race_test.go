package core_test

import (
	"sync"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/live"
)

// Lagging subscribers merge what they missed while the log drops its oldest.
func TestMergeWhileLogDrops(t *testing.T) {
	r := &rig{table: coretest.NewTable[item]("items", "id"), source: &coretest.Source{}, reg: core.Config{Logger: quiet()}.NewRegistry(), ctx: t.Context()}
	b := core.Bind("items", r.table, core.Tune(core.Tuning{LogEvents: 6}))
	r.start(t, b)
	defer r.stop(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			sub := b.Subscribe(live.SubscribeOptions{Notify: func() {}})
			defer sub.Close()
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = sub.Poll()
				}
			}
		})
	}
	for i := range 3000 {
		r.report(t, r.table.Put(item{ID: i % 50, Price: i}))
	}
	close(stop)
	wg.Wait()
}
