package sse_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	gosse "github.com/tmaxmax/go-sse"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/sse"
)

func items(from, to int, note string) []wiretest.Item {
	var list []wiretest.Item
	for id := from; id <= to; id++ {
		list = append(list, wiretest.Item{ID: id, Name: fmt.Sprintf("item %d", id), Note: note})
	}
	return list
}

func TestSyncThenChanges(t *testing.T) {
	s := newServer(t, sse.Config{PageRows: 10}, "things")
	s.Tables["things"].Put(items(1, 25, "")...)
	s.start()
	defer s.stop()
	r := s.open("/events/things", "")
	defer r.close()
	for header, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-store", "X-Accel-Buffering": "no",
	} {
		if got := r.resp.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	c := &wiretest.Client{}
	first := r.must()
	if retry, err := strconv.Atoi(first.retry); err != nil || retry < 1000 || retry > 3000 {
		t.Errorf("retry %q", first.retry)
	}
	if err := c.Take(first.message(t)); err != nil {
		t.Fatal(err)
	}
	if id := r.follow(c, s.Token("things")); id != s.Token("things") {
		t.Errorf("id %q, version %q", id, s.Token("things"))
	}
	s.Check(c)
	s.Put("things", items(20, 30, "new")...)
	r.follow(c, s.Token("things"))
	s.Delete("things", 1, 2, 3)
	r.follow(c, s.Token("things"))
	s.Check(c)
	if c.Syncs != 1 || c.Changes != 2 {
		t.Errorf("%d syncs, %d changes", c.Syncs, c.Changes)
	}
}

func TestResume(t *testing.T) {
	s := serve(t, sse.Config{}, "things", "others")
	s.Put("things", items(1, 5, "")...)
	old := s.Token("things")
	c := &wiretest.Client{}
	r := s.open("/events/things", "")
	r.follow(c, old)
	r.close()

	r = s.open("/events/things?version="+old+"-gzip", "")
	if e := r.must(); string(e.message(t).Payload) != `"ok"` || e.id != old {
		t.Errorf("at the current version: %+v", e)
	}
	r.close()

	s.Put("things", items(4, 8, "new")...)
	// The header wins over the parameter.
	r = s.open("/events/things?version="+s.Token("things"), old)
	r.follow(c, s.Token("things"))
	s.Check(c)
	if c.Syncs != 1 || c.Changes != 1 {
		t.Errorf("%d syncs, %d changes", c.Syncs, c.Changes)
	}
	r.close()

	for _, id := range []string{"nonsense", s.Token("others"), strings.Repeat(".", 5000)} {
		r = s.open("/events/things", id)
		r.follow(c, s.Token("things"))
		r.close()
	}
	if c.Syncs != 4 {
		t.Errorf("%d syncs", c.Syncs)
	}
}

func TestSeveralBindingsOnOneStream(t *testing.T) {
	s := serve(t, sse.Config{PageRows: 2}, "a", "b", "c")
	for _, n := range []string{"a", "b", "c"} {
		s.Put(n, items(1, 5, n)...)
	}
	clients := map[string]*wiretest.Client{"a": {}, "b": {}, "c": {}}
	const path = "/events?event=a&event=b&event=c"
	follow := func(r *reader) (id string) {
		t.Helper()
		open := "" // the binding whose batch is under way
		for {
			current := true
			for n, c := range clients {
				current = current && c.Version == s.Token(n)
			}
			if current && open == "" {
				return id
			}
			e := r.must()
			m := e.message(t)
			if open != "" && open != m.Event {
				t.Fatalf("a batch of %s in the midst of one of %s", m.Event, open)
			}
			if open = ""; m.More {
				open = m.Event
			}
			if err := clients[m.Event].Take(m); err != nil {
				t.Fatal(err)
			}
			if e.hasID {
				id = e.id
			}
		}
	}
	r := s.open(path, "")
	follow(r)
	s.Put("b", items(3, 9, "new")...)
	id := follow(r)
	r.close()
	s.Put("a", items(9, 9, "late")...)
	s.Delete("c", 1)
	r = s.open(path, id)
	follow(r)
	r.close()
	for n, c := range clients {
		s.Check(c)
		if c.Syncs != 1 || c.Changes != 1 {
			t.Errorf("%s: %d syncs, %d changes", n, c.Syncs, c.Changes)
		}
	}
}

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

