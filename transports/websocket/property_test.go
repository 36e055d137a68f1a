package websocket_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/websocket"
)

// follower is a connection that has joined one binding as [wiretest.Journey]
// sees it.
type follower struct{ *conn }

func (f follower) Next() wiretest.Message { return f.next() }
func (f follower) Drop()                  { f.close() }

// Whatever is written, and wherever the connection drops, a client that resumes
// holds at each version what the binding held.
func TestClientsNeverLoseTheirPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newServer(t, websocket.Config{PageRows: rapid.IntRange(1, 8).Draw(t, "page"), MessageBytes: 1 << 10}, "things")
		s.start()
		defer s.stop()
		pick := func(what string, n int) int { return rapid.IntRange(0, n-1).Draw(t, what) }
		wiretest.Journey(s.Rig, "things", rapid.IntRange(1, 25).Draw(t, "steps"), pick, func(version string) wiretest.Stream {
			c := s.dial()
			c.send(fmt.Sprintf(`{"event":"things","version":%q}`, version))
			return follower{c}
		})
	})
}

// However a client joins, leaves and joins again on one connection while others
// write, the messages between its joins and leaves keep to the protocol.
func TestJoinsAndLeavesKeepOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newServer(t, websocket.Config{PageRows: 2}, "a", "b")
		s.start()
		defer s.stop()
		c := s.dial()
		defer c.close()
		names := []string{"a", "b"}
		clients := map[string]*wiretest.Client{"a": {}, "b": {}}
		joined := map[string]bool{}  // as far as the client has said
		leaving := map[string]int{}  // leaves not confirmed yet
		dropped := map[string]bool{} // nothing may come: left, and not joined since
		take := func(m wiretest.Message) {
			if m.Action == "leave" {
				if leaving[m.Event]--; leaving[m.Event] < 0 {
					t.Fatalf("a leave too many: %+v", m)
				}
				clients[m.Event] = &wiretest.Client{}
				dropped[m.Event] = leaving[m.Event] == 0 && !joined[m.Event]
				return
			}
			if dropped[m.Event] {
				t.Fatalf("after the leave: %+v", m)
			}
			if err := clients[m.Event].Take(m); err != nil {
				t.Fatalf("%v", err)
			}
		}
		for i := range rapid.IntRange(1, 30).Draw(t, "steps") {
			n := rapid.SampledFrom(names).Draw(t, "binding")
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				s.Put(n, wiretest.Item{ID: rapid.IntRange(1, 9).Draw(t, "id"), Name: fmt.Sprint(i)})
			case 1:
				version := ""
				if joined[n] && leaving[n] == 0 {
					version = clients[n].Version
				}
				c.send(fmt.Sprintf(`{"event":%q,"version":%q}`, n, version))
				joined[n], dropped[n] = true, false
			case 2:
				c.send(fmt.Sprintf(`{"event":%q,"disconnect":true}`, n))
				joined[n] = false
				leaving[n]++
			case 3:
				if leaving[n] > 0 {
					take(c.next())
				}
			}
		}
		// A last request, whose answer comes after those to all others.
		c.send(`{"event":"done","disconnect":true}`)
		for m := c.next(); m.Event != "done"; m = c.next() {
			take(m)
		}
		for _, n := range names {
			for joined[n] && clients[n].Version != s.Token(n) {
				take(c.next())
			}
			if joined[n] {
				s.Check(clients[n])
			}
		}
	})
}
