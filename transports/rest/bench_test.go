package rest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
)

// discard is a ResponseWriter that costs nothing.
type discard struct {
	h      http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// asker returns a function that makes one request and expects the status.
func asker(tb testing.TB, h http.Handler, status int, target string, headers ...string) func() {
	r := httptest.NewRequest("GET", target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := &discard{h: http.Header{}}
	return func() {
		clear(w.h)
		h.ServeHTTP(w, r)
		if w.status != status {
			tb.Fatalf("status %d", w.status)
		}
	}
}

// What a 304 allocates does not grow with the binding. (A page's links and its
// total are numbers, and short numbers happen not to be allocated: so its
// smaller binding is not that small.)
func TestNotModifiedAllocations(t *testing.T) {
	for _, c := range []struct {
		target       string
		small, large int
	}{
		{"/api/products", 10, 10_000},
		{"/api/products/7", 10, 10_000},
		{"/api/products?limit=5", 200, 10_000},
	} {
		count := func(n int) float64 {
			s := newShop(t, n)
			tag := s.Do("GET", c.target).Header.Get("ETag")
			return testing.AllocsPerRun(200, asker(t, s.Echo, 304, c.target, "If-None-Match", tag))
		}
		// The race detector makes pools forget now and then, which shows as some
		// allocations more on average; one per row would show as thousands.
		if small, large := count(c.small), count(c.large); large > small+10 {
			t.Errorf("%s: %v allocations with %d rows, %v with %d", c.target, small, c.small, large, c.large)
		}
	}
}

func BenchmarkEmptyHandler(b *testing.B) {
	e := echo.New()
	e.GET("/api/:binding", func(c echo.Context) error { return c.NoContent(http.StatusNotModified) })
	ask := asker(b, e, 304, "/api/products", "If-None-Match", `"AAAAAAAAAAAAAAAAAAAAAA"`)
	b.ReportAllocs()
	for b.Loop() {
		ask()
	}
}

func BenchmarkNotModified(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		s := newShop(b, n)
		for _, target := range []string{"", "/7", "?limit=5"} {
			target = "/api/products" + target
			ask := asker(b, s.Echo, 304, target, "If-None-Match", s.Do("GET", target).Header.Get("ETag"), "Accept-Encoding", "gzip, deflate, br, zstd")
			b.Run(fmt.Sprintf("rows=%d%s", n, target), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					ask()
				}
			})
		}
	}
}

func BenchmarkList(b *testing.B) {
	s := newShop(b, 1000)
	for _, accept := range []string{"identity", "gzip", "zstd"} {
		ask := asker(b, s.Echo, 200, "/api/products", "Accept-Encoding", accept)
		b.Run(accept, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ask()
			}
		})
	}
}

// BenchmarkOverHTTP asks over a socket, where a 304 is to be compared: an empty
// handler, a binding, and a page of the application behind [NotModified]. Most of
// the time is the connection's.
func BenchmarkOverHTTP(b *testing.B) {
	s := newShop(b, 1000)
	s.Echo.GET("/empty", func(c echo.Context) error { return c.NoContent(http.StatusNotModified) })
	s.Echo.GET("/page", func(c echo.Context) error { return c.String(http.StatusOK, "page") }, NotModified(s.View("products")))
	server := httptest.NewServer(s.Echo)
	defer server.Close()
	tags := map[string]string{"/empty": `"x"`}
	for _, target := range []string{"/api/products", "/page"} {
		tags[target] = s.Do("GET", target).Header.Get("ETag")
	}
	for _, target := range []string{"/empty", "/api/products", "/page"} {
		b.Run(target, func(b *testing.B) {
			for b.Loop() {
				r, err := http.NewRequestWithContext(b.Context(), "GET", server.URL+target, nil)
				if err != nil {
					b.Fatal(err)
				}
				r.Header.Set("If-None-Match", tags[target])
				res, err := server.Client().Do(r)
				if err != nil || res.StatusCode != 304 {
					b.Fatal(res, err)
				}
				_ = res.Body.Close()
			}
		})
	}
}

// BenchmarkNotModifiedPage is a page of the application that is not modified,
// beside an Echo whose handler does nothing.
func BenchmarkNotModifiedPage(b *testing.B) {
	s := newShop(b, 1000)
	e := echo.New()
	e.GET("/page", func(c echo.Context) error { return c.String(200, "page") }, NotModified(s.View("products")))
	e.GET("/empty", func(c echo.Context) error { return c.NoContent(200) })
	tag := do(b, e, "GET", "/page").Header.Get("ETag")
	for name, ask := range map[string]func(){
		"304":   asker(b, e, 304, "/page", "If-None-Match", tag),
		"empty": asker(b, e, 200, "/empty"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ask()
			}
		})
	}
}
