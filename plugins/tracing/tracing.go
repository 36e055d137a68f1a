// Package tracing follows a change from its writer to the clients, in the traces of
// OpenTelemetry.
//
//	reg.Use(tracing.New(provider))
//
// # Spans
//
// A write that is made within a span, and seen by a source that knows its context
// (bunsource and sqlitesource do), brings these, in the writer's trace:
//
//   - "bindery report": the source has reported the commit;
//   - "bindery read": the batch that read the rows, from its beginning until it was
//     published; the spans of the loader's statements are its children;
//   - "bindery publish": a binding has a new version; a child of the read;
//   - "bindery deliver": a transport has written the event to a client; a child of
//     the read. For each event and transport there are at most [Config].Deliveries.
//
// A batch covers everything that was reported since the last one. It belongs to the trace
// of its first sampled writer, and links to the others. A batch without a known writer is
// a trace of its own: the first load, for example, or what other processes have written.
//
// # Sampling
//
// A batch whose writers are known, but not sampled, has no spans. For other batches the
// provider's sampler decides. The deliveries of an event cost nothing if its batch is not
// sampled.
//
// # What is kept
//
// The events of a batch hold its context, so a sampled span stays in memory as long as the
// log keeps these events.
package tracing

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// scope is the name of the instrumentation.
const scope = "github.com/binderyhq/bindery/plugins/tracing"

// Config tunes the plugin. In each field zero means the default.
type Config struct {
	// Deliveries is how many deliveries of one event have a span, for each transport:
	// the first ones. The default is 4; negative means none.
	Deliveries int
}

// WithDefaults returns a copy with the default in every zero field.
func (c Config) WithDefaults() Config {
	if c.Deliveries == 0 {
		c.Deliveries = 4
	}
	return c
}

// Plugin makes spans. It is made by [New] and given to [core.Registry.Use]. It starts
// no goroutine.
type Plugin struct {
	tracer trace.Tracer // nil: no provider was given
	cfg    Config
	extra  bool // more than one configuration is given
}

var (
	_ core.Plugin           = (*Plugin)(nil)
	_ core.ReportObserver   = (*Plugin)(nil)
	_ core.BatchObserver    = (*Plugin)(nil)
	_ core.PublishObserver  = (*Plugin)(nil)
	_ core.DeliveryObserver = (*Plugin)(nil)
)

// New returns a plugin that makes spans with the provider. At most one configuration
// may be given. [core.Registry.Start] reports errors in the arguments.
func New(provider trace.TracerProvider, cfg ...Config) *Plugin {
	p := &Plugin{extra: len(cfg) > 1}
	if provider != nil {
		p.tracer = provider.Tracer(scope)
	}
	if len(cfg) > 0 {
		p.cfg = cfg[0]
	}
	p.cfg = p.cfg.WithDefaults()
	return p
}

// Name returns "tracing".
func (*Plugin) Name() string { return "tracing" }

// Start checks the arguments of New, see [core.Plugin].
func (p *Plugin) Start(context.Context, *core.Registry) error { return p.Validate() }

// Validate returns every error in the configuration, see [driver.Validator].
func (p *Plugin) Validate() error {
	if p.tracer == nil {
		return errors.New("tracing: the provider is nil")
	}
	if p.extra {
		return errors.New("tracing: more than one configuration is given")
	}
	return nil
}

// Shutdown does nothing. The program shuts the provider down after the registry.
func (*Plugin) Shutdown(context.Context) error { return nil }

// Reported makes the spans of reports, see [core.ReportObserver].
func (p *Plugin) Reported(by driver.Source, changes []driver.Change) {
	for i, c := range changes {
		if c.Writer == nil || !trace.SpanContextFromContext(c.Writer).IsSampled() {
			continue
		}
		keys := attribute.Int("bindery.keys", len(c.Keys))
		if c.Keys == nil {
			keys = attribute.Bool("bindery.whole", true)
		}
		_, span := p.tracer.Start(c.Writer, "bindery report", trace.WithAttributes(
			attribute.String("bindery.source", by.Name()), attribute.String("bindery.table", c.Table.String()), keys, attribute.Int("bindery.change", i)))
		span.End()
	}
}

// batch is the value in the context of a sampled batch.
type batch struct {
	span trace.Span

	mu        sync.Mutex
	delivered map[delivery]int // guarded by mu
}

