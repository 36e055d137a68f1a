package websocket_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/websocket"
)

// withFamilies serves "things" and the families over it.
func withFamilies(t *testing.T, cfg websocket.Config, rights *wiretest.Rights) *server {
	t.Helper()
	s := newServer(t, cfg, "things", "others")
	s.AddFamilies("things")
	if rights != nil {
		s.Guard(rights)
	}
	s.start()
	t.Cleanup(s.stop)
	return s
}

// is demands that the message is of this binding, member and action.
func is(t *testing.T, m wiretest.Message, event, params, action string) {
	t.Helper()
	if m.Event != event || string(m.Params) != params || m.Action != action {
		t.Fatalf("got %s %s %s, want %s %s %s", m.Event, m.Params, m.Action, event, params, action)
	}
}

func TestMembersOnOneConnection(t *testing.T) {
	s := withFamilies(t, websocket.Config{PageRows: 2}, nil)
	s.Put("things", items(1, 3, "a")...)
	s.Put("things", items(4, 5, "b & c")...)
	c := s.dial()
	defer c.close()
	c.send(`{"event":"noted","params":{"note":"a"}}`)
	for range 2 {
		is(t, c.next(), "noted", `{"note":"a"}`, "sync")
	}
	c.send(`{"params":{"note":"b \u0026 c"},"event":"noted"}`)
	b := c.next()
	is(t, b, "noted", `{"note":"b \u0026 c"}`, "sync")
	c.send(`{"event":"noted","page":2,"params":{"note":"a"}}`)
	page := c.next()
	is(t, page, "noted", `{"note":"a"}`, "page")
	if page.Page != 2 || page.Pages != 2 || len(page.Rows()) != 1 {
		t.Errorf("page %d of %d: %s", page.Page, page.Pages, page.Payload)
	}

	// A row goes from one member to the other.
	s.Put("things", wiretest.Item{ID: 1, Note: "b & c"})
	seen := map[string]string{}
	for range 2 {
		m := c.next()
		seen[m.Action] = string(m.Params) + string(m.Payload)
	}
	if seen["delete"] != `{"note":"a"}[{"id":1}]` || !strings.HasPrefix(seen["create"], `{"note":"b \u0026 c"}[{"id":1,`) {
		t.Errorf("got %v", seen)
	}

	c.send(`{"event":"noted","disconnect":true,"params":{ "note" : "a" }}`)
	is(t, c.next(), "noted", `{"note":"a"}`, "leave")
	c.send(`{"event":"noted","disconnect":true,"params":{"note":"never"}}`)
	is(t, c.next(), "noted", `{"note":"never"}`, "leave")
	c.send(`{"event":"noted","disconnect":true,"params":{"colour":[1, 2]}}`)
	is(t, c.next(), "noted", `{"colour":[1,2]}`, "leave")
	c.send(`{"event":"noted","disconnect":true}`)
	is(t, c.next(), "noted", ``, "leave")
	s.Put("things", wiretest.Item{ID: 2, Note: "b & c"}, wiretest.Item{ID: 6, Note: "a"})
	is(t, c.next(), "noted", `{"note":"b \u0026 c"}`, "create")

	c.close()
	wiretest.Eventually(t, "nobody uses a member", func() bool { return s.Reg.Status().Families[0].InUse == 0 })
}

// A member joined twice is one join, however its parameters are spelled.
func TestMemberStartsAfresh(t *testing.T) {
	s := withFamilies(t, websocket.Config{}, nil)
	s.Put("things", items(1, 2, "")...)
	c := s.dial()
	defer c.close()
	c.send(`{"event":"one","params":{"id":1}}`)
	first := c.next()
	is(t, first, "one", `{"id":1}`, "sync")
	c.send(`{"event":"one","params":{"id":"1"},"version":"` + first.Version + `"}`)
	again := c.next()
	if is(t, again, "one", `{"id":1}`, "sync"); string(again.Payload) != `"ok"` {
		t.Errorf("the payload is %s", again.Payload)
	}
	s.Put("things", wiretest.Item{ID: 1, Name: "new"})
	is(t, c.next(), "one", `{"id":1}`, "update")
	c.send(`{"event":"one","params":{"id":1.0},"disconnect":true}`)
	is(t, c.next(), "one", `{"id":1.0}`, "leave")
	wiretest.Eventually(t, "nobody uses a member", func() bool {
		f := s.Reg.Status().Families[1]
		return f.InUse == 0 && f.Alive == 1
	})
}

