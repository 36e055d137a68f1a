package rest

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/transports/rest/internal/exchange"
	"github.com/binderyhq/bindery/transports/rest/internal/resttest"
)

func TestList(t *testing.T) {
	s := newShop(t, 2)
	res := s.Do("GET", "/api/products")
	want(t, res, 200)
	if got, want := body(t, res), `[{"id":1,"name":"product 1"},{"id":2,"name":"product 2"}]`+"\n"; got != want {
		t.Errorf("body %s", got)
	}
	for name, want := range map[string]string{
		"ETag":          `"` + s.Version() + `"`,
		"Content-Type":  "application/json",
		"Cache-Control": "no-cache",
		"Vary":          "Accept-Encoding",
		"Link":          `</events/products>; rel="monitor"`,
		"Last-Modified": "", // the second is not over
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	s.Clock.Advance(time.Second)
	if got := s.Do("GET", "/api/products").Header.Get("Last-Modified"); got != "Wed, 02 Jan 2030 03:04:06 GMT" {
		t.Errorf("Last-Modified %q", got)
	}
	head := s.Do("HEAD", "/api/products")
	want(t, head, 200)
	if body(t, head) != "" || head.Header.Get("Content-Length") != res.Header.Get("Content-Length") || head.Header.Get("ETag") != res.Header.Get("ETag") {
		t.Errorf("HEAD: %v", head.Header)
	}
}

func TestRow(t *testing.T) {
	s := newShop(t, 2)
	s.Clock.Advance(time.Second)
	res := s.Do("GET", "/api/products/2")
	want(t, res, 200)
	if got := body(t, res); got != `{"id":2,"name":"product 2"}`+"\n" {
		t.Errorf("body %s", got)
	}
	tag := res.Header.Get("ETag")
	if tag == "" || tag == `"`+s.Version()+`"` || res.Header.Get("Last-Modified") == "" || res.Header.Get("Link") == "" {
		t.Errorf("headers %v", res.Header)
	}
	// Another row's change is none of this one's.
	s.Put(product{ID: 1, Name: "changed"})
	res = s.Do("GET", "/api/products/2", "If-None-Match", tag)
	want(t, res, 304)
	s.Put(product{ID: 2, Name: "changed"})
	res = s.Do("GET", "/api/products/2", "If-None-Match", tag)
	want(t, res, 200)
	s.Delete(2)
	want(t, s.Do("GET", "/api/products/2", "If-None-Match", tag), 404)
}

// Every header of the 200 that a cache needs is in the 304 (RFC 9110, section
// 15.4.5), and nothing else.
func TestNotModifiedHeaders(t *testing.T) {
	s := newShop(t, 50)
	s.Clock.Advance(time.Second)
	for _, target := range []string{"/api/products", "/api/products/1", "/api/products?limit=3"} {
		for _, method := range []string{"GET", "HEAD"} {
			full := s.Do(method, target)
			want(t, full, 200)
			res := s.Do(method, target, "If-None-Match", full.Header.Get("ETag"))
			want(t, res, 304)
			if b := body(t, res); b != "" {
				t.Errorf("%s: body %q", target, b)
			}
			for _, name := range []string{"ETag", "Cache-Control", "Vary", "Last-Modified", "Link", "X-Total-Count"} {
				if got, want := res.Header.Get(name), full.Header.Get(name); got != want {
					t.Errorf("%s: %s %q, in the 200 %q", target, name, got, want)
				}
			}
			for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding"} {
				if got := res.Header.Get(name); got != "" {
					t.Errorf("%s: %s %q in a 304", target, name, got)
				}
			}
		}
	}
}

func TestMethods(t *testing.T) {
	s := newShop(t, 1)
	for _, target := range []string{"/api/products", "/api/products/1"} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "REPORT", "QUERY", "get", "X-OWN"} {
			res := s.Do(method, target)
			want(t, res, 405)
			if got := res.Header.Get("Allow"); got != "GET, HEAD, OPTIONS" {
				t.Errorf("%s %s: Allow %q", method, target, got)
			}
		}
		res := s.Do("OPTIONS", target)
		want(t, res, 204)
		if got := res.Header.Get("Allow"); got != "GET, HEAD, OPTIONS" {
			t.Errorf("Allow %q", got)
		}
	}
	want(t, s.Do("QUERY", "/api/unknown"), 404)
	want(t, s.Do("QUERY", "/api/products/1/2"), 404)
}

