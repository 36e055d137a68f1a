package core

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/feed"
	"github.com/binderyhq/bindery/core/live"
)

// observers are the plugins that observe the engine. They are set before the first source
// watches and the first binding loads.
type observers struct {
	log       *slog.Logger
	published []named[PublishObserver]
	batches   []named[BatchObserver]
	reports   []named[ReportObserver]
	delivered []named[DeliveryObserver]
}

// named is an interface that a plugin implements, with the plugin's name.
type named[T any] struct {
	name string
	it   T
}

// add registers a plugin for every observer interface that it implements.
func (o *observers) add(p Plugin) {
	if it, ok := p.(PublishObserver); ok {
		o.published = append(o.published, named[PublishObserver]{p.Name(), it})
	}
	if it, ok := p.(BatchObserver); ok {
		o.batches = append(o.batches, named[BatchObserver]{p.Name(), it})
	}
	if it, ok := p.(ReportObserver); ok {
		o.reports = append(o.reports, named[ReportObserver]{p.Name(), it})
	}
	if it, ok := p.(DeliveryObserver); ok {
		o.delivered = append(o.delivered, named[DeliveryObserver]{p.Name(), it})
	}
}

// guard calls the plugin and logs a panic.
func (o *observers) guard(plugin, what string, call func(), about ...any) {
	defer func() {
		if r := recover(); r != nil {
			o.log.Error("core: plugin panicked while observing "+what,
				append([]any{slog.String("id", "core-plugin-panic"), slog.String("plugin", plugin), slog.Any("panic", r), slog.String("stack", string(debug.Stack()))}, about...)...)
		}
	}()
	call()
}

// onPublished tells the plugins of a new version.
func (o *observers) onPublished(v *live.View, e *live.Event) {
	for _, p := range o.published {
		o.guard(p.name, "a new version", func() { p.it.Published(v, e) }, slog.String("binding", v.Name()))
	}
}

// onReported tells the plugins of a source's report.
func (o *observers) onReported(by driver.Source, changes []driver.Change) {
	for _, p := range o.reports {
		o.guard(p.name, "a report", func() { p.it.Reported(by, changes) }, slog.String("source", by.Name()))
	}
}

// onBatch tells the plugins that a batch begins. It returns the context in which to read
// the batch, and a function to call at its end.
func (o *observers) onBatch(ctx context.Context, b feed.Batch) (context.Context, func(feed.Result)) {
	if len(o.batches) == 0 {
		return ctx, func(feed.Result) {}
	}
	batch := Batch(b)
	ctxs := make([]context.Context, len(o.batches)) // what each plugin returned
	for i, p := range o.batches {
		o.guard(p.name, "a batch that begins", func() {
			if derived := p.it.BatchBegan(ctx, batch); derived != nil {
				ctx = derived
			}
		})
		ctxs[i] = ctx
	}
	return ctx, func(r feed.Result) {
		out := BatchResult{
			Batch: batch, Err: r.Err, SetAside: r.Aside, Published: r.Published,
			Created: r.Created, Updated: r.Updated, Deleted: r.Deleted, Read: r.Read,
		}
		if r.Err == nil && !batch.Reported.IsZero() {
			out.Delay = time.Since(batch.Reported)
		}
		for i := len(o.batches) - 1; i >= 0; i-- {
			p := o.batches[i]
			o.guard(p.name, "a batch that has ended", func() { p.it.BatchEnded(ctxs[i], out) })
		}
	}
}

// onDelivered tells the plugins that an event was written to a client.
func (o *observers) onDelivered(d Delivery) {
	for _, p := range o.delivered {
		o.guard(p.name, "a delivery", func() { p.it.Delivered(d) }, slog.String("binding", d.View.Name()))
	}
}
