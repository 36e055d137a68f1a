package websocket_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/websocket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a rig behind HTTP.
type server struct {
	*wiretest.Rig
	ws   *websocket.Transport
	http *httptest.Server
}

func newServer(t wiretest.TB, cfg websocket.Config, names ...string) *server {
	e := echo.New()
	return &server{Rig: wiretest.New(t, names...), ws: websocket.New(e.Group("/ws"), cfg), http: httptest.NewUnstartedServer(e)}
}

// start starts serving; stop ends it.
func (s *server) start() {
	s.TB.Helper()
	s.Start(s.ws)
	s.http.Start()
}

func (s *server) stop() {
	s.Stop()
	s.http.Close()
}

func serve(t *testing.T, cfg websocket.Config, names ...string) *server {
	t.Helper()
	s := newServer(t, cfg, names...)
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *server) url() string { return "ws" + strings.TrimPrefix(s.http.URL, "http") + "/ws" }

// conn is one client's connection.
type conn struct {
	t wiretest.TB
	*gorilla.Conn
}

func (s *server) dial() *conn {
	s.TB.Helper()
	return s.dialWith(gorilla.Dialer{HandshakeTimeout: 60 * time.Second})
}

func (s *server) dialWith(d gorilla.Dialer) *conn {
	s.TB.Helper()
	ws, resp, err := d.Dial(s.url(), nil)
	if err != nil {
		s.TB.Fatalf("dialling: %v", err)
	}
	_ = resp.Body.Close()
	_ = ws.SetReadDeadline(time.Now().Add(60 * time.Second))
	return &conn{s.TB, ws}
}

// small is a dialler whose sockets buffer little.
func small() gorilla.Dialer {
	return gorilla.Dialer{NetDial: func(network, addr string) (net.Conn, error) {
		c, err := net.Dial(network, addr)
		if err == nil {
			_ = c.(*net.TCPConn).SetReadBuffer(4096)
		}
		return c, err
	}}
}

func (c *conn) close() { _ = c.Conn.Close() }

func (c *conn) send(text string) {
	c.t.Helper()
	if err := c.WriteMessage(gorilla.TextMessage, []byte(text)); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
}

func (c *conn) next() wiretest.Message {
	c.t.Helper()
	kind, raw, err := c.ReadMessage()
	if err != nil {
		c.t.Fatalf("reading: %v", err)
	}
	var m wiretest.Message
	if err := json.Unmarshal(raw, &m); err != nil || kind != gorilla.TextMessage {
		c.t.Fatalf("a message of kind %d: %s: %v", kind, raw, err)
	}
	return m
}

// follow applies messages until the client is at the version.
func (c *conn) follow(cl *wiretest.Client, version string) {
	c.t.Helper()
	for {
		m := c.next()
		if err := cl.Take(m); err != nil {
			c.t.Fatalf("%v", err)
		}
		if cl.Version == version && !m.More {
			return
		}
	}
}

// closed reads until the connection ends and returns the code it was closed
// with.
func (c *conn) closed() int {
	c.t.Helper()
	for {
		_, _, err := c.ReadMessage()
		if e := (*gorilla.CloseError)(nil); errors.As(err, &e) {
			return e.Code
		}
		if err != nil {
			c.t.Fatalf("the connection ended with %v", err)
		}
	}
}

// handshake tries to connect and returns the answer.
func (s *server) handshake(header http.Header) *http.Response {
	s.TB.Helper()
	ws, resp, err := gorilla.DefaultDialer.Dial(s.url(), header)
	if err == nil {
		_ = ws.Close()
	}
	if resp == nil {
		s.TB.Fatalf("no answer: %v", err)
	}
	return resp
}

func items(from, to int, note string) []wiretest.Item {
	var list []wiretest.Item
	for id := from; id <= to; id++ {
		list = append(list, wiretest.Item{ID: id, Name: fmt.Sprintf("item %d", id), Note: note})
	}
	return list
}
