package rest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// halfOpen sends a request with half a body over a connection of its own, and
// returns what reads the answer.
func halfOpen(t *testing.T, srv *httptest.Server, method, target string) func() *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, method+" "+target+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"name\":"); err != nil {
		t.Fatal(err)
	}
	return func() *http.Response {
		t.Helper()
		_ = c.SetReadDeadline(time.Now().Add(60 * time.Second))
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
}

// A body that does not come is a 408, and is counted.
func TestSlowBody(t *testing.T) {
	s := newStock(t, 1, Config{BodyTimeout: 20 * time.Millisecond})
	srv := httptest.NewServer(s.Echo)
	defer srv.Close()
	res := halfOpen(t, srv, "PATCH", "/api/stock/1")()
	want(t, res, http.StatusRequestTimeout)
	if text := body(t, res); !strings.Contains(text, "slow-body") || !res.Close {
		t.Errorf("%s, connection closed: %v", text, res.Close)
	}
	if got := s.rest.Status().Dropped; got != 1 {
		t.Errorf("%d slow bodies are counted", got)
	}
}

// A client that closes its half of the connection and reads on is told whether its
// write was carried out.
func TestHalfClosedWrites(t *testing.T) {
	s := newStock(t, 1)
	srv := httptest.NewServer(s.Echo)
	defer srv.Close()
	for request, status := range map[string]int{
		"PATCH /api/stock/1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"name\":":              http.StatusBadRequest,
		"POST /api/stock HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"name\":\r\n": http.StatusBadRequest,
	} {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		want(t, res, status)
		if text := body(t, res); !strings.Contains(text, "malformed-body") {
			t.Error(text)
		}
	}
}

// Half a body does not keep the shutdown waiting, whatever the request is for and
// whichever is shut down first.
func TestShutdownDoesNotWaitForBodies(t *testing.T) {
	for _, first := range []string{"registry", "server"} {
		t.Run(first, func(t *testing.T) {
			s := newStock(t, 1)
			var begun atomic.Int64
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				begun.Add(1)
				s.Echo.ServeHTTP(w, r)
			}))
			defer srv.Close()
			reads := halfOpen(t, srv, "PATCH", "/api/stock/1")
			others := []func() *http.Response{
				halfOpen(t, srv, "DELETE", "/api/stock/9"), halfOpen(t, srv, "GET", "/api/stock"),
				halfOpen(t, srv, "POST", "/api/unknown"), halfOpen(t, srv, "PUT", "/api/stock"),
			}
			for deadline := time.Now().Add(60 * time.Second); s.writing() == 0 || begun.Load() < 5; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the requests have not begun")
				}
			}
			down := make(chan error, 1)
			if first == "server" {
				go func() { down <- srv.Config.Shutdown(t.Context()) }()
			} else {
				s.Shutdown()
			}
			res := reads()
			want(t, res, http.StatusServiceUnavailable)
			if text := body(t, res); !strings.Contains(text, "shutting-down") {
				t.Error(text)
			}
			for _, read := range others {
				_ = read()
			}
			if first == "server" {
				if err := <-down; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// writing returns how many writes are under way.
func (s *shop) writing() int {
	return s.rest.writes.Len()
}
