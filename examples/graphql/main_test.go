package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/examples/internal/demo"
	"github.com/gorilla/websocket"
	"github.com/uptrace/bun"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	demo.StopWithin = time.Minute
	goleak.VerifyTestMain(m)
}

const document = "subscription Shelf($venue: String!, $search: String) {\n  shelf(venue: $venue, search: $search) { version products { id name cents } }\n}"

// client is a client of the protocol.
type client struct {
	t  *testing.T
	ws *websocket.Conn
}

func dial(t *testing.T, url string) *client {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{protocolName}}
	ws, _, err := dialer.Dial("ws"+strings.TrimPrefix(url, "http")+"/graphql", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(60 * time.Second))
	return &client{t, ws}
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) subscribe(id, variables string) {
	c.t.Helper()
	query, _ := json.Marshal(document)
	c.send(fmt.Sprintf(`{"id":%q,"type":"subscribe","payload":{"query":%s,"variables":%s}}`, id, query, variables))
}

func (c *client) next() message {
	c.t.Helper()
	var m message
	if err := c.ws.ReadJSON(&m); err != nil {
		c.t.Fatal(err)
	}
	return m
}

// shelf demands the next version of the operation, and returns its products.
func (c *client) shelf(id string) string {
	c.t.Helper()
	m := c.next()
	var data struct{ Data struct{ Shelf Shelf } }
	if err := json.Unmarshal(m.Payload, &data); err != nil || m.ID != id || m.Type != "next" || data.Data.Shelf.Version == "" {
		c.t.Fatalf("got %s %s %s, %v", m.ID, m.Type, m.Payload, err)
	}
	var names []string
	for _, p := range data.Data.Shelf.Products {
		names = append(names, fmt.Sprint(p.Name, " ", p.Cents))
	}
	return strings.Join(names, ", ")
}

// closed demands that the server closes the connection with the code.
func (c *client) closed(code int) {
	c.t.Helper()
	var m message
	var closing *websocket.CloseError
	if err := c.ws.ReadJSON(&m); !errors.As(err, &closing) || closing.Code != code {
		c.t.Errorf("got %+v, %v, want the close code %d", m, err, code)
	}
}

func serve(t *testing.T) (url string, db *bun.DB, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- run(ctx, "127.0.0.1:0", 0, func(url string, d *bun.DB) { db = d; ready <- url }) }()
	select {
	case url = <-ready:
		return url, db, func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	case err := <-done:
		cancel()
		t.Fatal(err)
		return "", nil, nil
	}
}

func TestSubscriptions(t *testing.T) {
	url, db, stop := serve(t)
	c := dial(t, url)
	c.send(`{"type":"connection_init"}`)
	if m := c.next(); m.Type != "connection_ack" {
		t.Fatalf("got %+v", m)
	}
	c.subscribe("1", `{"venue":"store"}`)
	if got := c.shelf("1"); got != "Green tea 450, Teapot 3200" {
		t.Errorf("got %s", got)
	}
	c.subscribe("2", `{"venue":"store","search":"POT"}`)
	if got := c.shelf("2"); got != "Teapot 3200" {
		t.Errorf("got %s", got)
	}
	if _, err := db.NewUpdate().Model((*Product)(nil)).Set("cents = 500").Where("id IN (1, 3)").Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.shelf("1"); got != "Green tea 500, Teapot 3200" { // and nothing of 2, which shows neither
		t.Errorf("got %s", got)
	}
	c.send(`{"id":"1","type":"complete"}`)
	c.subscribe("3", `{}`)
	if m := c.next(); m.ID != "3" || m.Type != "next" { // the venue that is named ""
		t.Errorf("got %+v", m)
	}
	c.send(`{"id":"4","type":"subscribe","payload":{"query":"{ all }"}}`)
	if m := c.next(); m.ID != "4" || m.Type != "error" {
		t.Errorf("got %+v", m)
	}
	c.send(`{"type":"ping"}`)
	if m := c.next(); m.Type != "pong" {
		t.Errorf("got %+v", m)
	}
	stop()
	for range 2 { // 2 and 3 go on until here
		if m := c.next(); m.Type != "complete" {
			t.Errorf("got %+v", m)
		}
	}
	c.closed(websocket.CloseGoingAway)
}

func TestRefusals(t *testing.T) {
	url, _, stop := serve(t)
	defer stop()
	for name, tt := range map[string]struct {
		sends []string
		code  int
	}{
		"no JSON":           {[]string{`{`}, badMessage},
		"not a message":     {[]string{`{"type":7}`}, badMessage},
		"an unknown type":   {[]string{`{"type":"shout"}`}, badMessage},
		"before the init":   {[]string{`{"id":"1","type":"subscribe","payload":{}}`}, unauthorized},
		"initialised twice": {[]string{`{"type":"connection_init"}`, `{"type":"connection_init"}`}, tooManyInits},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, url)
			for i, text := range tt.sends {
				c.send(text)
				if i+1 < len(tt.sends) {
					c.next()
				}
			}
			c.closed(tt.code)
		})
	}
	c := dial(t, url)
	c.send(`{"type":"connection_init"}`)
	c.next()
	c.subscribe("1", `{"venue":"store"}`)
	c.shelf("1")
	c.subscribe("1", `{"venue":"web"}`)
	c.closed(subscriberIs)
}
