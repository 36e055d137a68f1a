package tracing_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/plugins/tracing"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
	"github.com/binderyhq/bindery/sources/sqlitesource"
	"github.com/binderyhq/bindery/transports/sse"
	"github.com/binderyhq/bindery/transports/websocket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

type thing struct {
	bun.BaseModel `bun:"table:things" json:"-"`

	ID   int64  `bun:"id,pk" json:"id"`
	Name string `bun:"name,notnull" json:"name"`
}

// recorder returns a provider that samples as the parent does, roots if told to, and
// what it has exported.
func recorder(t *testing.T, roots bool) (*sdk.TracerProvider, *tracetest.InMemoryExporter) {
	t.Helper()
	root := sdk.NeverSample()
	if roots {
		root = sdk.AlwaysSample()
	}
	exporter := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(exporter), sdk.WithSampler(sdk.ParentBased(root)))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	return provider, exporter
}

func named(spans tracetest.SpanStubs, name string) (found tracetest.SpanStubs) {
	for _, s := range spans {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

// awaitReads waits until so many batches have ended: they do after what they publish
// has been seen.
func awaitReads(t *testing.T, exporter *tracetest.InMemoryExporter, n int) tracetest.SpanStubs {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(time.Millisecond) {
		reads := named(exporter.GetSpans(), "bindery read")
		if len(reads) >= n {
			return reads
		}
		if time.Now().After(end) {
			t.Fatalf("%d batches have ended, want %d", len(reads), n)
		}
	}
}

func attr(s tracetest.SpanStub, key string) attribute.Value {
	for _, a := range s.Attributes {
		if string(a.Key) == key {
			return a.Value
		}
	}
	return attribute.Value{}
}

// TestFromWriterToClient: one write is one trace, from the span in which it was made
// to the transport's write, by every source that knows its writer.
func TestFromWriterToClient(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) (*bun.DB, driver.Source){
		"hooks and driver": func(t *testing.T) (*bun.DB, driver.Source) {
			db, err := bunsource.Open("sqlite", sqliteFile(t), sqlitedialect.New())
			if err != nil {
				t.Fatal(err)
			}
			return db, bunsource.Hooks(db)
		},
		"hooks alone": func(t *testing.T) (*bun.DB, driver.Source) {
			sqldb, err := sql.Open("sqlite", sqliteFile(t))
			if err != nil {
				t.Fatal(err)
			}
			db := bun.NewDB(sqldb, sqlitedialect.New())
			return db, bunsource.Hooks(db)
		},
		"sqlitesource": func(t *testing.T) (*bun.DB, driver.Source) {
			s, err := sqlitesource.New(sqliteFile(t))
			if err != nil {
				t.Fatal(err)
			}
			return bun.NewDB(sql.OpenDB(s.Connector()), sqlitedialect.New()), s
		},
		"postgres": func(t *testing.T) (*bun.DB, driver.Source) {
			db, err := bunsource.Open("pgx", pgtest.Shared(t).CreateDatabase(t), pgdialect.New())
			if err != nil {
				t.Fatal(err)
			}
			return db, bunsource.Hooks(db)
		},
	} {
		t.Run(name, func(t *testing.T) {
			provider, exporter := recorder(t, true)
			ctx := t.Context()
			db, source := open(t)
			defer func() { _ = db.Close() }()
			if _, err := db.NewCreateTable().Model((*thing)(nil)).Exec(ctx); err != nil {
				t.Fatal(err)
			}
			e := echo.New()
			reg := core.Config{Logger: slog.New(slog.DiscardHandler)}.NewRegistry()
			_ = reg.Add(bunsource.Bind[thing](db, "things"))
			_ = reg.Watch(source)
			_ = reg.Serve(sse.New(e.Group("/events")), websocket.New(e.Group("/ws")))
			_ = reg.Use(tracing.New(provider))
			if err := reg.Start(ctx); err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(e)
			defer server.Close()
			defer func() { _ = reg.Shutdown(context.Background()) }()
			res, err := http.Get(server.URL + "/events/things")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			lines := bufio.NewScanner(res.Body)
			until := func(text string) {
				t.Helper()
				for lines.Scan() {
					if strings.Contains(lines.Text(), text) {
						return
					}
				}
				t.Fatalf("the stream ended before %q: %v", text, lines.Err())
			}
			until(`"sync"`)
			awaitReads(t, exporter, 1)
			exporter.Reset()

			for _, write := range []func(ctx context.Context) error{
				func(ctx context.Context) error {
					_, err := db.NewInsert().Model(&thing{ID: 1, Name: "alone"}).Exec(ctx)
					return err
				},
				func(ctx context.Context) error {
					return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
						_, err := tx.NewInsert().Model(&[]thing{{ID: 2, Name: "in a transaction"}, {ID: 3, Name: "three"}}).Exec(ctx)
						return err
					})
				},
			} {
				writing, span := provider.Tracer("test").Start(ctx, "handler")
				if err := write(writing); err != nil {
					t.Fatal(err)
				}
				span.End()
				until(`"create"`)
				var spans tracetest.SpanStubs
				for end := time.Now().Add(60 * time.Second); len(named(spans, "bindery deliver")) == 0 || len(named(spans, "bindery read")) == 0; time.Sleep(time.Millisecond) {
					if spans = exporter.GetSpans(); time.Now().After(end) {
						t.Fatalf("no delivery in %v", spans)
					}
				}
				exporter.Reset()
				parents := map[string]string{"bindery report": "handler", "bindery read": "handler", "bindery publish": "bindery read", "bindery deliver": "bindery read"}
				for child, parent := range parents {
					found, of := named(spans, child), named(spans, parent)
					if len(found) != 1 || len(of) != 1 {
						t.Fatalf("%d spans %q, %d %q", len(found), child, len(of), parent)
					}
					if found[0].Parent.SpanID() != of[0].SpanContext.SpanID() || found[0].SpanContext.TraceID() != span.SpanContext().TraceID() {
						t.Errorf("%q is no child of %q in the writer's trace", child, parent)
					}
				}
				if got := attr(named(spans, "bindery deliver")[0], "bindery.transport").AsString(); got != "sse" {
					t.Errorf("delivered by %q", got)
				}
				if got := attr(named(spans, "bindery publish")[0], "bindery.created").AsInt64(); got < 1 {
					t.Errorf("published %d rows", got)
				}
			}
		})
	}
}