func TestNothingThere(t *testing.T) {
	s := newShop(t, 1)
	for _, target := range []string{
		"/api", "/api/", "/api/nothing", "/api/nothing/1", "/api/products/", "/api/products/2", "/api/products/x",
		"/api/products/1,1", "/api/products/1/", "/api/products/1/more", "/api/products/1%2F", "/api/products/%31%2Fmore", "/api/Products",
	} {
		for _, method := range []string{"GET", "HEAD"} {
			res := s.Do(method, target)
			want(t, res, 404)
			if res.Header.Get("ETag") != "" || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: %v", method, target, res.Header)
			}
			if b := body(t, res); (b == "") != (method == "HEAD") {
				t.Errorf("%s %s: body %q", method, target, b)
			}
		}
	}
	for _, method := range []string{"POST", "OPTIONS"} {
		want(t, s.Do(method, "/api/nothing"), 404)
	}
}

func TestBadParameters(t *testing.T) {
	s := newShop(t, 1)
	for target, name := range map[string]string{
		"/api/products?limit=0":                      "limit",
		"/api/products?limit=1001":                   "limit",
		"/api/products?limit=":                       "limit",
		"/api/products?limit=%2B1":                   "limit",
		"/api/products?limit=1.0":                    "limit",
		"/api/products?limit=99999999999999999999":   "limit",
		"/api/products?offset=-1":                    "offset",
		"/api/products?offset=":                      "offset",
		"/api/products?offset=1e3":                   "offset",
		"/api/products?offset=-99999999999999999999": "offset",
		"/api/products?offset=x":                     "offset",
		"/api/products?limit=1&limit=1":              "limit",
		"/api/products?since=":                       "since",
		"/api/products?since=a&limit=1":              "since",
		"/api/products?colour=red":                   "colour",
		"/api/products?Limit=1":                      "Limit",
		"/api/products?version=x":                    "version",
		"/api/products/1?limit=1":                    "limit",
		"/api/products/1?x":                          "x",
	} {
		res := s.Do("GET", target)
		want(t, res, 400)
		p := decode[struct {
			Type   string
			Errors []struct{ Field, Detail string }
		}](t, res)
		if p.Type != "urn:bindery:problem:bad-parameter" || len(p.Errors) != 1 || p.Errors[0].Field != name {
			t.Errorf("%s: %+v", target, p)
		}
	}
	want(t, s.Do("GET", "/api/products?a;b"), 400)
	want(t, s.Do("GET", "/api/products?limit=%zz"), 400)
	want(t, s.Do("GET", "/api/products?"), 200)
}

func TestNotLoaded(t *testing.T) {
	s := newShop(t, 1)
	table := coretest.NewTable[product]("later", "id")
	release := table.Hold()
	b := core.Bind("later", table)
	if err := s.Reg.Add(b); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/api/later", "/api/later/1", "/api/later?limit=1"} {
		res := s.Do("GET", target)
		want(t, res, 503)
		if res.Header.Get("Retry-After") != "1" {
			t.Errorf("%s: %v", target, res.Header)
		}
	}
	release()
	<-b.Loaded()
	res := s.Do("GET", "/api/later")
	want(t, res, 200)
	if got := body(t, res); got != "[]\n" {
		t.Errorf("empty list %q", got)
	}
	if err := s.Reg.Remove(t.Context(), "later"); err != nil {
		t.Fatal(err)
	}
	want(t, s.Do("GET", "/api/later"), 404)
}

func TestAfterShutdown(t *testing.T) {
	s := newShop(t, 1)
	s.Shutdown()
	res := s.Do("GET", "/api/products")
	want(t, res, 503)
	if res.Header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After")
	}
}

func TestCacheControl(t *testing.T) {
	s := newShop(t, 1, Config{CacheControl: map[string]string{"products": "max-age=2", "": "private"}})
	if err := s.Reg.Add(core.Bind("others", s.Table)); err != nil {
		t.Fatal(err)
	}
	v, _ := s.Reg.Lookup("others")
	<-v.Loaded()
	for target, want := range map[string]string{"/api/products": "max-age=2", "/api/products/1": "max-age=2", "/api/others": "private"} {
		if got := s.Do("GET", target).Header.Get("Cache-Control"); got != want {
			t.Errorf("%s: Cache-Control %q", target, got)
		}
	}
}

func TestBadConfig(t *testing.T) {
	for _, tr := range []*Transport{
		New(nil),
		New(echo.New().Group("/a"), Config{}, Config{}),
		New(echo.New().Group("/a"), Config{CacheControl: map[string]string{"x": "a\r\nb"}}),
		New(echo.New().Group("/a"), Config{PageLimit: 20, MaxPageLimit: 10}),
		New(echo.New().Group("/a"), Config{MaxPageLimit: -1}),
	} {
		reg := core.NewRegistry()
		if err := reg.Serve(tr); err != nil {
			t.Fatal(err)
		}
		if err := reg.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "rest: ") {
			t.Errorf("error %v", err)
		}
	}
}

