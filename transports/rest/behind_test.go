package rest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/klauspost/compress/gzhttp"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/binderyhq/bindery/transports/rest/internal/resttest"
	"github.com/binderyhq/bindery/transports/transporttest/wireharness"
)

// Whatever middleware compresses, copies or gathers answers, each bears one
// coding, and a strong tag names one sequence of bytes.
func TestBehindMiddleware(t *testing.T) {
	dump := middleware.BodyDump(func(echo.Context, []byte, []byte) {})
	//lint:ignore SA1019 applications have it all the same
	timeout := middleware.TimeoutWithConfig(middleware.TimeoutConfig{Timeout: time.Minute})
	for name, c := range map[string]struct {
		use    []echo.MiddlewareFunc
		around func(http.Handler) http.Handler
		cfg    Config
		weak   bool // tags may be
	}{
		"nothing":               {},
		"Gzip":                  {use: []echo.MiddlewareFunc{middleware.Gzip()}},
		"Gzip, nothing of ours": {use: []echo.MiddlewareFunc{middleware.Gzip()}, cfg: Config{MinCompress: -1}},
		"Gzip of long bodies":   {use: []echo.MiddlewareFunc{middleware.GzipWithConfig(middleware.GzipConfig{MinLength: 2000})}},
		"BodyDump":              {use: []echo.MiddlewareFunc{dump}},
		"Gzip in BodyDump":      {use: []echo.MiddlewareFunc{dump, middleware.Gzip()}},
		"BodyDump in Gzip":      {use: []echo.MiddlewareFunc{middleware.Gzip(), dump}, weak: true},
		"Timeout":               {use: []echo.MiddlewareFunc{timeout}},
		"ContextTimeout":        {use: []echo.MiddlewareFunc{middleware.ContextTimeout(time.Minute)}},
		"Gzip in Timeout":       {use: []echo.MiddlewareFunc{timeout, middleware.Gzip()}},
		"Timeout in Gzip":       {use: []echo.MiddlewareFunc{middleware.Gzip(), timeout}, weak: true},
		"a tutorial's":          {around: wireharness.TutorialGzip},
		"one that hides":        {around: wireharness.HidingGzip, weak: true},
		"klauspost's":           {around: func(h http.Handler) http.Handler { return gzhttp.GzipHandler(h) }},
		"chi's Compress":        {around: chimiddleware.Compress(5, "application/json")},
		"TimeoutHandler":        {around: func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Minute, "") }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t, 100, c.cfg)
			s.Echo.Use(c.use...)
			h := http.Handler(s.Echo)
			if c.around != nil {
				h = c.around(h)
			}
			server := httptest.NewServer(h)
			t.Cleanup(server.Close)
			client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
			t.Cleanup(client.CloseIdleConnections)
			get := func(path string, headers ...string) (*http.Response, []byte) {
				t.Helper()
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				for i := 0; i < len(headers); i += 2 {
					r.Header.Set(headers[i], headers[i+1])
				}
				res, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				b, err := io.ReadAll(res.Body)
				if err != nil {
					t.Fatalf("%s %v: %v", path, headers, err)
				}
				return res, b
			}
			tagged := map[string]string{} // path and strong tag -> bytes
			for path, status := range map[string]int{
				"/api/products": 200, "/api/products?limit=50&offset=10": 200, "/api/products/7": 200,
				"/api/products?since=" + s.Version(): 200, "/api/products?since=x": 200,
				"/api/products/1000": 404, "/api/nothing": 404, "/api": 404, "/api/products?limit=x": 400,
			} {
				for _, accept := range []string{"", "identity", "gzip", "br, gzip", "zstd, br, gzip", "gzip;q=0", "br"} {
					res, b := get(path, "Accept-Encoding", accept)
					if res.StatusCode != status {
						t.Errorf("%s, %q: status %d", path, accept, res.StatusCode)
					}
					in := res.Header.Values("Content-Encoding")
					if len(in) > 1 || len(in) == 1 && !strings.Contains(accept, in[0]) {
						t.Errorf("%s, %q: Content-Encoding %q", path, accept, in)
					}
					if plain := resttest.Unpack(t, res.Header.Get("Content-Encoding"), b); !json.Valid(plain) {
						t.Errorf("%s, %q: %q in coding %q", path, accept, plain, in)
					}
					tag := res.Header.Get("ETag")
					if tag == "" {
						continue
					}
					if strings.HasPrefix(tag, "W/") {
						if !c.weak {
							t.Errorf("%s, %q: the tag is weak: %s", path, accept, tag)
						}
					} else if was, ok := tagged[path+tag]; ok && was != string(b) {
						t.Errorf("%s, %q: the tag %s names two bodies, the second in coding %q", path, accept, tag, in)
					} else {
						tagged[path+tag] = string(b)
					}
					if res, b := get(path, "Accept-Encoding", accept, "If-None-Match", tag); res.StatusCode != http.StatusNotModified || len(b) > 0 || res.Header.Get("ETag") != tag {
						t.Errorf("%s, %q: asked again with %s: %d %s %q", path, accept, tag, res.StatusCode, res.Header.Get("ETag"), b)
					}
				}
			}
		})
	}
}

