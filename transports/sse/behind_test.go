package sse_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/sse"
	"github.com/binderyhq/bindery/transports/transporttest/wireharness"
)

// Streams go on behind middleware that compresses or copies, without either.
// Behind what holds answers back until they end, each ends after an event, and a
// client that comes back as the HTML standard has it misses nothing.
func TestStreamsBehindMiddleware(t *testing.T) {
	var copied bytes.Buffer
	dump := middleware.BodyDump(func(_ echo.Context, _, answer []byte) { copied.Write(answer) })
	//lint:ignore SA1019 applications have it all the same
	timeout := middleware.TimeoutWithConfig(middleware.TimeoutConfig{Timeout: time.Minute})
	for name, c := range map[string]struct {
		use    []echo.MiddlewareFunc
		around func(http.Handler) http.Handler
		ends   bool // each stream, after an event
	}{
		"Gzip":             {use: []echo.MiddlewareFunc{middleware.Gzip()}},
		"BodyDump":         {use: []echo.MiddlewareFunc{dump}},
		"BodyDump in Gzip": {use: []echo.MiddlewareFunc{middleware.Gzip(), dump}},
		"Gzip in BodyDump": {use: []echo.MiddlewareFunc{dump, middleware.Gzip()}},
		"ContextTimeout":   {use: []echo.MiddlewareFunc{middleware.ContextTimeout(time.Minute)}},
		"Timeout":          {use: []echo.MiddlewareFunc{timeout}, ends: true},
		"Timeout in Gzip":  {use: []echo.MiddlewareFunc{middleware.Gzip(), timeout}, ends: true},
		"a tutorial's":     {around: wireharness.TutorialGzip},
		"one that hides":   {around: wireharness.HidingGzip, ends: true},
	} {
		t.Run(name, func(t *testing.T) {
			e := echo.New()
			e.Use(c.use...)
			h := http.Handler(e)
			if c.around != nil {
				h = c.around(h)
			}
			s := &server{Rig: wiretest.New(t, "things"), sse: sse.New(e.Group("/events")), http: httptest.NewUnstartedServer(h)}
			s.Tables["things"].Put(items(1, 3, "")...)
			s.start()
			defer s.stop()

			held, id, streams := &wiretest.Client{}, "", 0
			var r *reader
			connect := func() {
				r = s.open("/events/things", id)
				streams++
				in := r.resp.Header.Get("Content-Encoding")
				if r.resp.StatusCode != http.StatusOK || in != "" && !c.ends {
					t.Fatalf("status %d, coding %q", r.resp.StatusCode, in)
				}
				if in == "gzip" { // Go's client asks for it, but undoes only what it asked for itself
					gz, err := gzip.NewReader(r.resp.Body)
					if err != nil {
						t.Fatal(err)
					}
					r.lines = bufio.NewReader(gz)
				}
			}
			connect()
			defer func() { r.close() }()
			for round := range 3 {
				for held.Version != s.Token("things") {
					ev, err := r.next()
					if err == io.EOF && c.ends {
						r.close()
						connect()
						continue
					}
					if err != nil {
						t.Fatal(err)
					}
					if err := held.Take(ev.message(t)); err != nil {
						t.Fatal(err)
					}
					if ev.hasID {
						id = ev.id
					}
				}
				s.Check(held)
				s.Put("things", items(round+2, round+4, strings.Repeat("x", round+1))...)
			}
			if !c.ends && streams > 1 {
				t.Errorf("%d streams", streams)
			}
			if held.Syncs != 1 {
				t.Errorf("%d syncs: the client lost its place", held.Syncs)
			}
		})
	}
	if copied.Len() > 0 {
		t.Errorf("%d bytes of streams were copied", copied.Len())
	}
}
