package session_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/internal/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// carrier takes messages, and notices what a session must not do.
type carrier struct {
	t wiretest.TB

	mu       sync.Mutex // guards what follows
	messages []string
	inFlight bool
	finished bool
}

func (c *carrier) Write(msg []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inFlight || c.finished {
		c.t.Errorf("written %s while another is in flight (%t) or after the end (%t)", msg, c.inFlight, c.finished)
	}
	c.inFlight = true
	c.messages = append(c.messages, string(msg))
}

func (c *carrier) Finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inFlight || c.finished {
		c.t.Errorf("finished while a message is in flight (%t) or twice (%t)", c.inFlight, c.finished)
	}
	c.finished = true
}

// given returns the message in flight, if there is one.
func (c *carrier) given() (msg string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.inFlight {
		return "", false
	}
	return c.messages[len(c.messages)-1], true
}

func (c *carrier) isFinished() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.finished
}

// take waits for the message in flight and says that it was sent.
func (c *carrier) take(s *session.Session) string {
	c.t.Helper()
	var msg string
	wiretest.Eventually(c.t, "there is a message", func() (ok bool) {
		msg, ok = c.given()
		return ok
	})
	c.mu.Lock()
	c.inFlight = false
	c.mu.Unlock()
	s.Sent()
	return msg
}

// rig is a registry with a hub and one session.
type rig struct {
	*wiretest.Rig
	hub     *session.Hub
	session session.Session
	channel session.Channel
}

func newRig(t wiretest.TB, limits wire.Limits, joins int, names ...string) *rig {
	r := &rig{Rig: wiretest.New(t, names...), hub: session.NewHub("test", session.Limits{Joins: joins})}
	r.Start()
	r.hub.Mount(r.Reg)
	r.session.Init(context.Background(), r.hub)
	r.channel.Open(r.session.Context(), &r.session, wire.NewEncoder(limits))
	return r
}

func (r *rig) stop() {
	r.session.Release()
	r.Stop()
	r.hub.Stop()
}

// ask has the channel handle a message.
func (r *rig) ask(msg string) {
	req, p := session.Decode([]byte(msg))
	r.channel.Handle(req, p, nil)
}

func decode(t wiretest.TB, msg string) (m wiretest.Message) {
	t.Helper()
	if err := json.Unmarshal([]byte(msg), &m); err != nil {
		t.Fatalf("message %.300q: %v", msg, err)
	}
	return m
}

func items(from, to int) []wiretest.Item {
	var list []wiretest.Item
	for id := from; id <= to; id++ {
		list = append(list, wiretest.Item{ID: id, Name: fmt.Sprint("item ", id)})
	}
	return list
}

// However carriers come and go, and whether they take one message or several, the
// client is sent what it needs, in order, once.
func TestCarriersComeAndGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t, wire.Limits{Rows: 2}, 10, "things")
		defer r.stop()
		cl := &wiretest.Client{}
		take := func(msg string) {
			if err := cl.Take(decode(t, msg)); err != nil {
				t.Fatalf("%v", err)
			}
		}
		r.Put("things", items(1, 7)...)
		r.ask(`{"event":"things"}`)
		var c *carrier // nil: there is none
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				from := rapid.IntRange(1, 20).Draw(t, "from")
				r.Put("things", wiretest.Item{ID: from, Name: rapid.StringN(0, 5, 10).Draw(t, "name")}, wiretest.Item{ID: from + 30, Name: "x"})
			case 1:
				r.Delete("things", rapid.IntRange(1, 20).Draw(t, "gone"))
			case 2: // another takes over once this has sent what it was given
				if c != nil {
					if msg, ok := c.given(); ok {
						take(msg)
						c.mu.Lock()
						c.inFlight = false
						c.mu.Unlock()
					}
					r.session.Detach(c)
					if msg, ok := c.given(); ok { // given meanwhile
						take(msg)
					}
				}
				c = &carrier{t: t}
				r.session.Attach(c)
			case 3:
				if c != nil && (cl.Version != r.Token("things")) {
					take(c.take(&r.session))
				}
			case 4: // a poll: the message in flight, and those that go with it
				if c == nil || cl.Version == r.Token("things") {
					break
				}
				wiretest.Eventually(t, "there is a message", func() bool { _, ok := c.given(); return ok })
				msg, _ := c.given()
				r.session.Detach(c)
				take(msg)
				for range rapid.IntRange(0, 5).Draw(t, "more") {
					more := r.session.Take()
					if more == nil {
						break
					}
					take(string(more))
				}
				c = nil
			}
		}
		if c == nil {
			c = &carrier{t: t}
			r.session.Attach(c)
		}
		for cl.Version != r.Token("things") {
			take(c.take(&r.session))
		}
		r.Check(cl)
	})
}

