package core_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
)

// tracer traces batches as OpenTelemetry would: by a value in the context.
type tracer struct {
	coretest.Plugin

	mu    sync.Mutex
	next  int
	began []core.Batch
	ended map[int]core.BatchResult
}

type spanKey struct{}

func (p *tracer) BatchBegan(ctx context.Context, b core.Batch) context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	p.began = append(p.began, b)
	return context.WithValue(ctx, spanKey{}, p.next)
}

func (p *tracer) BatchEnded(ctx context.Context, r core.BatchResult) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended == nil {
		p.ended = make(map[int]core.BatchResult)
	}
	p.ended[ctx.Value(spanKey{}).(int)] = r
}

func (p *tracer) last() (int, core.BatchResult) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next, p.ended[p.next]
}

// tracedTable notes in which batch it was read, and takes its time.
type tracedTable struct {
	*coretest.Table[item]

	mu    sync.Mutex
	spans []any
	takes time.Duration
}

func (t *tracedTable) Load(ctx context.Context, keys []driver.Key) ([]*item, error) {
	t.mu.Lock()
	t.spans = append(t.spans, ctx.Value(spanKey{}))
	t.mu.Unlock()
	time.Sleep(t.takes)
	return t.Table.Load(ctx, keys)
}

// silent is a plugin whose observing panics.
type silent struct{ coretest.Plugin }

func (*silent) BatchBegan(context.Context, core.Batch) context.Context { panic("began") }
func (*silent) BatchEnded(context.Context, core.BatchResult)           { panic("ended") }

// TestBatchObserver: the observer's context reaches the loader's reads, and the
// result tells how long they took and how late the report shows.
func TestBatchObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newItems(t, core.Config{})
		table := &tracedTable{Table: r.table, takes: 20 * time.Millisecond}
		p := &tracer{Plugin: coretest.Plugin{ID: "tracer"}}
		_ = r.reg.Use(&silent{coretest.Plugin{ID: "silent"}}, p)
		b := core.Bind("items", table)
		table.Put(item{ID: 1})
		r.start(t, b)
		defer r.stop(t)
		if p.began[0].Reloads != 1 || p.ended[1].Published != 1 {
			t.Errorf("loading: %+v, %+v", p.began[0], p.ended[1])
		}
		r.report(t, table.Put(item{ID: 1, Name: "x"}, item{ID: 2}))
		n, res := p.last()
		if got := table.spans[len(table.spans)-1]; got != n {
			t.Errorf("the read belongs to batch %v, want %d", got, n)
		}
		if res.Table != table.Name() || res.Keys != 2 || res.Created != 1 || res.Updated != 1 || res.Published != 1 || res.Err != nil {
			t.Errorf("%+v", res)
		}
		if res.Read != table.takes || res.Delay != table.takes || res.Reported.IsZero() {
			t.Errorf("read in %v, shown after %v, want %v", res.Read, res.Delay, table.takes)
		}
		// A report that waits for the read before it is late by both.
		_ = r.source.Sink().Report(table.Put(item{ID: 3}))
		synctest.Wait()
		r.report(t, table.Put(item{ID: 4}))
		if _, res = p.last(); res.Read != table.takes || res.Delay != 2*table.takes {
			t.Errorf("read in %v, shown after %v", res.Read, res.Delay)
		}
		table.Fail(errors.New("away"))
		_ = r.source.Sink().Report(table.Put(item{ID: 5}))
		time.Sleep(time.Second)
		if _, res = p.last(); res.Err == nil || res.Delay != 0 || res.Published != 0 {
			t.Errorf("a batch that fails: %+v", res)
		}
		table.Fail(nil)
	})
}