// delivery is the key by which deliveries are counted.
type delivery struct {
	transport string
	event     *live.Event
}

type batchKey struct{}

func batchOf(ctx context.Context) *batch {
	if ctx == nil {
		return nil
	}
	b, _ := ctx.Value(batchKey{}).(*batch)
	return b
}

// BatchBegan begins the span of a read, see [core.BatchObserver].
func (p *Plugin) BatchBegan(ctx context.Context, b core.Batch) context.Context {
	parent := ctx
	opts := []trace.SpanStartOption{trace.WithAttributes(
		attribute.String("bindery.table", b.Table.String()), attribute.Int("bindery.keys", b.Keys),
		attribute.Bool("bindery.whole", b.Whole), attribute.Int("bindery.reloads", b.Reloads), attribute.Bool("bindery.retry", b.Retry))}
	if n := len(b.Writers) + b.MoreWriters; n > 0 {
		opts = append(opts, trace.WithAttributes(attribute.Int("bindery.writers", n)))
	}
	if !b.Reported.IsZero() {
		opts = append(opts, trace.WithAttributes(attribute.Int64("bindery.reported", b.Reported.UnixNano())))
	}
	sampled := false
	var links []trace.Link
	for _, writer := range b.Writers {
		sc := trace.SpanContextFromContext(writer)
		switch {
		case !sc.IsValid():
		case sc.IsSampled() && !sampled:
			sampled = true
			parent = trace.ContextWithSpanContext(ctx, sc)
		default:
			links = append(links, trace.Link{SpanContext: sc})
		}
	}
	if len(b.Writers) > 0 && !sampled {
		return ctx
	}
	begun, span := p.tracer.Start(parent, "bindery read", append(opts, trace.WithLinks(links...))...)
	if !span.SpanContext().IsSampled() {
		return ctx
	}
	return context.WithValue(begun, batchKey{}, &batch{span: span, delivered: make(map[delivery]int)})
}

// BatchEnded ends the span of a read, see [core.BatchObserver].
func (p *Plugin) BatchEnded(ctx context.Context, r core.BatchResult) {
	b := batchOf(ctx)
	if b == nil {
		return
	}
	b.span.SetAttributes(
		attribute.Int("bindery.published", r.Published), attribute.Int("bindery.created", r.Created), attribute.Int("bindery.updated", r.Updated),
		attribute.Int("bindery.deleted", r.Deleted), attribute.Int("bindery.aside", r.SetAside),
		attribute.Float64("bindery.read_seconds", r.Read.Seconds()), attribute.Float64("bindery.delay_seconds", r.Delay.Seconds()))
	if r.Err != nil {
		b.span.RecordError(r.Err)
		b.span.SetStatus(codes.Error, "the batch could not be read")
	}
	b.span.End()
}

// Published makes the span of a new version, see [core.PublishObserver].
func (p *Plugin) Published(v *live.View, e *live.Event) {
	if batchOf(e.Context()) == nil {
		return
	}
	_, span := p.tracer.Start(e.Context(), "bindery publish", trace.WithAttributes(
		attribute.String("bindery.binding", v.Name()), attribute.String("bindery.version", e.Version.Token),
		attribute.Int("bindery.created", len(e.Created)), attribute.Int("bindery.updated", len(e.Updated)), attribute.Int("bindery.deleted", len(e.Deleted))))
	span.End()
}

// Delivered makes the span of a delivery, see [core.DeliveryObserver].
func (p *Plugin) Delivered(d core.Delivery) {
	b := batchOf(d.Event.Context())
	if b == nil || !b.counts(delivery{d.Transport, d.Event}, p.cfg.Deliveries) {
		return
	}
	_, span := p.tracer.Start(d.Event.Context(), "bindery deliver", trace.WithTimestamp(d.Began), trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		attribute.String("bindery.transport", d.Transport), attribute.String("bindery.binding", d.View.Name()),
		attribute.String("bindery.version", d.Event.Version.Token), attribute.Bool("bindery.merged", d.Event.Merged)))
	span.End()
}

// maxEvents bounds the events of one batch whose deliveries are counted. Clients that
// lag in many ways get many merged events.
const maxEvents = 64

// counts reports whether the delivery is among the first ones of its event.
func (b *batch) counts(d delivery, most int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, known := b.delivered[d]
	if n >= most || !known && len(b.delivered) >= maxEvents {
		return false
	}
	b.delivered[d] = n + 1
	return true
}
