package core_test

import (
	"context"
	"sync"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
)

// reportsPlugin notes what sources report, and panics when told to.
type reportsPlugin struct {
	coretest.Plugin
	panics bool

	mu      sync.Mutex
	sources []driver.Source
	changes []driver.Change
}

func (p *reportsPlugin) Reported(by driver.Source, changes []driver.Change) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sources, p.changes = append(p.sources, by), append(p.changes, changes...)
	if p.panics {
		panic("told to")
	}
}

// TestReportObserver: plugins are told of every report before the source is
// answered, and one that panics harms nobody.
func TestReportObserver(t *testing.T) {
	r := newItems(t, core.Config{})
	bad := &reportsPlugin{Plugin: coretest.Plugin{ID: "bad", Journal: &coretest.Journal{}}, panics: true}
	good := &reportsPlugin{Plugin: coretest.Plugin{ID: "good", Journal: &coretest.Journal{}}}
	_ = r.reg.Use(bad, good)
	items := core.Bind("items", r.table)
	r.start(t, items)
	defer r.stop(t)
	receipt := r.source.Sink().Report(r.table.Put(item{ID: 1}))
	a := r.source.Sink().Announce(r.table.Put(item{ID: 2}))
	if n := len(good.changes); n != 1 {
		t.Fatalf("after a report and an announcement %d changes were observed, want 1", n)
	}
	confirmed := a.Confirm()
	for _, p := range []*reportsPlugin{bad, good} {
		if len(p.changes) != 2 || p.sources[0] != driver.Source(r.source) {
			t.Errorf("%s observed %+v of %v", p.ID, p.changes, p.sources)
		}
	}
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	for _, w := range []driver.Receipt{receipt, confirmed} {
		if err := w.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if got := ids(items); len(got) != 2 {
		t.Errorf("items %v", got)
	}
}