func TestStreamWaitsForTheLoad(t *testing.T) {
	s := newServer(t, sse.Config{}, "things")
	s.Tables["things"].Put(items(1, 3, "")...)
	release := s.Tables["things"].Hold()
	started := make(chan struct{})
	go func() {
		defer close(started)
		s.Start(s.sse)
	}()
	wiretest.Eventually(t, "the route is there", func() bool { return s.sse.MonitorURL("things") == "/events/things" })
	s.http.Start()
	defer s.stop()
	r := s.open("/events/things", "")
	defer r.close()
	if r.resp.StatusCode != 200 {
		t.Fatalf("%d before the load", r.resp.StatusCode)
	}
	release()
	<-started
	c := &wiretest.Client{}
	r.follow(c, s.Token("things"))
	s.Check(c)
}

func TestHeartbeat(t *testing.T) {
	s := serve(t, sse.Config{Heartbeat: time.Millisecond}, "things")
	r := s.open("/events/things", "")
	defer r.close()
	for n := 0; n < 3; {
		e, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		if e.comment {
			n++
		}
	}
}

func TestShutdownEndsStreams(t *testing.T) {
	s := newServer(t, sse.Config{PageRows: 1}, "things")
	s.Tables["things"].Put(items(1, 50, "")...)
	s.start()
	c := &wiretest.Client{}
	idle, busy := s.open("/events/things", ""), s.open("/events/things", "")
	defer idle.close()
	defer busy.close()
	idle.follow(c, s.Token("things"))
	busy.must() // the first of fifty pages: the batch is completed
	s.Stop()
	idle.ended()
	busy.ended()
	r := s.open("/events/things", "")
	defer r.close()
	if r.resp.StatusCode != 503 {
		t.Errorf("%d after the shutdown", r.resp.StatusCode)
	}
	s.http.Close()
}

// The HTTP server's own shutdown, which waits for open requests, ends streams
// too.
func TestServersShutdownEndsItsStreams(t *testing.T) {
	s := serve(t, sse.Config{}, "things")
	r := s.open("/events/things", "")
	defer r.close()
	r.must()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := s.http.Config.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	r.ended()
}

func TestRemovedBindingEndsItsStream(t *testing.T) {
	s := serve(t, sse.Config{}, "a", "b")
	one, both := s.open("/events/a", ""), s.open("/events?event=a&event=b", "")
	defer one.close()
	defer both.close()
	one.must()
	both.must()
	both.must()
	if err := s.Reg.Remove(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*reader{one, both} {
		if m := r.must().message(t); m.Action != "error" || m.Event != "a" || m.Problem() != string(problem.TypeUnknownBinding) {
			t.Errorf("%+v", m)
		}
	}
	one.ended()
	s.Put("b", items(1, 1, "")...)
	if m := both.must().message(t); m.Event != "b" || m.Action != "create" {
		t.Errorf("%+v", m)
	}
}

// stall connects, asks for the stream and reads nothing.
func stall(t wiretest.TB, s *server, path string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.http.Listener.Addr().String())
	if err != nil {
		t.Fatalf("%v", err)
	}
	_ = conn.(*net.TCPConn).SetReadBuffer(4096)
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path); err != nil {
		t.Fatalf("%v", err)
	}
	return conn
}

