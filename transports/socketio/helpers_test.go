package socketio_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/socketio"
)

// server is a rig behind HTTP.
type server struct {
	*wiretest.Rig
	sio   *socketio.Transport
	http  *httptest.Server
	polls atomic.Int64 // that are open
}

func newServer(t wiretest.TB, cfg socketio.Config, names ...string) *server {
	e := echo.New()
	s := &server{Rig: wiretest.New(t, names...), sio: socketio.New(e.Group("/socket.io"), cfg)}
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); r.Method == http.MethodGet && q.Get("transport") == polling && q.Get("sid") != "" {
			s.polls.Add(1)
			defer s.polls.Add(-1)
		}
		e.ServeHTTP(w, r)
	}))
	return s
}

// start starts serving; stop ends it.
func (s *server) start() {
	s.TB.Helper()
	s.Start(s.sio)
	s.http.Start()
}

func (s *server) stop() {
	s.Stop()
	s.http.Close()
}

func serve(t *testing.T, cfg socketio.Config, names ...string) *server {
	t.Helper()
	s := newServer(t, cfg, names...)
	s.start()
	t.Cleanup(s.stop)
	return s
}

// user is a client whose errors fail the test.
type user struct {
	t wiretest.TB
	*client
}

// patience bounds every step of a test.
const patience = 60 * time.Second

func (s *server) dial(way string) *user {
	s.TB.Helper()
	u := s.engine(way)
	if err := u.enter(u.ctx(), "", ""); err != nil {
		s.TB.Fatalf("%s: connecting: %v", way, err)
	}
	return u
}

// engine connects without entering a namespace.
func (s *server) engine(way string) *user {
	s.TB.Helper()
	u := &user{t: s.TB}
	c, err := dialEngine(u.ctx(), s.http.Client(), s.http.URL, way, nil)
	if err != nil {
		s.TB.Fatalf("%s: dialling: %v", way, err)
	}
	u.client = c
	return u
}

// ctx returns a context that ends when patience does. Nothing is left when the
// test has ended: its server has.
func (*user) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	context.AfterFunc(ctx, cancel)
	return ctx
}

func (u *user) sends(packets ...string) {
	u.t.Helper()
	if err := u.send(u.ctx(), packets...); err != nil {
		u.t.Fatalf("sending %.200q: %v", packets, err)
	}
}

func (u *user) emits(event, arg string) {
	u.t.Helper()
	u.sends("42" + eventJSON(event, arg))
}

// packet returns the next packet.
func (u *user) packet() string {
	u.t.Helper()
	p, err := u.next(u.ctx())
	if err != nil {
		u.t.Fatalf("waiting for a packet: %v", err)
	}
	return p
}

// gets takes the next packet, which must be this one.
func (u *user) gets(want string) {
	u.t.Helper()
	if p := u.packet(); p != want {
		u.t.Fatalf("got %s, want %s", p, want)
	}
}

func (u *user) says() wiretest.Message {
	u.t.Helper()
	m, err := u.message(u.ctx())
	if err != nil {
		u.t.Fatalf("waiting for a message: %v", err)
	}
	return m
}

// follow applies messages until the client is at the version.
func (u *user) follow(cl *wiretest.Client, version string) {
	u.t.Helper()
	for {
		m := u.says()
		if err := cl.Take(m); err != nil {
			u.t.Fatalf("%v", err)
		}
		if cl.Version == version && !m.More {
			return
		}
	}
}

// ends reads until the session has ended, and says how: the code of a WebSocket's
// close message, or the status of the answer to a poll, 200 when that was a close
// packet.
func (u *user) ends() int {
	u.t.Helper()
	for {
		p, err := u.next(u.ctx())
		var closed *gorilla.CloseError
		var status *statusError
		switch {
		case errors.As(err, &closed):
			return closed.Code
		case errors.As(err, &status):
			return status.status
		case err != nil:
			u.t.Fatalf("the session ended with %v", err)
		case p == "1":
			return http.StatusOK
		}
	}
}

func items(from, to int, note string) []wiretest.Item {
	var list []wiretest.Item
	for id := from; id <= to; id++ {
		list = append(list, wiretest.Item{ID: id, Name: fmt.Sprintf("item %d", id), Note: note})
	}
	return list
}

// eachAtOnce is each for tests that wait most of the time.
func eachAtOnce(t *testing.T, run func(t *testing.T, way string)) {
	t.Helper()
	each(t, func(t *testing.T, way string) {
		t.Parallel()
		run(t, way)
	})
}

// each runs the test for every way of being connected.
func each(t *testing.T, run func(t *testing.T, way string)) {
	t.Helper()
	for _, way := range ways {
		t.Run(way, func(t *testing.T) { run(t, way) })
	}
}
