package notmodified

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/rest/internal/resttest"
)

var (
	do   = resttest.Do
	want = resttest.Want
	body = resttest.Body
)

var defaults = Defaults{CacheControl: "no-cache", LoadWait: 5 * time.Second}

// views returns the bindings with these names.
func views(s *resttest.Shop, names ...string) (views []*live.View) {
	for _, name := range names {
		views = append(views, s.View(name))
	}
	return views
}

// pageServer serves one page at /, by Echo or by net/http, and counts how often
// it was rendered.
type pageServer struct {
	http.Handler
	rendered int
}

// servePage renders by the function; its status and text are the answer.
func servePage(c Conditions, plain bool, render func(http.Header, *http.Request) (int, string)) *pageServer {
	s := &pageServer{}
	h := func(w http.ResponseWriter, r *http.Request) {
		s.rendered++
		status, text := render(w.Header(), r)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
	if plain {
		s.Handler = Wrap(http.HandlerFunc(h), c, defaults)
		return s
	}
	e := echo.New()
	e.Any("/", func(c echo.Context) error { h(c.Response(), c.Request()); return nil }, Middleware(c, defaults))
	s.Handler = e
	return s
}

// both runs the test over Echo and over net/http.
func both(t *testing.T, test func(t *testing.T, plain bool)) {
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprintf("plain=%v", plain), func(t *testing.T) { test(t, plain) })
	}
}

func TestNotModified(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		s := resttest.NewShop(t, 3, nil, nil)
		s.Open("others")
		c := Conditions{Views: views(s, "products", "others"), Now: s.Clock.Now}
		// The page says which version it was made of, by what the context pins.
		p := servePage(c, plain, func(_ http.Header, r *http.Request) (int, string) {
			return 200, c.Views[0].SnapshotIn(r.Context()).Version().Token
		})
		first := do(t, p, "GET", "/")
		want(t, first, 200)
		tag := first.Header.Get("ETag")
		if !strings.HasPrefix(tag, `W/"`) || first.Header.Get("Cache-Control") != "no-cache" || first.Header.Get("Last-Modified") != "" ||
			first.Header.Get("Vary") != "Authorization, Cookie, Accept, Accept-Language" && len(first.Header["Vary"]) != 4 {
			t.Errorf("headers %v", first.Header)
		}
		if got := body(t, first); got != s.Version() {
			t.Errorf("page of %q, want %q", got, s.Version())
		}
		for _, method := range []string{"GET", "HEAD"} {
			res := do(t, p, method, "/", "If-None-Match", `"x", `+tag)
			want(t, res, 304)
			if res.Header.Get("ETag") != tag || res.Header.Get("Cache-Control") != "no-cache" || body(t, res) != "" {
				t.Errorf("304 with %v", res.Header)
			}
		}
		want(t, do(t, p, "GET", "/", "If-None-Match", strings.TrimPrefix(tag, "W/")), 304)
		if p.rendered != 1 {
			t.Errorf("rendered %d times", p.rendered)
		}
		// What only the handler can tell is left to it.
		want(t, do(t, p, "POST", "/", "If-None-Match", tag), 200)
		want(t, do(t, p, "GET", "/", "If-None-Match", "*"), 200)
		want(t, do(t, p, "GET", "/", "If-None-Match", `"x"`), 200)

		s.Put(resttest.Product{ID: 9, Name: "new"})
		res := do(t, p, "GET", "/", "If-None-Match", tag)
		want(t, res, 200)
		if res.Header.Get("ETag") == tag {
			t.Error("the tag did not change")
		}
		s.Delete(9)
		want(t, do(t, p, "GET", "/", "If-None-Match", tag), 304)

		// A date is shown once it tells versions apart; a tag takes precedence.
		s.Clock.Advance(2 * time.Second)
		date := do(t, p, "GET", "/").Header.Get("Last-Modified")
		want(t, do(t, p, "GET", "/", "If-Modified-Since", date), 304)
		want(t, do(t, p, "GET", "/", "If-Modified-Since", date, "If-None-Match", `"x"`), 200)
		s.Put(resttest.Product{ID: 9, Name: "new"})
		want(t, do(t, p, "GET", "/", "If-Modified-Since", date), 200)
		s.Clock.Advance(2 * time.Second)
		want(t, do(t, p, "GET", "/", "If-Modified-Since", date), 200)
	})
}