func TestParametersThatAreWrong(t *testing.T) {
	s := withFamilies(t, websocket.Config{MaxJoins: 1}, nil)
	c := s.dial()
	defer c.close()
	for _, params := range []string{`{"id":"x"}`, `{"id":1.5}`, `{"id":true}`, `{"id":null}`, `{"id":[1]}`, `{"colour":1}`, `{"id":1,"colour":"red"}`} {
		c.send(`{"event":"one","params":` + params + `}`)
		m := c.next()
		if is(t, m, "one", params, "error"); m.Status() != 400 || !strings.Contains(string(m.Payload), `"field":"`) {
			t.Errorf("%s: %s", params, m.Payload)
		}
	}
	for _, text := range []string{`{"event":"one"}`, `{"event":"one","params":{}}`, `{"event":"one","params":null}`} {
		c.send(text)
		if m := c.next(); m.Status() != 400 {
			t.Errorf("%s: %+v", text, m)
		}
	}
	c.send(`{"event":"things","params":{"id":1}}`)
	if m := c.next(); m.Status() != 400 {
		t.Errorf("parameters of a binding that has none: %+v", m)
	}
	c.send(`{"event":"one","params":{"id":1}}`)
	is(t, c.next(), "one", `{"id":1}`, "sync")
	c.send(`{"event":"one","params":{"id":2}}`)
	if m := c.next(); m.Status() != 429 {
		t.Errorf("one join too many: %+v", m)
	}
	wiretest.Eventually(t, "one member is in use", func() bool { return s.Reg.Status().Families[1].InUse == 1 })
}

// Rights are withdrawn: the client is told, about that binding, and the others
// go on.
func TestWithdrawnRights(t *testing.T) {
	rights := &wiretest.Rights{}
	s := withFamilies(t, websocket.Config{}, rights)
	s.Put("things", items(1, 2, "a")...)
	c := s.dial()
	defer c.close()
	c.send(`{"event":"noted","params":{"note":"a"}}`)
	c.next()
	c.send(`{"event":"others"}`)
	c.next()

	rights.Set("noted", core.Deny())
	s.Reauthorize()
	m := c.next()
	if is(t, m, "noted", `{"note":"a"}`, "error"); m.Status() != 403 {
		t.Errorf("got %s", m.Payload)
	}
	s.Put("things", items(1, 3, "a")...)
	s.Put("others", items(1, 1, "")...)
	is(t, c.next(), "others", "", "create")
	c.send(`{"event":"noted","params":{"note":"a"}}`)
	if m := c.next(); m.Status() != 403 {
		t.Errorf("joining again: %+v", m)
	}
	// Without waiting for the next round: who asks again and is denied has left.
	rights.Set("others", core.Unauthenticated(`Bearer`))
	c.send(`{"event":"others"}`)
	if m := c.next(); m.Status() != 401 {
		t.Errorf("joining again: %+v", m)
	}
	wiretest.Eventually(t, "there is no subscriber", func() bool { return s.Bindings["others"].Status().Subscribers == 0 })
	rights.Set("noted", core.AllowWhere(filter.Eq("id", 2)))
	c.send(`{"event":"noted","params":{"note":"a"}}`)
	if m := c.next(); len(m.Rows()) != 1 {
		t.Errorf("within a scope: %s", m.Payload)
	}
}