// Joins take turns, and answers come first.
func TestTurnsAndReplies(t *testing.T) {
	r := newRig(t, wire.Limits{Rows: 1}, 10, "a", "b")
	defer r.stop()
	r.Put("a", items(1, 3)...)
	r.Put("b", items(1, 3)...)
	r.ask(`{"event":"a"}`)
	r.ask(`{"event":"b"}`)
	r.ask(`{"event":"nothing"}`)
	r.session.Reply([]byte(`{"event":"own","action":"x"}`))
	c := &carrier{t: t}
	r.session.Attach(c)
	var got []string
	for range 8 {
		m := decode(t, c.take(&r.session))
		got = append(got, m.Event)
	}
	if order := strings.Join(got, " "); order != "nothing own a b a b a b" {
		t.Error(order)
	}
}

// Channels are apart: in what they have joined, in their frames and in their ends.
// The bound of joins is the session's.
func TestChannels(t *testing.T) {
	r := newRig(t, wire.Limits{}, 3, "a", "b")
	defer r.stop()
	var other session.Channel
	other.Open(r.session.Context(), &r.session, wire.NewFramedEncoder(wire.Limits{}, wire.Framing{Before: "other[", Between: ",", After: "]"}))
	join := func(c *session.Channel, event string) {
		req, p := session.DecodeArgument(event, nil)
		c.Handle(req, p, func(p *problem.Problem) []byte {
			if p != nil {
				return []byte("refused " + string(p.Type))
			}
			return []byte("accepted")
		})
	}
	c := &carrier{t: t}
	r.session.Attach(c)
	expect := func(prefix string) {
		t.Helper()
		if got := c.take(&r.session); !strings.HasPrefix(got, prefix) {
			t.Errorf("got %s, want %s…", got, prefix)
		}
	}
	for _, event := range []string{"a", "b"} {
		join(&r.channel, event)
		expect("accepted")
		expect(`{"event":"` + event + `"`)
	}
	join(&other, "a")
	expect("accepted")
	expect(`other["a",{"event":"a"`)
	join(&other, "b")
	expect(`other["b",{"event":"b","action":"error"`)
	expect("refused " + string(problem.TypeTooMany))

	r.channel.Close()
	r.channel.Close() // harmless
	join(&r.channel, "a")
	r.Put("a", items(1, 1)...)
	expect(`other["a",{"event":"a","action":"create"`)
	join(&other, "b")
	expect("accepted")
	expect(`other["b",{"event":"b"`)
	if n := r.Bindings["a"].Status().Subscribers; n != 1 {
		t.Errorf("%d subscribers", n)
	}
}

// A session that stops completes the batch that is under way. Without a carrier it
// waits for one only for that.
func TestStop(t *testing.T) {
	for _, begun := range []int{0, 1, 3} {
		t.Run(fmt.Sprint(begun, " messages before"), func(t *testing.T) {
			r := newRig(t, wire.Limits{Rows: 1}, 10, "things")
			defer r.stop()
			r.Put("things", items(1, 3)...)
			r.ask(`{"event":"things"}`)
			c := &carrier{t: t}
			if begun > 0 {
				r.session.Attach(c)
				for range begun - 1 {
					c.take(&r.session)
				}
				wiretest.Eventually(t, "a message is in flight", func() bool { _, ok := c.given(); return ok })
				r.session.Detach(c)
			}
			if r.session.EndIdle() {
				t.Error("ended without being stopped")
			}
			r.session.Stop()
			if idle, want := r.session.EndIdle(), begun != 1; idle != want {
				t.Fatalf("ended idly: %t, want %t", idle, want)
			}
			next := &carrier{t: t}
			r.session.Attach(next)
			if begun == 1 {
				for range 2 {
					next.take(&r.session)
				}
				wiretest.Eventually(t, "it is finished", next.isFinished)
			}
			if !r.session.AwaitRoom() && r.session.Context().Err() == nil {
				t.Error("the session goes on")
			}
			if r.session.End() {
				t.Error("the session had not ended")
			}
		})
	}
}

// Who is not read does not ask either: requests wait until answers were taken, or
// the session has ended.
func TestRoom(t *testing.T) {
	r := newRig(t, wire.Limits{}, 10, "things")
	defer r.stop()
	for range 64 { // as many as may wait
		if !r.session.AwaitRoom() {
			t.Fatal("the session has ended")
		}
		r.ask(`{"event":"things","disconnect":true}`)
	}
	room := make(chan bool)
	go func() { room <- r.session.AwaitRoom() }()
	wiretest.Eventually(t, "it waits", func() bool { return r.hub.Held() == 1 })
	c := &carrier{t: t}
	r.session.Attach(c)
	c.take(&r.session)
	if !<-room {
		t.Error("no room after an answer was taken")
	}
	for range 2 {
		r.ask(`{"event":"things","disconnect":true}`)
	}
	go func() { room <- r.session.AwaitRoom() }()
	wiretest.Eventually(t, "it waits again", func() bool { return r.hub.Held() == 2 })
	r.session.End()
	if <-room {
		t.Error("there is room after the end")
	}
}