// Only what is certainly the same page has the same tag.
func TestNotModifiedKey(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		s := resttest.NewShop(t, 1, nil, nil)
		s.Open("others")
		hello := func(http.Header, *http.Request) (int, string) { return 200, "hello" }
		c := Conditions{Views: views(s, "products"), Program: "1", Now: s.Clock.Now}
		s.Clock.Advance(time.Hour)
		p := servePage(c, plain, hello)
		s.Clock.Advance(time.Hour)
		get := func(p *pageServer, headers ...string) *http.Response { return do(t, p, "GET", "/", headers...) }
		tags := map[string]string{}
		distinct := func(what string, p *pageServer, headers ...string) {
			t.Helper()
			tag := get(p, headers...).Header.Get("ETag")
			if other, ok := tags[tag]; ok {
				t.Errorf("%s and %s have one tag", what, other)
			}
			tags[tag] = what
		}
		distinct("nobody", p)
		distinct("Ann", p, "Cookie", "user=ann")
		distinct("Bob", p, "Cookie", "user=bob")
		distinct("a token", p, "Authorization", "user=bob")
		distinct("French", p, "Accept-Language", "fr")
		distinct("two lines", p, "Accept", "a", "Accept", "b")
		distinct("one line", p, "Accept", "ab")
		c.Program = "2"
		distinct("the next release", servePage(c, plain, hello))
		c.Views = views(s, "products", "others")
		distinct("more bindings", servePage(c, plain, hello))
		if get(p, "Accept", "*/*").Header.Get("ETag") != get(p).Header.Get("ETag") {
			t.Error("*/* counts")
		}
		if res := get(p, "Cookie", "user=ann"); res.Header.Get("Cache-Control") != "private, no-cache" || res.Header.Get("Last-Modified") != "" {
			t.Errorf("headers for somebody %v", res.Header)
		}
		if res := get(p); res.Header.Get("Cache-Control") != "no-cache" || res.Header.Get("Last-Modified") == "" {
			t.Errorf("headers for everybody %v", res.Header)
		}

		c.CacheControl = "max-age=1"
		c.Key = func(r *http.Request) string { return r.Header.Get("X-User") }
		if !plain {
			c.Key, c.EchoKey = nil, func(c echo.Context) string { return c.Request().Header.Get("X-User") }
		}
		p = servePage(c, plain, hello)
		distinct("own key", p, "X-User", "ann")
		tag := get(p, "X-User", "ann", "Cookie", "tracking=1").Header.Get("ETag")
		res := get(p, "X-User", "ann", "Cookie", "tracking=2", "If-None-Match", tag)
		want(t, res, 304)
		if res.Header.Get("Cache-Control") != "max-age=1" || res.Header.Get("Vary") != "" {
			t.Errorf("headers %v", res.Header)
		}
		want(t, get(p, "X-User", "bob", "If-None-Match", tag), 200)
	})
}

