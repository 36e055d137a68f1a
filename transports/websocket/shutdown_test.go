package websocket_test

import (
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/websocket"
)

func TestShutdownClosesWithGoingAway(t *testing.T) {
	s := newServer(t, websocket.Config{PageRows: 1}, "things")
	s.Tables["things"].Put(items(1, 50, "")...)
	s.start()
	idle, busy := s.dial(), s.dial()
	defer idle.close()
	defer busy.close()
	busy.send(`{"event":"things"}`)
	cl := &wiretest.Client{}
	if err := cl.Take(busy.next()); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	busy.follow(cl, s.Token("things")) // the batch was completed
	for _, c := range []*conn{idle, busy} {
		if got := c.closed(); got != gorilla.CloseGoingAway {
			t.Errorf("closed with %d", got)
		}
	}
	if resp := s.handshake(nil); resp.StatusCode != 503 {
		t.Errorf("%d after the shutdown", resp.StatusCode)
	}
	s.http.Close()
}

func TestServersShutdownClosesItsConnections(t *testing.T) {
	s := serve(t, websocket.Config{}, "things")
	c := s.dial()
	defer c.close()
	c.send(`{"event":"things"}`)
	c.next()
	if err := s.http.Config.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if got := c.closed(); got != gorilla.CloseGoingAway {
		t.Errorf("closed with %d", got)
	}
}

// Shutdown does not wait for a client that never reads.
func TestShutdownCutsStuckClients(t *testing.T) {
	s := newServer(t, websocket.Config{WriteTimeout: time.Hour, DrainTimeout: 10 * time.Millisecond}, "things")
	s.Tables["things"].Put(items(1, 2_000, strings.Repeat("x", 5000))...)
	s.start()
	stuck := s.dialWith(small())
	defer stuck.close()
	stuck.send(`{"event":"things"}`)
	wiretest.Eventually(t, "it has joined", func() bool { return s.Bindings["things"].Status().Subscribers == 1 })
	s.stop()
}
