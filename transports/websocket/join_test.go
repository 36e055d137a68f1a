package websocket_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/websocket"
)

func TestSyncThenChanges(t *testing.T) {
	s := serve(t, websocket.Config{PageRows: 10}, "things")
	s.Put("things", items(1, 25, "")...)
	c := s.dial()
	defer c.close()
	c.send(`{"event":"things","version":"","more":1,"VERSION":7}`) // unknown fields are ignored
	cl := &wiretest.Client{}
	c.follow(cl, s.Token("things"))
	s.Check(cl)
	s.Put("things", items(20, 30, "new")...)
	c.follow(cl, s.Token("things"))
	s.Delete("things", 1, 2, 3)
	c.follow(cl, s.Token("things"))
	s.Check(cl)
	if cl.Syncs != 1 || cl.Changes != 2 {
		t.Errorf("%d syncs, %d changes", cl.Syncs, cl.Changes)
	}
}

func TestResume(t *testing.T) {
	s := serve(t, websocket.Config{}, "things")
	s.Put("things", items(1, 5, "")...)
	old := s.Token("things")
	cl := &wiretest.Client{}
	c := s.dial()
	c.send(`{"event":"things"}`)
	c.follow(cl, old)
	c.close()

	c = s.dial()
	c.send(`{"event":"things","version":"` + old + `-zstd"}`)
	if m := c.next(); string(m.Payload) != `"ok"` || m.Version != old {
		t.Errorf("at the current version: %+v", m)
	}
	c.close()

	s.Put("things", items(4, 8, "new")...)
	c = s.dial()
	c.send(`{"event":"things","version":"` + old + `"}`)
	c.follow(cl, s.Token("things"))
	s.Check(cl)
	if cl.Syncs != 1 || cl.Changes != 1 {
		t.Errorf("%d syncs, %d changes", cl.Syncs, cl.Changes)
	}
	c.close()

	c = s.dial()
	defer c.close()
	c.send(`{"event":"things","version":"nonsense"}`)
	c.follow(cl, s.Token("things"))
	if cl.Syncs != 2 {
		t.Errorf("%d syncs", cl.Syncs)
	}
}

func TestRejoinStartsAfresh(t *testing.T) {
	s := serve(t, websocket.Config{PageRows: 2}, "things")
	s.Put("things", items(1, 9, "")...)
	c := s.dial()
	defer c.close()
	cl := &wiretest.Client{}
	c.send(`{"event":"things"}`)
	c.follow(cl, s.Token("things"))
	c.send(`{"event":"things"}`)
	c.follow(cl, s.Token("things"))
	if cl.Syncs != 2 {
		t.Errorf("%d syncs", cl.Syncs)
	}
	old := cl.Version
	c.send(`{"event":"things","version":"` + old + `"}`)
	if m := c.next(); string(m.Payload) != `"ok"` {
		t.Errorf("rejoined at what was sent last: %+v", m)
	}
	// The rejoin crosses with a change: what the client said it had is void.
	s.Put("things", items(1, 1, "new")...)
	c.follow(cl, s.Token("things"))
	s.Put("things", items(1, 1, "")...)
	c.follow(cl, old)
	s.Put("things", items(1, 1, "newer")...)
	c.follow(cl, s.Token("things"))
	c.send(`{"event":"things","version":"` + old + `"}`)
	if m := c.next(); m.Action != "sync" || m.Page != 1 {
		t.Errorf("rejoined at an older version: %+v", m)
	}
	// One subscription is left, whatever was joined how often.
	if got := s.Bindings["things"].Status().Subscribers; got != 1 {
		t.Errorf("%d subscribers", got)
	}
}

func TestLeave(t *testing.T) {
	s := serve(t, websocket.Config{PageRows: 1}, "things", "others")
	s.Put("things", items(1, 200, "")...)
	s.Put("others", items(1, 1, "")...)
	c := s.dial()
	defer c.close()
	// In the midst of a sync; nothing comes after the confirmation.
	c.send(`{"event":"things"}`)
	c.send(`{"event":"others"}`)
	c.send(`{"event":"things","disconnect":true}`)
	for m := c.next(); m.Action != "leave"; m = c.next() {
		if m.Event != "things" && m.Event != "others" {
			t.Fatalf("%+v", m)
		}
	}
	s.Put("things", items(1, 1, "new")...)
	s.Put("others", items(2, 2, "new")...)
	for m := c.next(); ; m = c.next() {
		if m.Event == "things" {
			t.Fatalf("after the leave: %+v", m)
		}
		if m.Version == s.Token("others") {
			break
		}
	}
	if got := s.Bindings["things"].Status().Subscribers; got != 0 {
		t.Errorf("%d subscribers", got)
	}
	// Leaving and joining in one breath: the confirmation comes first.
	for range 20 {
		c.send(`{"event":"others","disconnect":true}`)
		c.send(`{"event":"others"}`)
		if m := c.next(); m.Action != "leave" || m.Event != "others" {
			t.Fatalf("%+v", m)
		}
		for m := c.next(); m.More; m = c.next() {
			if m.Action != "sync" {
				t.Fatalf("%+v", m)
			}
		}
	}
	// Leaving what was never joined is confirmed too.
	c.send(`{"event":"nope","disconnect":true}`)
	if m := c.next(); m.Action != "leave" || m.Event != "nope" {
		t.Errorf("%+v", m)
	}
}

func TestRemovedBindingIsLeft(t *testing.T) {
	s := serve(t, websocket.Config{}, "a", "b")
	c := s.dial()
	defer c.close()
	c.send(`{"event":"a"}`)
	c.next()
	c.send(`{"event":"b"}`)
	c.next()
	if err := s.Reg.Remove(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if m := c.next(); m.Action != "error" || m.Event != "a" || m.Problem() != string(problem.TypeUnknownBinding) {
		t.Errorf("%+v", m)
	}
	s.Put("b", items(1, 1, "")...)
	if m := c.next(); m.Action != "create" || m.Event != "b" {
		t.Errorf("%+v", m)
	}
}

// The long sync of one binding does not hold up another.
func TestJoinsTakeTurns(t *testing.T) {
	s := newServer(t, websocket.Config{PageRows: 1}, "long", "short")
	s.Tables["long"].Put(items(1, 300, strings.Repeat("x", 64<<10))...) // more than sockets buffer
	s.Tables["short"].Put(items(1, 1, "")...)
	s.start()
	defer s.stop()
	c := s.dial()
	defer c.close()
	c.send(`{"event":"long"}`)
	c.next()
	c.send(`{"event":"short"}`)
	wiretest.Eventually(t, "the other is joined", func() bool { return s.Bindings["short"].Status().Subscribers == 1 })
	for m := c.next(); m.Event != "short"; m = c.next() {
		if !m.More {
			t.Fatal("the long sync came first as a whole")
		}
	}
}

var errEnough = errors.New("enough pings")
