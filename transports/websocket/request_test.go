package websocket_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	gorilla "github.com/gorilla/websocket"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/websocket"
)

func TestPageLookUp(t *testing.T) {
	s := serve(t, websocket.Config{PageRows: 2}, "things")
	s.Put("things", items(1, 5, "")...)
	c := s.dial()
	defer c.close()
	for page, rows := range map[int]int{1: 2, 3: 1, 4: 0} {
		c.send(fmt.Sprintf(`{"event":"things","page":%d}`, page))
		if m := c.next(); m.Action != "page" || m.Page != page || m.Pages != 3 || len(m.Rows()) != rows || m.Version != s.Token("things") || m.More {
			t.Errorf("page %d: %+v", page, m)
		}
	}
	if got := s.Bindings["things"].Status().Subscribers; got != 0 {
		t.Errorf("%d subscribers", got)
	}
}

func TestBadRequests(t *testing.T) {
	s := serve(t, websocket.Config{MaxJoins: 1}, "things", "others")
	c := s.dial()
	defer c.close()
	for _, r := range []struct {
		text, event string
		kind        problem.Type
	}{
		{`{`, "", problem.TypeMalformedMessage},
		{``, "", problem.TypeMalformedMessage},
		{`[]`, "", problem.TypeMalformedMessage},
		{`null`, "", problem.TypeMalformedMessage},
		{`{"event":"things"} {}`, "", problem.TypeMalformedMessage},
		{`{}`, "", problem.TypeMalformedMessage},
		{`{"event":7}`, "", problem.TypeMalformedMessage},
		{`{"event":""}`, "", problem.TypeMalformedMessage},
		{`{"EVENT":"things"}`, "", problem.TypeMalformedMessage},
		{`{"event":"things","version":7}`, "things", problem.TypeMalformedMessage},
		{`{"event":"things","page":"1"}`, "things", problem.TypeMalformedMessage},
		{`{"event":"things","page":1.5}`, "things", problem.TypeMalformedMessage},
		{`{"event":"things","page":0}`, "things", problem.TypeBadParameter},
		{`{"event":"things","disconnect":1}`, "things", problem.TypeMalformedMessage},
		{`{"event":"things","params":[]}`, "things", problem.TypeMalformedMessage},
		{`{"event":"things","params":{"user":1}}`, "things", problem.TypeBadParameter},
		{`{"event":"nope"}`, "nope", problem.TypeUnknownBinding},
		{`{"event":"nope","page":1}`, "nope", problem.TypeUnknownBinding},
	} {
		c.send(r.text)
		if m := c.next(); m.Action != "error" || m.Event != r.event || m.Problem() != string(r.kind) {
			t.Errorf("%s: %+v", r.text, m)
		}
	}
	// The connection lives on, and is bounded in its joins.
	c.send(`{"event":"things","params":{}}`)
	if m := c.next(); m.Action != "sync" {
		t.Errorf("%+v", m)
	}
	c.send(`{"event":"others"}`)
	if m := c.next(); m.Action != "error" || m.Event != "others" || m.Problem() != string(problem.TypeTooMany) {
		t.Errorf("%+v", m)
	}
	c.send(`{"event":"things","disconnect":true}`)
	c.next()
	c.send(`{"event":"others"}`)
	if m := c.next(); m.Action != "sync" || m.Event != "others" {
		t.Errorf("%+v", m)
	}
}

func TestHostileMessagesCloseTheConnection(t *testing.T) {
	s := serve(t, websocket.Config{}, "things")
	for _, h := range []struct {
		kind int
		data string
		code int
	}{
		{gorilla.TextMessage, `{"event":"` + strings.Repeat("x", 64<<10) + `"}`, gorilla.CloseMessageTooBig},
		{gorilla.TextMessage, strings.Repeat("x", 4<<20), gorilla.CloseMessageTooBig},
		{gorilla.BinaryMessage, `{"event":"things"}`, gorilla.CloseUnsupportedData},
		{gorilla.TextMessage, "{\"event\":\"thin\xffgs\"}", gorilla.CloseInvalidFramePayloadData},
	} {
		c := s.dial()
		_ = c.WriteMessage(h.kind, []byte(h.data)) // may be cut short
		if got := c.closed(); got != h.code {
			t.Errorf("%.30q: closed with %d, want %d", h.data, got, h.code)
		}
		c.close()
	}
	c := s.dial()
	defer c.close()
	c.send(`{"event":"` + strings.Repeat("x", 64<<10-20) + `"}`)
	if m := c.next(); m.Action != "error" {
		t.Errorf("a message within the limit: %+v", m)
	}
	wiretest.Eventually(t, "the others are gone", func() bool { return s.ws.Status().Open == 1 })
}

// Answers that are read arrive, however many requests are sent ahead.
func TestPipelinedRequestsAreAllAnswered(t *testing.T) {
	s := serve(t, websocket.Config{}, "things")
	c := s.dial()
	defer c.close()
	const n = 2000
	sent := make(chan error)
	go func() {
		for i := range n {
			if err := c.WriteMessage(gorilla.TextMessage, []byte(`{"event":"n`+strconv.Itoa(i)+`"}`)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i := range n {
		if m := c.next(); m.Event != "n"+strconv.Itoa(i) || m.Action != "error" {
			t.Fatalf("answer %d: %+v", i, m)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}
