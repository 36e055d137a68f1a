package rest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4/middleware"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
)

// newStock serves n products also as "stock", which is writable.
func newStock(t testing.TB, n int, cfg ...Config) *shop {
	t.Helper()
	s := newShop(t, n, cfg...)
	s.Open("stock", core.Writable())
	return s
}

// send makes a request with a JSON body; a Content-Type among the headers
// counts instead of application/json.
func (s *shop) send(method, target, body string, headers ...string) *http.Response {
	s.T.Helper()
	return s.sendIn(s.T.Context(), method, target, body, headers...)
}

func (s *shop) sendIn(ctx context.Context, method, target, body string, headers ...string) *http.Response {
	s.T.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body)).WithContext(ctx)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Content-Type" {
			r.Header.Del("Content-Type")
		}
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	s.Echo.ServeHTTP(rec, r)
	return rec.Result()
}

func TestWrites(t *testing.T) {
	s := newStock(t, 2)

	res := s.send("POST", "/api/stock", `{"id":7,"name":"new"}`)
	want(t, res, 201)
	if got := res.Header.Get("Location"); got != "/api/stock/7" {
		t.Errorf("Location %q", got)
	}
	tag := res.Header.Get("ETag")
	if got := body(t, res); got != `{"id":7,"name":"new"}`+"\n" {
		t.Errorf("answer %q", got)
	}
	// The tag is the one that a GET has, at once.
	want(t, s.Do("GET", res.Header.Get("Location"), "If-None-Match", tag), 304)

	res = s.send("PATCH", "/api/stock/7", `{"name":"patched"}`, "If-Match", tag, "Content-Type", "application/merge-patch+json")
	want(t, res, 200)
	if got := body(t, res); got != `{"id":7,"name":"patched"}`+"\n" || res.Header.Get("ETag") == tag || res.Header.Get("Content-Location") != "/api/stock/7" {
		t.Errorf("answer %q, headers %v", got, res.Header)
	}
	want(t, s.send("PATCH", "/api/stock/7", `{"name":"late"}`, "If-Match", tag), 412)
	res = s.send("PUT", "/api/stock/7", `{"name":"put"}`, "If-Match", res.Header.Get("ETag"))
	want(t, res, 200)
	want(t, s.send("DELETE", "/api/stock/7", ``, "If-Match", tag), 412)
	res = s.send("DELETE", "/api/stock/7", ``, "If-Match", `"x", `+res.Header.Get("ETag"))
	want(t, res, 204)
	if got := body(t, res); got != "" {
		t.Errorf("a 204 with %q", got)
	}
	want(t, s.Do("GET", "/api/stock/7"), 404)
	want(t, s.send("DELETE", "/api/stock/7", ``), 404)
}

// A location is the row's path, however its key is spelled.
func TestLocation(t *testing.T) {
	s := newStock(t, 1)
	res := s.send("POST", "/api/%73tock", `{"id":-5,"name":""}`)
	want(t, res, 201)
	want(t, s.Do("GET", res.Header.Get("Location")), 200)
}

