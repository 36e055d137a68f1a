package tracing_test

import (
	"context"
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/plugins/tracing"
)

// One in a hundred requests is traced, and what they write with them.
func ExampleNew() {
	exporter := tracetest.NewInMemoryExporter() // in a program: OTLP
	// region provider
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.01))),
	)
	reg := core.NewRegistry()
	reg.Use(tracing.New(provider))
	// endregion
	fmt.Println(reg.Start(context.Background()))
	// Spans that were not exported yet are when the registry has ended.
	fmt.Println(reg.Shutdown(context.Background()), provider.Shutdown(context.Background()))
	// Output:
	// <nil>
	// <nil> <nil>
}
