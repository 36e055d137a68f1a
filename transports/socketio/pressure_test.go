package socketio_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/socketio"
)

// squeezed connects with sockets that buffer little.
func (s *server) squeezed(way string) *user {
	s.TB.Helper()
	return s.buffered(way, 4096)
}

// buffered connects with sockets whose receive buffers have this size in bytes.
func (s *server) buffered(way string, bytes int) *user {
	s.TB.Helper()
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil {
			_ = c.(*net.TCPConn).SetReadBuffer(bytes)
		}
		return c, err
	}
	before := gorilla.DefaultDialer
	gorilla.DefaultDialer = &gorilla.Dialer{NetDialContext: dial}
	defer func() { gorilla.DefaultDialer = before }()
	u := &user{t: s.TB}
	c, err := dialEngine(u.ctx(), &http.Client{Transport: &http.Transport{DialContext: dial}}, s.http.URL, way, nil)
	if err != nil {
		s.TB.Fatalf("%s: dialling: %v", way, err)
	}
	u.client = c
	if err := u.enter(u.ctx(), "", ""); err != nil {
		s.TB.Fatalf("%s: connecting: %v", way, err)
	}
	return u
}

func (u *user) leaves() {
	u.vanish()
	u.http.CloseIdleConnections()
}

// A client that never reads, and one that never polls, costs a cursor, however
// much is written.
func TestMemoryOfAClientThatNeverReads(t *testing.T) {
	each(t, func(t *testing.T, way string) {
		s := newServer(t, socketio.Config{WriteTimeout: time.Hour, PingTimeout: time.Hour, DrainTimeout: time.Millisecond}, "things")
		s.Forget = true
		s.start()
		defer s.stop()
		stuck := s.squeezed(way)
		defer stuck.leaves()
		stuck.emits("things", "")
		stuck.says()
		const events, most = 10_000, 4 << 20 // 10 MB of messages
		if grown := wiretest.HeapGrowth(s.Rig, "things", events); grown > most {
			t.Errorf("the heap has grown by %d bytes", grown)
		}
		if got := s.sio.Status(); got.Open != 1 || got.Dropped != 0 {
			t.Errorf("the client was not there to the end: %+v", got)
		}
	})
}