func TestWritesRefused(t *testing.T) {
	s := newStock(t, 3, Config{MaxBody: 100})
	s.Open("careful", core.Writable(core.WriteRules{RequireMatch: true}))
	s.Open("low", core.Writable(), core.Where(filter.Lt("id", 3)))
	long := `{"name":"` + strings.Repeat("x", 100) + `"}`
	for _, c := range []struct {
		method, target, body string
		status               int
		says                 string
		headers              []string
	}{
		{"POST", "/api/products", `{}`, 405, "method-not-allowed", nil},
		{"PATCH", "/api/products/1", `{}`, 405, "method-not-allowed", nil},
		{"PUT", "/api/stock", `{}`, 405, "method-not-allowed", nil},
		{"POST", "/api/stock/1", `{}`, 405, "method-not-allowed", nil},
		{"POST", "/api/nothing", `{}`, 404, "unknown-binding", nil},
		{"POST", "/api/stock?x=1", `{}`, 400, `"x"`, nil},
		{"DELETE", "/api/stock/1?limit=1", ``, 400, `"limit"`, nil},
		{"POST", "/api/stock", ``, 400, "empty", nil},
		{"POST", "/api/stock", `{"id":`, 400, "malformed-body", nil},
		{"POST", "/api/stock", `[]`, 400, "malformed-body", nil},
		{"POST", "/api/stock", "{\"name\":\"\xff\"}", 400, "UTF-8", nil},
		{"POST", "/api/stock", `{"name":"\ud83d"}`, 400, "surrogate", nil},
		{"POST", "/api/stock", `{"name":"\ude00\ud83d"}`, 400, "surrogate", nil},
		{"PATCH", "/api/stock/1", `{"name":"\uD83Dx\ude00"}`, 400, "surrogate", nil},
		{"PATCH", "/api/stock/1", `{"name":"\\\ud83d"}`, 400, "surrogate", nil},
		{"PUT", "/api/stock/1", `{"name":"x"}`, 400, "Content-Range", []string{"Content-Range", "bytes 0-3/10"}},
		{"POST", "/api/stock", "\x1f\x8b", 415, "Content-Encoding", []string{"Content-Encoding", "gzip"}},
		{"POST", "/api/stock", "junk", 415, "Content-Encoding", []string{"Content-Encoding", "gzip"}},
		{"POST", "/api/stock", long, 413, "100 bytes", nil},
		{"POST", "/api/stock", `{}`, 415, "application/json", []string{"Content-Type", "text/plain"}},
		{"POST", "/api/stock", `{}`, 415, "application/json", []string{"Content-Type", ""}},
		{"POST", "/api/stock", `{}`, 415, "application/json", []string{"Content-Type", "application/merge-patch+json"}},
		{"PUT", "/api/stock/1", `{}`, 415, "application/json", []string{"Content-Type", "application/merge-patch+json"}},
		{"PATCH", "/api/stock/1", `{}`, 415, "merge-patch", []string{"Content-Type", "application/json-patch+json"}},
		{"PATCH", "/api/stock/1", `{}`, 415, "merge-patch", []string{"Content-Type", "application/json; charset=latin1"}},
		{"PATCH", "/api/stock/9", `{}`, 404, "not-found", nil},
		{"PATCH", "/api/stock/x", `{}`, 404, "not-found", nil},
		{"PATCH", "/api/stock/1,1", `{}`, 404, "not-found", nil},
		{"PATCH", "/api/low/3", `{}`, 404, "not-found", nil},
		{"POST", "/api/low", `{"id":8,"name":""}`, 422, "low", nil},
		{"PATCH", "/api/stock/1", `{"nom":1,"mane":2}`, 422, `{"field":"mane","detail":"is no field of this binding"},{"field":"nom"`, nil},
		{"PATCH", "/api/stock/1", `{"name":2}`, 422, `{"field":"name","detail":"must not be a JSON number"}`, nil},
		{"PATCH", "/api/stock/1", `{"id":2}`, 422, `"field":"id"`, nil},
		{"PUT", "/api/stock/1", `{}`, 422, `"field":"name"`, nil},
		{"POST", "/api/stock", `{"id":1,"name":"x"}`, 422, `"field":"id"`, nil},
		{"PATCH", "/api/careful/1", `{}`, 428, "If-Match", nil},
		{"DELETE", "/api/careful/1", ``, 428, "If-Match", nil},
	} {
		res := s.send(c.method, c.target, c.body, c.headers...)
		text := body(t, res)
		if res.StatusCode != c.status || !strings.Contains(strings.ReplaceAll(text, `\"`, `"`), c.says) || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s %.40q %q: %d %s, want %d that says %q", c.method, c.target, c.body, c.headers, res.StatusCode, text, c.status, c.says)
		}
	}
	if got := s.Version(); len(s.Table.Rows()) != 3 || got == "" {
		t.Errorf("refused writes left %v", s.Table.Rows())
	}
	want(t, s.send("POST", "/api/careful", `{"id":4,"name":"x"}`), 201)
}

