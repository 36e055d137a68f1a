package sse_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/sse"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a rig behind HTTP.
type server struct {
	*wiretest.Rig
	sse  *sse.Transport
	http *httptest.Server
}

// cleaner is the part of testing.T that property tests lack.
type cleaner interface {
	wiretest.TB
	Cleanup(func())
}

func newServer(t wiretest.TB, cfg sse.Config, names ...string) *server {
	e := echo.New()
	return &server{Rig: wiretest.New(t, names...), sse: sse.New(e.Group("/events"), cfg), http: httptest.NewUnstartedServer(e)}
}

// start starts serving; stop ends it.
func (s *server) start() {
	s.TB.Helper()
	s.Start(s.sse)
	s.http.Start()
}

func (s *server) stop() {
	s.Stop()
	s.http.Close()
}

func serve(t cleaner, cfg sse.Config, names ...string) *server {
	t.Helper()
	s := newServer(t, cfg, names...)
	s.start()
	t.Cleanup(s.stop)
	return s
}

// event is one event as the HTML standard has clients parse it.
type event struct {
	kind, data, id, retry string
	hasID                 bool
	comment               bool // a block of nothing but a comment
}

func (e event) message(t wiretest.TB) wiretest.Message {
	t.Helper()
	var m wiretest.Message
	if err := json.Unmarshal([]byte(e.data), &m); err != nil {
		t.Fatalf("data %q: %v", e.data, err)
	}
	if m.Action != e.kind {
		t.Fatalf("event: %s, action: %s", e.kind, m.Action)
	}
	return m
}

// reader reads one stream.
type reader struct {
	t      wiretest.TB
	resp   *http.Response
	lines  *bufio.Reader
	cancel context.CancelFunc
}

// open opens the stream at the path; id is the Last-Event-ID, if any.
func (s *server) open(path, id string) *reader {
	s.TB.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.http.URL+path, nil)
	if err != nil {
		s.TB.Fatalf("%v", err)
	}
	if id != "" {
		req.Header.Set("Last-Event-ID", id)
	}
	resp, err := s.http.Client().Do(req)
	if err != nil {
		s.TB.Fatalf("opening %s: %v", path, err)
	}
	return &reader{t: s.TB, resp: resp, lines: bufio.NewReader(resp.Body), cancel: cancel}
}

func (r *reader) close() {
	r.cancel()
	_ = r.resp.Body.Close()
}

// next returns the next event or comment, or io.EOF when the stream has ended
// in good order.
func (r *reader) next() (event, error) {
	var e event
	for first := true; ; first = false {
		line, err := r.lines.ReadString('\n')
		if err != nil {
			return e, err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			if first {
				r.t.Fatalf("an empty block")
			}
			return e, nil
		}
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "event":
			e.kind = value
		case "data":
			e.data += value
		case "id":
			e.id, e.hasID = value, true
		case "retry":
			e.retry = value
		case ":":
			e.comment = true
		default:
			r.t.Fatalf("the line %q", line)
		}
	}
}

// must returns the next event that is no comment.
func (r *reader) must() event {
	r.t.Helper()
	for {
		e, err := r.next()
		if err != nil {
			r.t.Fatalf("reading an event: %v", err)
		}
		if !e.comment {
			return e
		}
	}
}

// follow applies events until the client is at the version.
func (r *reader) follow(c *wiretest.Client, version string) (lastID string) {
	r.t.Helper()
	for {
		e := r.must()
		m := e.message(r.t)
		if e.hasID == m.More {
			r.t.Fatalf("id %q on a message with more: %t", e.id, m.More)
		}
		if err := c.Take(m); err != nil {
			r.t.Fatalf("%v", err)
		}
		if e.hasID {
			lastID = e.id
		}
		if c.Version == version && !m.More {
			return lastID
		}
	}
}

// ended waits for the end of the stream.
func (r *reader) ended() {
	r.t.Helper()
	for {
		if _, err := r.next(); err == io.EOF {
			return
		} else if err != nil {
			r.t.Fatalf("the stream ended with %v", err)
		}
	}
}