// A client that does not read what it is sent is disconnected, and does not hold
// up another.
func TestStuckClientIsClosed(t *testing.T) {
	each(t, func(t *testing.T, way string) {
		wiretest.Patiently(t, time.Second, func(t wiretest.TB, timeout time.Duration) {
			s := newServer(t, socketio.Config{WriteTimeout: timeout, PingTimeout: time.Hour, PageRows: 100_000, MessageBytes: 16 << 20}, "things")
			s.Tables["things"].Put(items(1, 2_000, strings.Repeat("x", 5000))...)
			s.start()
			defer s.stop()
			stuck := s.squeezed(way)
			defer stuck.leaves()
			stuck.emits("things", "")
			if way == polling { // asks for the answer, and does not read it
				conn, err := net.Dial("tcp", strings.TrimPrefix(s.http.URL, "http://"))
				if err != nil {
					t.Fatalf("%v", err)
				}
				defer conn.Close()
				_ = conn.(*net.TCPConn).SetReadBuffer(4096)
				if _, err := conn.Write([]byte("GET " + strings.TrimPrefix(stuck.query(polling), s.http.URL) + " HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
					t.Fatalf("%v", err)
				}
			}
			u := s.dial(way)
			defer u.leaves()
			u.emits("things", "")
			cl := &wiretest.Client{}
			u.follow(cl, s.Token("things"))
			s.Check(cl)
			wiretest.Eventually(t, "the stuck session is closed", func() bool { return s.sio.Status().Dropped >= 1 })
			wiretest.Eventually(t, "its subscription too", func() bool { return s.Bindings["things"].Status().Subscribers <= 1 })
			if got := s.sio.Status(); got.Dropped != 1 || got.Open != 1 {
				t.Errorf("%+v", got)
			}
		})
	})
}

// Shutdown does not wait for a client that never reads.
func TestShutdownCutsStuckClients(t *testing.T) {
	each(t, func(t *testing.T, way string) {
		s := newServer(t, socketio.Config{WriteTimeout: time.Hour, PingTimeout: time.Hour, DrainTimeout: 10 * time.Millisecond, PageRows: 100_000, MessageBytes: 16 << 20}, "things")
		s.Tables["things"].Put(items(1, 2_000, strings.Repeat("x", 5000))...)
		s.start()
		stuck := s.squeezed(way)
		defer stuck.leaves()
		stuck.emits("things", "")
		if way == polling {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.http.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.(*net.TCPConn).SetReadBuffer(4096)
			if _, err := conn.Write([]byte("GET " + strings.TrimPrefix(stuck.query(polling), s.http.URL) + " HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(make([]byte, 100)); err != nil { // it has begun
				t.Fatal(err)
			}
		}
		s.stop()
	})
}

// A client that asks without reading is not read either: what waits for it stays
// bounded, until it reads again.
func TestFloodOfRequestsIsHeldUp(t *testing.T) {
	each(t, func(t *testing.T, way string) {
		s := serve(t, socketio.Config{}, "things")
		s.Put("things", items(1, 400, strings.Repeat("x", 500))...) // a page of 200 kB
		u := s.buffered(way, 64<<10)
		defer u.leaves()
		const n = 60
		sent := make(chan error, 1)
		go func() {
			var packets []string
			for range n {
				packets = append(packets, `42["things",{"page":1}]`)
			}
			sent <- u.send(u.ctx(), packets...)
		}()
		wiretest.Eventually(t, "requests are held up", func() bool { return s.sio.Status().Held > 0 })
		for range n {
			if m := u.says(); m.Action != "page" {
				t.Fatalf("%+v", m)
			}
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

// Shutdown lets the batch that is under way end, and then closes the transport:
// no client is told to leave.
func TestShutdown(t *testing.T) {
	each(t, func(t *testing.T, way string) {
		s := newServer(t, socketio.Config{PageRows: 1, MessageBytes: 1 << 10}, "things")
		s.Tables["things"].Put(items(1, 50, strings.Repeat("x", 300))...)
		s.start()
		idle, busy := s.dial(way), s.dial(way)
		defer idle.vanish()
		defer busy.vanish()
		busy.emits("things", "")
		cl := &wiretest.Client{}
		if err := cl.Take(busy.says()); err != nil {
			t.Fatal(err)
		}
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			s.Stop()
		}()
		busy.follow(cl, s.Token("things")) // the batch was completed
		for _, u := range []*user{idle, busy} {
			for {
				p, err := u.next(u.ctx())
				if err == nil {
					t.Errorf("was sent %q", p)
					continue
				}
				status, ok := err.(*statusError)
				if way == polling && (!ok || status.status != http.StatusServiceUnavailable) || way != polling && !gorilla.IsCloseError(err, gorilla.CloseGoingAway) {
					t.Errorf("ended with %v", err)
				}
				break
			}
		}
		<-stopped
		if resp, _ := s.ask("GET", "/socket.io/?EIO=4&transport=polling", nil); resp.StatusCode != 503 {
			t.Errorf("%d after the shutdown", resp.StatusCode)
		}
		s.http.Close()
	})
}

// The HTTP server's own Shutdown ends open polls and WebSockets.
func TestServersShutdown(t *testing.T) {
	each(t, func(t *testing.T, way string) {
		s := serve(t, socketio.Config{}, "things")
		u := s.dial(way)
		defer u.vanish()
		u.emits("things", "")
		u.says()
		ended := make(chan int, 1)
		go func() { ended <- u.ends() }()
		if way == polling {
			wiretest.Eventually(t, "the poll is open", func() bool { return s.polls.Load() == 1 })
		}
		if err := s.http.Config.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if got := <-ended; got != gorilla.CloseGoingAway && got != http.StatusServiceUnavailable {
			t.Errorf("ended with %d", got)
		}
	})
}