// A client that never reads is disconnected, and does not hold up another.
func TestStuckClientIsClosed(t *testing.T) {
	wiretest.Patiently(t, 2*time.Second, func(t wiretest.TB, timeout time.Duration) {
		s := newServer(t, sse.Config{WriteTimeout: timeout}, "things")
		s.Tables["things"].Put(items(1, 2_000, strings.Repeat("x", 5000))...) // far more than sockets buffer
		s.start()
		defer s.stop()
		conn := stall(t, s, "/events/things")
		defer func() { _ = conn.Close() }()
		c := &wiretest.Client{}
		r := s.open("/events/things", "")
		defer r.close()
		r.follow(c, s.Token("things"))
		s.Check(c)
		wiretest.Eventually(t, "the stuck stream is closed", func() bool { return s.sse.Status().Dropped >= 1 })
		wiretest.Eventually(t, "its subscription too", func() bool { return s.Bindings["things"].Status().Subscribers <= 1 })
		if got := s.sse.Status(); got.Dropped != 1 || got.Open != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// A client that never reads costs a cursor, however much is written.
func TestMemoryOfAClientThatNeverReads(t *testing.T) {
	s := newServer(t, sse.Config{WriteTimeout: time.Hour, DrainTimeout: time.Millisecond}, "things")
	s.Forget = true
	s.start()
	defer s.stop()
	conn := stall(t, s, "/events/things")
	defer func() { _ = conn.Close() }()
	wiretest.Eventually(t, "the stream is open", func() bool { return s.Bindings["things"].Status().Subscribers == 1 })
	const events, most = 20_000, 4 << 20 // 20 MB of messages
	if grown := wiretest.HeapGrowth(s.Rig, "things", events); grown > most {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if got := s.sse.Status(); got.Open != 1 || got.Dropped != 0 {
		t.Errorf("the client was not there to the end: %+v", got)
	}
}

// Shutdown does not wait for a client that never reads.
func TestShutdownCutsStuckClients(t *testing.T) {
	s := newServer(t, sse.Config{WriteTimeout: time.Hour, DrainTimeout: 10 * time.Millisecond}, "things")
	s.Tables["things"].Put(items(1, 2_000, strings.Repeat("x", 5000))...)
	s.start()
	conn := stall(t, s, "/events/things")
	defer func() { _ = conn.Close() }()
	wiretest.Eventually(t, "the stream is open", func() bool { return s.sse.Status().Open == 1 })
	s.stop()
}

// A client that lags gets what it missed as one batch, or a sync, and never
// more than it needs.
func TestLaggingClientSkipsAhead(t *testing.T) {
	s := newServer(t, sse.Config{}, "things")
	big := strings.Repeat("x", 64<<10)
	s.Tables["things"].Put(items(1, 100, "")...)
	s.start()
	defer s.stop()
	c := &wiretest.Client{}
	r := s.open("/events/things", "")
	defer r.close()
	r.follow(c, s.Token("things"))
	const writes = 500
	for i := range writes { // 32 MB, with nobody reading
		s.Put("things", wiretest.Item{ID: i%10 + 1, Name: strconv.Itoa(i), Note: big})
	}
	r.follow(c, s.Token("things"))
	s.Check(c)
	if got := c.Syncs + c.Changes; got >= writes {
		t.Errorf("%d batches for %d versions: nothing was merged", got, writes)
	}
}

func TestServersTimeoutsDoNotEndStreams(t *testing.T) {
	wiretest.Patiently(t, 50*time.Millisecond, func(t wiretest.TB, timeout time.Duration) {
		s := newServer(t, sse.Config{}, "things")
		s.http.Config.ReadTimeout = timeout // which bounds the arrival of the request too
		s.http.Config.WriteTimeout = timeout
		s.start()
		defer s.stop()
		r := s.open("/events/things", "")
		defer r.close()
		r.must()
		time.Sleep(3 * timeout) // the timeouts pass; on a slow machine the test proves less and does not fail
		s.Put("things", items(1, 1, "")...)
		if m := r.must().message(t); m.Action != "create" {
			t.Errorf("%+v", m)
		}
	})
}

// What another's client makes of the stream.
func TestSecondJudge(t *testing.T) {
	s := serve(t, sse.Config{PageRows: 2, Heartbeat: time.Millisecond}, "things")
	s.Put("things", items(1, 5, "")...)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.http.URL+"/events/things", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.http.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	c := &wiretest.Client{}
	for e, err := range gosse.Read(resp.Body, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Data == "" {
			continue // go-sse makes an event of a comment
		}
		if err := c.Take(event{kind: e.Type, data: e.Data}.message(t)); err != nil {
			t.Fatal(err)
		}
		if e.LastEventID == s.Token("things") {
			break
		}
	}
	s.Check(c)
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

// A HEAD request and a middleware that hides the connection must not hang.
func TestWriterThatCannotBeFlushed(t *testing.T) {
	s := newServer(t, sse.Config{}, "things")
	s.Start(s.sse)
	defer s.Stop()
	handler := s.http.Config.Handler
	rec := httptest.NewRecorder()
	handler.ServeHTTP(struct{ http.ResponseWriter }{rec}, httptest.NewRequest(http.MethodGet, "/events/things", nil))
	if got := s.sse.Status().Open; got != 0 {
		t.Errorf("%d streams are open", got)
	}
}
