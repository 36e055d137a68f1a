package sse_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/sse"
)

func TestRefusals(t *testing.T) {
	s := serve(t, sse.Config{MaxBindings: 2}, "a", "b", "c")
	for _, c := range []struct {
		method, path string
		status       int
		kind         problem.Type
		detail       string
	}{
		{"GET", "/events/nope", 404, problem.TypeUnknownBinding, "nope"},
		{"GET", "/events?event=a&event=nope", 404, problem.TypeUnknownBinding, "nope"},
		{"GET", "/events", 400, problem.TypeBadParameter, "event"},
		{"GET", "/events?event=a&event=a", 400, problem.TypeBadParameter, "twice"},
		{"GET", "/events?event=a&event=b&event=c", 400, problem.TypeBadParameter, "limit is 2"},
		{"GET", "/events/a?event=b", 400, problem.TypeBadParameter, "event"},
		{"GET", "/events/a?user=1", 400, problem.TypeBadParameter, "user"},
		{"GET", "/events/a?version=1&version=2", 400, problem.TypeBadParameter, "version"},
		{"GET", "/events/a?version=%zz", 400, problem.TypeBadParameter, ""},
		{"GET", "/events/a%2Fb", 404, problem.TypeNotFound, ""},
		{"POST", "/events/a", 405, problem.TypeMethodNotAllowed, "POST"},
		{"DELETE", "/events", 405, problem.TypeMethodNotAllowed, "DELETE"},
		{"OPTIONS", "/events/a", 204, "", ""},
		{"OPTIONS", "/events", 204, "", ""},
		{"HEAD", "/events/nope", 404, "", ""},
		{"HEAD", "/events/a", 200, "", ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, s.http.URL+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.http.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != c.status || !strings.Contains(string(body), string(c.kind)) || !strings.Contains(string(body), c.detail) {
			t.Errorf("%s %s: %d %s", c.method, c.path, resp.StatusCode, body)
		}
		if want := problem.ContentType; c.status >= 400 && resp.Header.Get("Content-Type") != want {
			t.Errorf("%s %s: Content-Type %q", c.method, c.path, resp.Header.Get("Content-Type"))
		}
		if (c.status == 405 || c.status == 204) && resp.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
			t.Errorf("%s %s: Allow %q", c.method, c.path, resp.Header.Get("Allow"))
		}
	}
}

func TestStreamsAreBounded(t *testing.T) {
	s := serve(t, sse.Config{MaxStreams: 2}, "things")
	a, b := s.open("/events/things", ""), s.open("/events/things", "")
	defer b.close()
	r := s.open("/events/things", "")
	if r.resp.StatusCode != 503 || r.resp.Header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q", r.resp.StatusCode, r.resp.Header.Get("Retry-After"))
	}
	r.close()
	if got := s.sse.Status(); got.Open != 2 || got.Refused != 1 {
		t.Errorf("%+v", got)
	}
	a.close()
	wiretest.Eventually(t, "the stream is gone", func() bool { return s.sse.Status().Open == 1 })
	r = s.open("/events/things", "")
	if r.resp.StatusCode != 200 {
		t.Errorf("%d after another stream has ended", r.resp.StatusCode)
	}
	r.close()
}

func TestMountReportsProblems(t *testing.T) {
	for name, tr := range map[string]*sse.Transport{
		"nil":          sse.New(nil),
		"WriteTimeout": sse.New(echo.New().Group(""), sse.Config{WriteTimeout: -1}),
		"bytes":        sse.New(echo.New().Group(""), sse.Config{MessageBytes: 1}),
	} {
		reg := core.NewRegistry()
		_ = reg.Serve(tr)
		if err := reg.Start(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if got := sse.New(nil).MonitorURL("a"); got != "" {
			t.Errorf("the URL before Mount: %q", got)
		}
	}
}
