package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
)

// product is the row of most tests.
type product struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// clock is a clock that stands still until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// streams is a transport that can be linked to.
type streams struct{ core.Transport }

func (streams) Name() string                     { return "streams" }
func (streams) Mount(*core.Registry) error       { return nil }
func (streams) Shutdown(context.Context) error   { return nil }
func (streams) MonitorURL(binding string) string { return "/events/" + binding }

// shop is a registry with a table of products behind an Echo.
type shop struct {
	t      testing.TB
	e      *echo.Echo
	reg    *core.Registry
	rest   *Transport
	table  *coretest.Table[product]
	source *coretest.Source
	clock  *clock
}

// newShop serves n products as "products" under /api, ready to be asked.
func newShop(t testing.TB, n int, cfg ...Config) *shop {
	t.Helper()
	return newAuthorizedShop(t, n, nil, cfg...)
}

// newAuthorizedShop is newShop with an authorizer, nil for none.
func newAuthorizedShop(t testing.TB, n int, authorizer core.Authorizer, cfg ...Config) *shop {
	t.Helper()
	s := &shop{
		t: t, e: echo.New(),
		table:  coretest.NewTable[product]("products", "id"),
		source: &coretest.Source{},
		clock:  &clock{t: time.Date(2030, 1, 2, 3, 4, 5, 500e6, time.UTC)},
	}
	rows := make([]product, n)
	for i := range rows {
		rows[i] = product{int64(i + 1), fmt.Sprintf("product %d", i+1)}
	}
	s.table.Put(rows...)
	s.reg = core.Config{Now: s.clock.now, Logger: slog.New(slog.DiscardHandler)}.NewRegistry()
	s.rest = New(s.e.Group("/api"), cfg...)
	if authorizer != nil {
		if err := s.reg.Authorize(authorizer); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		s.reg.Add(core.Bind("products", s.table)),
		s.reg.Watch(s.source),
		s.reg.Serve(s.rest, streams{}),
		s.reg.Start(t.Context()),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { s.shutdown() })
	return s
}

func (s *shop) shutdown() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := s.reg.Shutdown(ctx); err != nil {
		s.t.Errorf("shutting down: %v", err)
	}
}

// put writes rows and returns when they show.
func (s *shop) put(rows ...product) {
	s.t.Helper()
	s.report(s.table.Put(rows...))
}

func (s *shop) delete(ids ...int64) {
	s.t.Helper()
	var keys []driver.Key
	for _, id := range ids {
		keys = append(keys, driver.KeyOf(id))
	}
	s.report(s.table.Remove(keys...))
}

func (s *shop) report(c driver.Change) {
	s.t.Helper()
	if err := s.source.Report(s.t.Context(), c); err != nil {
		s.t.Fatal(err)
	}
}

// version returns the current token of the products.
func (s *shop) version() string {
	v, ok := s.reg.Lookup("products")
	if !ok {
		s.t.Fatal("no products")
	}
	return v.Version().Token
}

// do makes a request; headers are pairs of name and value.
func (s *shop) do(method, target string, headers ...string) *http.Response {
	s.t.Helper()
	return do(s.t, s.e, method, target, headers...)
}

func do(t testing.TB, h http.Handler, method, target string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil).WithContext(t.Context())
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec.Result()
}

func body(t testing.TB, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// want checks the status, and that errors are problems.
func want(t testing.TB, res *http.Response, status int) {
	t.Helper()
	if res.StatusCode != status {
		t.Fatalf("status %d, want %d: %s", res.StatusCode, status, body(t, res))
	}
	if status >= 400 {
		if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("Content-Type %q of an error", got)
		}
	}
}

func decode[T any](t testing.TB, res *http.Response) (v T) {
	t.Helper()
	if err := json.NewDecoder(res.Body).Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}