func TestAllow(t *testing.T) {
	s := newStock(t, 1)
	for target, allow := range map[string]string{
		"/api/products":   "GET, HEAD, OPTIONS",
		"/api/products/1": "GET, HEAD, OPTIONS",
		"/api/stock":      "GET, HEAD, OPTIONS, POST",
		"/api/stock/1":    "GET, HEAD, OPTIONS, PUT, PATCH, DELETE",
	} {
		res := s.Do("OPTIONS", target)
		want(t, res, 204)
		if got := res.Header.Get("Allow"); got != allow {
			t.Errorf("OPTIONS %s: Allow %q, want %q", target, got, allow)
		}
		res = s.Do("REPORT", target)
		want(t, res, 405)
		if got := res.Header.Get("Allow"); got != allow {
			t.Errorf("REPORT %s: Allow %q, want %q", target, got, allow)
		}
	}
}

func TestWritePreconditions(t *testing.T) {
	s := newStock(t, 1, Config{MinCompress: 1})
	s.Clock.Advance(time.Minute)
	get := s.Do("GET", "/api/stock/1")
	token, date := strings.Trim(get.Header.Get("ETag"), `"`), get.Header.Get("Last-Modified")
	list := s.Do("GET", "/api/stock").Header.Get("ETag")
	for _, c := range []struct {
		method, target, header, value string
		status                        int
	}{
		{"PATCH", "/api/stock/1", "If-Match", `*`, 200},
		{"PATCH", "/api/stock/1", "If-Match", `"` + token + `"`, 200},
		{"PATCH", "/api/stock/1", "If-Match", `"` + token + `-zstd"`, 200},
		{"PATCH", "/api/stock/1", "If-Match", `"` + token + `-gzip"`, 200},
		{"PATCH", "/api/stock/1", "If-Match", `"a", "` + token + `-br"`, 200},
		{"PATCH", "/api/stock/1", "If-Match", `W/"` + token + `"`, 412},
		{"PATCH", "/api/stock/1", "If-Match", `"` + token + `-lz4"`, 412},
		{"PATCH", "/api/stock/1", "If-Match", `"a"`, 412},
		{"PATCH", "/api/stock/1", "If-Match", ``, 412},
		{"PATCH", "/api/stock/1", "If-Match", list, 412},
		{"PATCH", "/api/stock/9", "If-Match", `*`, 404},
		{"PUT", "/api/stock/1", "If-None-Match", `*`, 412},
		{"PUT", "/api/stock/9", "If-None-Match", `*`, 404},
		{"PATCH", "/api/stock/1", "If-None-Match", `W/"` + token + `"`, 412},
		{"PATCH", "/api/stock/1", "If-None-Match", `"a"`, 200},
		{"PATCH", "/api/stock/1", "If-Unmodified-Since", date, 200},
		{"PATCH", "/api/stock/1", "If-Unmodified-Since", "Mon, 01 Jan 2001 00:00:00 GMT", 412},
		{"PATCH", "/api/stock/1", "If-Unmodified-Since", "yesterday", 200},
		{"DELETE", "/api/stock/1", "If-Match", `"a"`, 412},
		{"POST", "/api/stock", "If-None-Match", `*`, 412},
		{"POST", "/api/stock", "If-Match", `"a"`, 412},
	} {
		text := `{"name":"product 1"}`
		if c.method == "POST" {
			text = `{"id":2,"name":"x"}`
		}
		if res := s.send(c.method, c.target, text, c.header, c.value); res.StatusCode != c.status {
			t.Errorf("%s %s with %s: %s is %d, want %d: %s", c.method, c.target, c.header, c.value, res.StatusCode, c.status, body(t, res))
		}
	}
	want(t, s.send("POST", "/api/stock", `{"id":2,"name":"x"}`, "If-Match", list), 201)
	want(t, s.send("POST", "/api/stock", `{"id":3,"name":"x"}`, "If-Match", list), 412)
	// A row that changed just now is later than every date.
	want(t, s.send("PATCH", "/api/stock/1", `{"name":"changed"}`), 200)
	want(t, s.send("PATCH", "/api/stock/1", `{"name":"x"}`, "If-Unmodified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"), 412)
}