// A sync that is under way when rights are withdrawn is not completed.
func TestWithdrawnRightsEndASync(t *testing.T) {
	rights := &wiretest.Rights{}
	s := newServer(t, websocket.Config{PageRows: 1}, "long")
	s.Tables["long"].Put(items(1, 300, strings.Repeat("x", 64<<10))...) // more than sockets buffer
	s.Guard(rights)
	s.start()
	defer s.stop()
	c := s.dial()
	defer c.close()
	c.send(`{"event":"long"}`)
	c.next()
	rights.Set("long", core.Deny())
	s.Reauthorize()
	for m := c.next(); m.Action != "error"; m = c.next() {
		if !m.More {
			t.Fatal("the sync was completed")
		}
	}
}

// While the authorizer thinks, the bindings that are joined go on; and it is told
// when the client has gone.
func TestAuthorizerThatTakesItsTime(t *testing.T) {
	rights := &wiretest.Rights{Blocks: "others", Blocking: make(chan struct{})}
	s := withFamilies(t, websocket.Config{}, rights)
	c := s.dial()
	c.send(`{"event":"things"}`)
	c.next()
	c.send(`{"event":"others"}`)
	<-rights.Blocking
	for range 3 {
		s.Put("things", items(1, 2, s.Token("things"))...)
		if m := c.next(); m.Event != "things" {
			t.Errorf("got %+v", m)
		}
	}
	s.Stop() // ends the asking
	if code := c.closed(); code != 1001 {
		t.Errorf("closed with %d", code)
	}
	c.close()
}

// Clients join, leave and look at members and bindings while rights change all
// the time. Whatever the order of events, everything is given back at the end.
func TestRightsChangeWhileMembersComeAndGo(t *testing.T) {
	rights := &wiretest.Rights{}
	s := withFamilies(t, websocket.Config{PageRows: 3}, rights)
	s.Put("things", items(1, 20, "a")...)
	stop, flipped := make(chan struct{}), make(chan int)
	go func() {
		decisions := []core.Decision{core.Deny(), core.Allow(), core.AllowWhere(filter.Gt("id", 5)), core.AllowWhere(filter.Le("id", 5))}
		for n := 0; ; n++ {
			select {
			case <-stop:
				flipped <- n
				return
			default:
			}
			rights.Set("noted", decisions[n%len(decisions)])
			rights.Set("things", decisions[(n/2)%len(decisions)])
			s.Reauthorize()
			s.Put("things", wiretest.Item{ID: n%20 + 1, Name: strconv.Itoa(n), Note: "a"})
		}
	}()
	var clients sync.WaitGroup
	for seed := range uint64(4) {
		c := s.dial()
		defer c.close()
		clients.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, 7))
			for range 150 {
				c.send([]string{
					`{"event":"noted","params":{"note":"a"}}`,
					`{"event":"noted","params":{"note":"b"}}`,
					`{"event":"noted","params":{"note":"a"},"disconnect":true}`,
					`{"event":"noted","params":{"note":"a"},"page":2}`,
					`{"event":"things"}`,
					`{"event":"things","disconnect":true}`,
				}[rnd.IntN(6)])
			}
			c.send(`{"event":"end","disconnect":true}`)
		})
		clients.Go(func() {
			for m := c.next(); m.Event != "end"; m = c.next() {
				// 503 answers a look during which rights have changed each time it
				// was begun anew, which nothing but this test brings about.
				if m.Action == "error" && m.Status() != 403 && m.Status() != 503 {
					t.Errorf("got %s", m.Payload)
				}
			}
		})
	}
	clients.Wait()
	close(stop)
	if n := <-flipped; n == 0 {
		t.Error("no right has changed meanwhile")
	}
	// Those who are still connected have what their rights are now.
	rights.Set("noted", core.Deny())
	rights.Set("things", core.Deny())
	s.Reauthorize()
	wiretest.Eventually(t, "everything is given back", func() bool {
		for _, f := range s.Reg.Status().Families {
			if f.InUse > 0 {
				return false
			}
		}
		return s.Bindings["things"].Status().Subscribers == 0
	})
}
