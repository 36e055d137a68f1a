package sse_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/sse"
)

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