// Of many who saw the same version one wins; with one's own version each, all do.
func TestNoUpdateIsLost(t *testing.T) {
	s := newStock(t, 1)
	tag := s.Do("GET", "/api/stock/1").Header.Get("ETag")
	var wg sync.WaitGroup
	statuses := make(chan int, 16)
	for range cap(statuses) {
		wg.Go(func() {
			statuses <- s.send("PATCH", "/api/stock/1", `{"name":"mine"}`, "If-Match", tag).StatusCode
		})
	}
	wg.Wait()
	close(statuses)
	count := map[int]int{}
	for status := range statuses {
		count[status]++
	}
	if count[200] != 1 || count[412] != cap(statuses)-1 {
		t.Errorf("statuses %v", count)
	}
}

func TestDatabaseAway(t *testing.T) {
	s := newStock(t, 1)
	s.Table.Fail(errors.New("dial tcp 10.0.0.7: password is hunter2"))
	res := s.send("PATCH", "/api/stock/1", `{"name":"x"}`)
	want(t, res, 503)
	if text := body(t, res); res.Header.Get("Retry-After") == "" || strings.Contains(text, "hunter2") || strings.Contains(text, "dial") {
		t.Errorf("%v %s", res.Header, text)
	}
	s.Table.Fail(nil)
	want(t, s.send("PATCH", "/api/stock/1", `{"name":"x"}`), 200)
}

// tombstones is a table whose rows are gone once they are called so, as with
// soft deletes.
type tombstones struct{ *coretest.Table[product] }

func (l tombstones) Load(ctx context.Context, keys []driver.Key) ([]*product, error) {
	rows, err := l.Table.Load(ctx, keys)
	return slices.DeleteFunc(rows, func(p *product) bool { return p.Name == "gone" }), err
}

// A write that makes its row vanish has nothing to show for it.
func TestWriteThatRemovesItsRow(t *testing.T) {
	s := newShop(t, 1)
	for name, opts := range map[string][]core.Option{
		"strict": {core.Writable()},
		"loose":  {core.Writable(core.WriteRules{RowsMayLeave: true})},
	} {
		b := core.Bind(name, tombstones{s.Table}, opts...)
		if err := s.Reg.Add(b); err != nil {
			t.Fatal(err)
		}
		<-b.Loaded()
	}
	want(t, s.send("PATCH", "/api/strict/1", `{"name":"gone"}`), 422)
	want(t, s.send("POST", "/api/strict", `{"id":2,"name":"gone"}`), 422)
	want(t, s.Do("GET", "/api/strict/1"), 200)
	for _, c := range []struct {
		method, target, text string
		status               int
	}{
		{"POST", "/api/loose", `{"id":2,"name":"gone"}`, 201},
		{"PATCH", "/api/loose/1", `{"name":"gone"}`, 204},
		{"PATCH", "/api/loose/1", `{"name":"back"}`, 404},
	} {
		res := s.send(c.method, c.target, c.text)
		want(t, res, c.status)
		if text := body(t, res); c.status < 300 && (text != "" || res.Header.Get("ETag") != "") {
			t.Errorf("%s: %v %q", c.method, res.Header, text)
		}
	}
}

// Echo's own middleware goes with all this: a body that it unpacks is read, and
// a CORS request may see the headers.
func TestWriteBehindMiddleware(t *testing.T) {
	s := newStock(t, 1)
	s.Echo.Pre(middleware.Decompress())
	s.Echo.Use(middleware.CORS())
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = io.WriteString(w, `{"name":"packed"}`)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	res := s.send("PATCH", "/api/stock/1", packed.String(), "Content-Encoding", "gzip", "Origin", "https://example.com")
	want(t, res, 200)
	if got := body(t, res); !strings.Contains(got, "packed") || !strings.Contains(res.Header.Get("Access-Control-Expose-Headers"), "ETag") {
		t.Errorf("%v %s", res.Header, got)
	}
}