// A failure gets no tag, and what the handler sets stays.
func TestNotModifiedLeavesAlone(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		s := resttest.NewShop(t, 1, nil, nil)
		c := Conditions{Views: views(s, "products")}
		for _, status := range []int{201, 204, 302, 404, 500} {
			res := do(t, servePage(c, plain, func(http.Header, *http.Request) (int, string) { return status, "" }), "GET", "/")
			if res.StatusCode != status || res.Header.Get("ETag") != "" || res.Header.Get("Cache-Control") != "" {
				t.Errorf("%d with %v", res.StatusCode, res.Header)
			}
		}
		res := do(t, servePage(c, plain, func(h http.Header, _ *http.Request) (int, string) {
			h.Set("ETag", `"mine"`)
			h.Set("Cache-Control", "private")
			h.Set("Vary", "X-Mine")
			return 200, "x"
		}), "GET", "/")
		if res.Header.Get("ETag") != `"mine"` || res.Header.Get("Cache-Control") != "private" || res.Header["Vary"][0] != "X-Mine" {
			t.Errorf("headers %v", res.Header)
		}
	})
	// An error that Echo turns into an answer later is a failure too.
	s := resttest.NewShop(t, 1, nil, nil)
	e := echo.New()
	e.GET("/", func(echo.Context) error { return errors.New("no") }, Middleware(Conditions{Views: views(s, "products")}, defaults))
	if res := do(t, e, "GET", "/"); res.StatusCode != 500 || res.Header.Get("ETag") != "" {
		t.Errorf("%d with %v", res.StatusCode, res.Header)
	}
}

// Before the first load and after the end there is no version to go by.
func TestNotModifiedWithoutRows(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		s := resttest.NewShop(t, 1, nil, nil)
		release := s.Table.Hold()
		late := core.Bind("late", s.Table)
		if err := s.Reg.Add(late); err != nil {
			t.Fatal(err)
		}
		p := servePage(Conditions{Views: []*live.View{late.View}}, plain, func(http.Header, *http.Request) (int, string) { return 200, "x" })
		unconditional := func(when string) {
			t.Helper()
			if res := do(t, p, "GET", "/", "If-None-Match", `*`); res.StatusCode != 200 || res.Header.Get("ETag") != "" || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d with %v", when, res.StatusCode, res.Header)
			}
		}
		unconditional("before the first load")
		release()
		<-late.Loaded()
		tag := do(t, p, "GET", "/").Header.Get("ETag")
		want(t, do(t, p, "GET", "/", "If-None-Match", tag), 304)
		if err := s.Reg.Remove(t.Context(), "late"); err != nil {
			t.Fatal(err)
		}
		unconditional("after the end")
	})
}

// A page that reads twice sees one version, whatever is written in between, and
// its tag is that version's.
func TestNotModifiedPins(t *testing.T) {
	both(t, func(t *testing.T, plain bool) {
		s := resttest.NewShop(t, 1, nil, nil)
		c := Conditions{Views: views(s, "products")}
		read := func(r *http.Request) string { return c.Views[0].SnapshotIn(r.Context()).Version().Token }
		writes := true
		p := servePage(c, plain, func(_ http.Header, r *http.Request) (int, string) {
			before := read(r)
			if writes {
				s.Put(resttest.Product{ID: 5, Name: "meanwhile"})
			}
			if after := read(r); after != before {
				t.Error("the page saw two versions")
			}
			return 200, before
		})
		tag := do(t, p, "GET", "/").Header.Get("ETag")
		writes = false
		want(t, do(t, p, "GET", "/", "If-None-Match", tag), 200)
		s.Delete(5)
		want(t, do(t, p, "GET", "/", "If-None-Match", tag), 304)
	})
}

// The wrapper of net/http's writer hides nothing that handlers use.
func TestWriter(t *testing.T) {
	s := resttest.NewShop(t, 1, nil, nil)
	srv := httptest.NewServer(Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hints":
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
		case "/flush":
			w.(http.Flusher).Flush()
		case "/controller":
			if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Error(err)
			}
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		case "/nothing":
			return
		}
		_, _ = io.WriteString(w, "x")
	}), Conditions{Views: views(s, "products")}, defaults))
	defer srv.Close()
	for _, path := range []string{"/", "/hints", "/flush", "/controller", "/nothing"} {
		res, err := srv.Client().Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != 200 || res.Header.Get("ETag") == "" {
			t.Errorf("%s: %d with %v", path, res.StatusCode, res.Header)
		}
	}
}

func TestConditionsWithoutBindings(t *testing.T) {
	for _, c := range []Conditions{{}, {Views: []*live.View{nil}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("no panic for %v", c.Views)
				}
			}()
			Middleware(c, defaults)
		}()
	}
}
