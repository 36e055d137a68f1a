package resttest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// Product is the row of most tests.
type Product struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// Streams is a transport that answers link to: its streams are under /events.
type Streams struct{ core.Transport }

func (Streams) Name() string                     { return "streams" }
func (Streams) Mount(*core.Registry) error       { return nil }
func (Streams) Shutdown(context.Context) error   { return nil }
func (Streams) MonitorURL(binding string) string { return "/events/" + binding }

// Shop is a registry with a table of products behind an Echo.
type Shop struct {
	T      testing.TB
	Echo   *echo.Echo
	Reg    *core.Registry
	Table  *coretest.Table[Product]
	Source *coretest.Source
	Clock  *Clock
}

// NewShop starts a registry with n products as the binding "products". serve returns
// the transport to test, and may be nil. The authorizer is nil for none.
func NewShop(t testing.TB, n int, authorizer core.Authorizer, serve func(*echo.Echo) core.Transport) *Shop {
	t.Helper()
	s := &Shop{T: t, Echo: echo.New(), Table: coretest.NewTable[Product]("products", "id"), Source: &coretest.Source{}, Clock: NewClock()}
	rows := make([]Product, n)
	for i := range rows {
		rows[i] = Product{int64(i + 1), fmt.Sprintf("product %d", i+1)}
	}
	s.Table.Put(rows...)
	s.Reg = core.Config{Now: s.Clock.Now, Logger: slog.New(slog.DiscardHandler)}.NewRegistry()
	start(t, s.Reg, s.Echo, authorizer, s.Source, serve, core.Bind("products", s.Table))
	return s
}

// start starts a registry with these parts, and stops it when the test ends.
func start(t testing.TB, reg *core.Registry, e *echo.Echo, authorizer core.Authorizer, source driver.Source, serve func(*echo.Echo) core.Transport, bindings ...core.Bindable) {
	t.Helper()
	if authorizer != nil {
		if err := reg.Authorize(authorizer); err != nil {
			t.Fatal(err)
		}
	}
	var transports []core.Transport
	if serve != nil {
		transports = append(transports, serve(e))
	}
	transports = append(transports, Streams{})
	for _, err := range []error{reg.Add(bindings...), reg.Watch(source), reg.Serve(transports...), reg.Start(t.Context())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { shutdown(t, reg) })
}

func shutdown(t testing.TB, reg *core.Registry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := reg.Shutdown(ctx); err != nil {
		t.Errorf("shutting down: %v", err)
	}
}

// Shutdown stops the registry.
func (s *Shop) Shutdown() {
	s.T.Helper()
	shutdown(s.T, s.Reg)
}

// Put writes rows and returns when they show.
func (s *Shop) Put(rows ...Product) {
	s.T.Helper()
	s.Report(s.Table.Put(rows...))
}

// Delete deletes rows and returns when that shows.
func (s *Shop) Delete(ids ...int64) {
	s.T.Helper()
	var keys []driver.Key
	for _, id := range ids {
		keys = append(keys, driver.KeyOf(id))
	}
	s.Report(s.Table.Remove(keys...))
}

// Report reports a change and returns when it shows.
func (s *Shop) Report(c driver.Change) {
	s.T.Helper()
	if err := s.Source.Report(s.T.Context(), c); err != nil {
		s.T.Fatal(err)
	}
}

// Open adds a binding to the table, and returns when it has loaded.
func (s *Shop) Open(name string, opts ...core.Option) {
	s.T.Helper()
	b := core.Bind(name, s.Table, opts...)
	if err := s.Reg.Add(b); err != nil {
		s.T.Fatal(err)
	}
	<-b.Loaded()
}

// View returns the binding with this name.
func (s *Shop) View(name string) *live.View {
	s.T.Helper()
	v, ok := s.Reg.Lookup(name)
	if !ok {
		s.T.Fatalf("no binding %q", name)
	}
	return v
}

// Version returns the current token of the products.
func (s *Shop) Version() string { return s.View("products").Version().Token }

// Do makes a request; headers are pairs of name and value.
func (s *Shop) Do(method, target string, headers ...string) *http.Response {
	s.T.Helper()
	return Do(s.T, s.Echo, method, target, headers...)
}

// Until waits for a condition, and fails the test if it does not come true.
func (s *Shop) Until(what string, condition func() bool) {
	s.T.Helper()
	Until(s.T, what, condition)
}