func TestLinksBehindAPrefix(t *testing.T) {
	proxy := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} // httptest's requests come from there
	for name, c := range map[string]struct {
		cfg     Config
		headers []string
		want    string
	}{
		"nothing":             {Config{}, nil, ""},
		"configured":          {Config{BasePath: "/shop"}, nil, "/shop"},
		"not trusted":         {Config{BasePath: "/shop"}, []string{"X-Forwarded-Prefix", "/evil"}, "/shop"},
		"trusted":             {Config{BasePath: "/shop", TrustedProxies: proxy}, []string{"X-Forwarded-Prefix", "/a/b/"}, "/a/b"},
		"several proxies":     {Config{TrustedProxies: proxy}, []string{"X-Forwarded-Prefix", "/a, /b", "X-Forwarded-Prefix", "/c"}, "/a/b/c"},
		"trusted, empty":      {Config{BasePath: "/shop", TrustedProxies: proxy}, []string{"X-Forwarded-Prefix", "/"}, ""},
		"another host":        {Config{BasePath: "/shop", TrustedProxies: proxy}, []string{"X-Forwarded-Prefix", "//evil.example"}, "/shop"},
		"no path":             {Config{TrustedProxies: proxy}, []string{"X-Forwarded-Prefix", "evil"}, ""},
		"climbing":            {Config{TrustedProxies: proxy}, []string{"X-Forwarded-Prefix", "/a/../b"}, ""},
		"breaking out":        {Config{TrustedProxies: proxy}, []string{"X-Forwarded-Prefix", "/a>; rel=next"}, ""},
		"too long":            {Config{TrustedProxies: proxy}, []string{"X-Forwarded-Prefix", "/" + strings.Repeat("a", 256)}, ""},
		"from somewhere else": {Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, []string{"X-Forwarded-Prefix", "/a"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t, 30, c.cfg)
			for path, wanted := range map[string]string{
				"/api/products":          `<%s/events/products>; rel="monitor"`,
				"/api/products/1":        `<%s/events/products>; rel="monitor"`,
				"/api/products?since=x":  `<%s/events/products>; rel="monitor"`,
				"/api/products?limit=30": `<%[1]s/api/products?limit=30&offset=0>; rel="first", <%[1]s/api/products?limit=30&offset=0>; rel="last", <%[1]s/events/products>; rel="monitor"`,
			} {
				for range 2 { // what a snapshot keeps is of one prefix
					res := s.Do(http.MethodGet, path, c.headers...)
					want(t, res, http.StatusOK)
					if got := res.Header.Get("Link"); got != fmt.Sprintf(wanted, c.want) {
						t.Errorf("%s: Link: %s", path, got)
					}
				}
			}
		})
	}
}

func TestBasePathIsChecked(t *testing.T) {
	for _, bad := range []string{"shop", "/", "/shop/", "//host", "/a/../b", "/a b", "/ü", "/a?b", "/a;b"} {
		if err := (Config{BasePath: bad}).Validate(); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	for _, good := range []string{"", "/shop", "/a/b-c_d.~%20"} {
		if err := (Config{BasePath: good}).Validate(); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	if err := (Config{TrustedProxies: make([]netip.Prefix, 1)}).Validate(); err == nil {
		t.Error("a zero network is accepted")
	}
}