// Middleware of the group sets headers that are lists too.
func TestAmongMiddleware(t *testing.T) {
	s := newShop(t, 1)
	e := echo.New()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			h := c.Response().Header()
			h.Set("Link", "</style.css>; rel=preload")
			h.Add("Vary", "Origin") // as CORS middleware does
			h.Set("Access-Control-Allow-Origin", "*")
			return next(c)
		}
	})
	reg := core.NewRegistry()
	for _, err := range []error{
		reg.Add(core.Bind("products", s.Table)), reg.Watch(&coretest.Source{}), reg.Serve(New(e.Group("/api")), resttest.Streams{}), reg.Start(t.Context()),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		if err := reg.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	for range 2 { // the second would show a shared header that was appended to
		res := do(t, e, "GET", "/api/products", "Origin", "https://example.org")
		if got := strings.Join(res.Header.Values("Vary"), ", "); got != "Origin, Accept-Encoding" {
			t.Errorf("Vary %q", got)
		}
		if got := len(res.Header.Values("Link")); got != 2 {
			t.Errorf("%d links", got)
		}
		if got := res.Header.Get("Access-Control-Expose-Headers"); !strings.Contains(got, "ETag") {
			t.Errorf("exposed: %q", got)
		}
	}
	if got := len(exchange.VaryEncoding); got != 1 {
		t.Errorf("the shared header has grown to %d", got)
	}
}

// At the root the transport leaves other paths to the application.
func TestAtTheRoot(t *testing.T) {
	s := newShop(t, 1)
	e := echo.New()
	e.RouteNotFound("/*", func(c echo.Context) error { return c.String(http.StatusNotFound, "ours") })
	e.GET("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "well") })
	reg := core.NewRegistry()
	for _, err := range []error{
		reg.Add(core.Bind("products", s.Table)), reg.Watch(&coretest.Source{}), reg.Serve(New(e.Group(""))), reg.Start(t.Context()),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		if err := reg.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	res := do(t, e, "GET", "/products")
	want(t, res, 200)
	if res.Header.Get("Link") != "" {
		t.Errorf("a link to no stream: %q", res.Header.Get("Link"))
	}
	if got := body(t, do(t, e, "GET", "/")); got != "ours" {
		t.Errorf("/: %q", got)
	}
	if got := body(t, do(t, e, "GET", "/healthz")); got != "well" {
		t.Errorf("/healthz: %q", got)
	}
}

// part is a row with a key of every awkward kind.
type part struct {
	Shelf string `json:"shelf"`
	No    int64  `json:"no"`
}

func TestKeysInPaths(t *testing.T) {
	table := coretest.NewTable[part]("parts", "shelf", "no")
	names := []string{
		"plain", "", "with space", "a,b", "a/b", "100%", "%2C", "%252F", "a+b", "ä/ö,ü", "?#&=;", `"quoted"`, "..", "a\\b", "日本", "a%2Cb,c",
	}
	var rows []part
	for i, n := range names {
		rows = append(rows, part{n, int64(i)})
	}
	table.Put(rows...)
	e := echo.New()
	reg := core.NewRegistry()
	for _, err := range []error{
		reg.Add(core.Bind("parts", table)), reg.Watch(&coretest.Source{}), reg.Serve(New(e.Group("/api"))), reg.Start(t.Context()),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		if err := reg.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	for _, r := range rows {
		res := do(t, e, "GET", "/api/parts/"+table.KeyOf(r).String())
		want(t, res, 200)
		if got := decode[part](t, res); got != r {
			t.Errorf("%q: got %+v", r.Shelf, got)
		}
		// Every byte may be encoded; the answer is the same.
		var all strings.Builder
		for i := range len(r.Shelf) {
			all.WriteString("%")
			if r.Shelf[i] < 16 {
				all.WriteString("0")
			}
			all.WriteString(strings.ToUpper(strconv.FormatInt(int64(r.Shelf[i]), 16)))
		}
		res = do(t, e, "GET", "/api/%70arts/"+all.String()+","+strconv.FormatInt(r.No, 10))
		want(t, res, 200)
		if got := decode[part](t, res); got != r {
			t.Errorf("%q encoded: got %+v", r.Shelf, got)
		}
	}
	for _, key := range []string{"a,b,3", "plain", "plain,0,", "plain%2C0", "a/b,4"} {
		want(t, do(t, e, "GET", "/api/parts/"+key), 404)
	}
}
