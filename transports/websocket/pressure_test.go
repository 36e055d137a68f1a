package websocket_test

import (
	"errors"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/websocket"
)

// A client that never reads costs a cursor, however much is written.
func TestMemoryOfAClientThatNeverReads(t *testing.T) {
	s := newServer(t, websocket.Config{WriteTimeout: time.Hour, DrainTimeout: time.Millisecond}, "things")
	s.Forget = true
	s.start()
	defer s.stop()
	stuck := s.dialWith(small())
	defer stuck.close()
	stuck.send(`{"event":"things"}`)
	stuck.next()
	const events, most = 20_000, 4 << 20 // 20 MB of messages
	if grown := wiretest.HeapGrowth(s.Rig, "things", events); grown > most {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if got := s.ws.Status(); got.Open != 1 || got.Dropped != 0 {
		t.Errorf("the client was not there to the end: %+v", got)
	}
}

// A client that never reads is disconnected, and does not hold up another.
func TestStuckClientIsClosed(t *testing.T) {
	wiretest.Patiently(t, 2*time.Second, func(t wiretest.TB, timeout time.Duration) {
		s := newServer(t, websocket.Config{WriteTimeout: timeout}, "things")
		s.Tables["things"].Put(items(1, 2_000, strings.Repeat("x", 5000))...)
		s.start()
		defer s.stop()
		stuck := s.dialWith(small())
		defer stuck.close()
		stuck.send(`{"event":"things"}`)
		c := s.dial()
		defer c.close()
		c.send(`{"event":"things"}`)
		cl := &wiretest.Client{}
		c.follow(cl, s.Token("things"))
		s.Check(cl)
		wiretest.Eventually(t, "the stuck connection is closed", func() bool { return s.ws.Status().Dropped >= 1 })
		wiretest.Eventually(t, "its subscription too", func() bool { return s.Bindings["things"].Status().Subscribers <= 1 })
		if got := s.ws.Status(); got.Dropped != 1 || got.Open != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// A client that asks without reading is not read either, and in the end
// disconnected: what waits for it stays bounded.
func TestFloodOfRequestsIsHeldUp(t *testing.T) {
	s := newServer(t, websocket.Config{WriteTimeout: 2 * time.Second}, "things")
	s.Tables["things"].Put(items(1, 400, strings.Repeat("x", 500))...)
	s.start()
	defer s.stop()
	c := s.dialWith(small())
	defer c.close()
	wrote := make(chan int)
	go func() {
		n := 0
		for c.WriteMessage(gorilla.TextMessage, []byte(`{"event":"things","page":1}`)) == nil {
			n++
		}
		wrote <- n
	}()
	wiretest.Eventually(t, "the connection is closed", func() bool { return s.ws.Status().Dropped == 1 && s.ws.Status().Open == 0 })
	<-wrote
	if got := s.ws.Status().Held; got == 0 {
		t.Error("its requests were never held up")
	}
}

func TestLaggingClientSkipsAhead(t *testing.T) {
	s := newServer(t, websocket.Config{}, "things")
	s.Tables["things"].Put(items(1, 100, "")...)
	s.start()
	defer s.stop()
	c := s.dial()
	defer c.close()
	cl := &wiretest.Client{}
	c.send(`{"event":"things"}`)
	c.follow(cl, s.Token("things"))
	const writes = 500
	big := strings.Repeat("x", 64<<10)
	for i := range writes {
		s.Put("things", wiretest.Item{ID: i%10 + 1, Name: strconv.Itoa(i), Note: big})
	}
	c.follow(cl, s.Token("things"))
	s.Check(cl)
	if got := cl.Syncs + cl.Changes; got >= writes {
		t.Errorf("%d batches for %d versions: nothing was merged", got, writes)
	}
}

// A client whose pongs are missing is told so and closed.
func TestPingsFindDeadClients(t *testing.T) {
	s := serve(t, websocket.Config{PingInterval: 20 * time.Millisecond, WriteTimeout: 500 * time.Millisecond}, "things")
	c := s.dial()
	defer c.close()
	c.SetPingHandler(func(string) error { return nil })
	if got := c.closed(); got != gorilla.ClosePolicyViolation {
		t.Errorf("closed with %d", got)
	}
}

// A client that answers pings is left alone.
func TestPingsSpareLivelyClients(t *testing.T) {
	wiretest.Patiently(t, 500*time.Millisecond, func(t wiretest.TB, timeout time.Duration) {
		s := newServer(t, websocket.Config{PingInterval: timeout / 25, WriteTimeout: timeout}, "things")
		s.start()
		defer s.stop()
		c := s.dial()
		defer c.close()
		pings := 0
		answer := c.PingHandler()
		c.SetPingHandler(func(data string) error {
			if err := answer(data); err != nil {
				return err
			}
			if pings++; pings == 40 { // longer than a silent client lives
				return errEnough
			}
			return nil
		})
		if _, _, err := c.ReadMessage(); !errors.Is(err, errEnough) {
			t.Errorf("after %d pings: %v", pings, err)
		}
	})
}

// An idle connection costs melody's two goroutines and none of ours.
func TestIdleConnectionsCostTwoGoroutines(t *testing.T) {
	s := serve(t, websocket.Config{}, "things")
	before := runtime.NumGoroutine()
	const n = 50
	for range n {
		c := s.dial()
		defer c.close()
		c.send(`{"event":"things"}`)
		c.next()
	}
	s.Put("things", items(1, 1, "")...)
	wiretest.Eventually(t, "all is quiet", func() bool { return runtime.NumGoroutine() <= before+2*n+4 })
}