func sqliteFile(t *testing.T) string {
	return "file:" + filepath.Join(t.TempDir(), "things.db") + "?_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)&_txlock=immediate"
}

// rig is a registry over a table in memory.
type rig struct {
	table  *coretest.Table[thing]
	source *coretest.Source
	reg    *core.Registry
	b      *core.Binding[thing]
}

func newRig(t *testing.T, p *tracing.Plugin) *rig {
	t.Helper()
	r := &rig{table: coretest.NewTable[thing]("things", "id"), source: &coretest.Source{}}
	r.reg = core.Config{Logger: slog.New(slog.DiscardHandler)}.NewRegistry()
	r.b = core.Bind("things", r.table)
	_ = r.reg.Add(r.b)
	_ = r.reg.Watch(r.source)
	_ = r.reg.Use(p)
	if err := r.reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.reg.Shutdown(context.Background()) })
	return r
}

// nobody is the context of a write whose writer is not known.
var nobody context.Context

func (r *rig) write(writer context.Context, id int64) driver.Receipt {
	c := r.table.Put(thing{ID: id})
	c.Writer = writer
	return r.source.Sink().Report(c)
}

// TestSharedBatch: a batch of several writers is a part of the first sampled one's
// trace, and linked to the others.
func TestSharedBatch(t *testing.T) {
	provider, exporter := recorder(t, true)
	r := newRig(t, tracing.New(provider))
	writer := func() (context.Context, trace.SpanContext) {
		ctx, span := provider.Tracer("test").Start(t.Context(), "handler")
		defer span.End()
		return ctx, span.SpanContext()
	}
	unsampled := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
	awaitReads(t, exporter, 1)
	release := r.table.Hold()
	blocking := r.write(nobody, 1) // its read is held, so the others share the next
	for loads, _ := r.table.Reads(); loads < 2; loads, _ = r.table.Reads() {
		time.Sleep(time.Millisecond)
	}
	var receipts []driver.Receipt
	receipts = append(receipts, blocking, r.write(unsampled, 2))
	first, firstOf := writer()
	receipts = append(receipts, r.write(first, 3))
	_, secondOf := writer()
	receipts = append(receipts, r.write(trace.ContextWithSpanContext(t.Context(), secondOf), 4))
	for id := range 20 { // more than are remembered
		receipts = append(receipts, r.write(first, int64(5+id)))
	}
	exporter.Reset()
	release()
	for _, receipt := range receipts {
		if err := receipt.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	reads := awaitReads(t, exporter, 2)
	if reads[0].Parent.IsValid() {
		t.Error("a batch of unknown writers is a part of another trace")
	}
	shared := reads[1]
	if shared.Parent.SpanID() != firstOf.SpanID() {
		t.Errorf("the parent is %v, want %v", shared.Parent, firstOf)
	}
	linked := map[trace.SpanID]bool{}
	for _, l := range shared.Links {
		linked[l.SpanContext.SpanID()] = true
	}
	if !linked[secondOf.SpanID()] || !linked[trace.SpanID{2}] || attr(shared, "bindery.writers").AsInt64() != 23 || len(shared.Links) > 16 {
		t.Errorf("%d links, writers %v", len(shared.Links), attr(shared, "bindery.writers").AsInt64())
	}
}

// TestUnsampled: what is not sampled has no spans, and its events say so, so that
// deliveries cost nothing.
func TestUnsampled(t *testing.T) {
	provider, exporter := recorder(t, false)
	r := newRig(t, tracing.New(provider))
	sub := r.b.Subscribe(live.SubscribeOptions{})
	defer sub.Close()
	if _, err := sub.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	unsampled := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
	for id, writer := range []context.Context{nil, unsampled} {
		if err := r.write(writer, int64(id)).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e, err := sub.Next(t.Context()); err != nil || e.Context() != nil {
			t.Errorf("the event is followed: %v, %v", e.Context(), err)
		}
	}
	if spans := exporter.GetSpans(); len(spans) != 0 {
		t.Errorf("%d spans", len(spans))
	}
}

// TestDeliveriesAreBounded: of many clients only the first are followed, by each
// transport.
func TestDeliveriesAreBounded(t *testing.T) {
	provider, exporter := recorder(t, true)
	r := newRig(t, tracing.New(provider, tracing.Config{Deliveries: 2}))
	sub := r.b.Subscribe(live.SubscribeOptions{})
	defer sub.Close()
	if _, err := sub.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.write(nobody, 1).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	e, err := sub.Next(t.Context())
	if err != nil || e.Context() == nil {
		t.Fatal(e, err)
	}
	began := time.Now().Add(-time.Second)
	for range 100 {
		r.reg.Delivered("one", r.b.View, e, began)
		r.reg.Delivered("two", r.b.View, e, began)
	}
	spans := named(exporter.GetSpans(), "bindery deliver")
	if len(spans) != 4 || !spans[0].StartTime.Equal(began) {
		t.Errorf("%d deliveries have spans", len(spans))
	}
}

// TestFailure: a batch that cannot be read is an error in the trace.
func TestFailure(t *testing.T) {
	provider, exporter := recorder(t, true)
	r := newRig(t, tracing.New(provider))
	awaitReads(t, exporter, 1)
	exporter.Reset()
	r.table.Fail(errors.New("away"))
	receipt := r.write(nobody, 1)
	if span := awaitReads(t, exporter, 1)[0]; span.Status.Description == "" || len(span.Events) != 1 {
		t.Errorf("the span says %+v", span.Status)
	}
	r.table.Fail(nil)
	if err := receipt.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestMisuse is reported by Start.
func TestMisuse(t *testing.T) {
	provider, _ := recorder(t, true)
	for want, p := range map[string]*tracing.Plugin{
		"nil": tracing.New(nil), "more than one": tracing.New(provider, tracing.Config{}, tracing.Config{}),
	} {
		reg := core.NewRegistry()
		_ = reg.Use(p)
		if err := reg.Start(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
