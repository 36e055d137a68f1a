package socketio_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	gorilla "github.com/gorilla/websocket"

	"github.com/binderyhq/bindery/core/wire/wiretest"
)

// The ways in which a client may be connected.
const (
	polling   = "polling"
	websocket = "websocket"
	upgraded  = "upgraded"
)

var ways = []string{polling, websocket, upgraded}

// statusError is an answer that is none of the protocol's.
type statusError struct {
	status int
	body   string
}

func (e *statusError) Error() string { return fmt.Sprintf("answered %d %s", e.status, e.body) }

// client is a client that was written from the protocol's description, for what
// stock clients do not do: they are tried in interop_test.go.
type client struct {
	url    string // of the endpoint
	http   *http.Client
	header http.Header
	sid    string
	ws     *gorilla.Conn
	queue  []string // Engine.IO packets that have come
	quiet  bool     // does not answer pings
}

// dial connects and enters the main namespace.
func dial(ctx context.Context, h *http.Client, base, way string, header http.Header) (*client, error) {
	c, err := dialEngine(ctx, h, base, way, header)
	if err != nil {
		return nil, err
	}
	if err := c.enter(ctx, "", ""); err != nil {
		c.vanish()
		return nil, err
	}
	return c, nil
}

// dialEngine connects without entering a namespace.
func dialEngine(ctx context.Context, h *http.Client, base, way string, header http.Header) (*client, error) {
	c := &client{url: base + "/socket.io/", http: h, header: header}
	if way == websocket {
		if err := c.open(ctx); err != nil {
			return nil, err
		}
	}
	packet, err := c.next(ctx)
	if err != nil {
		return nil, err
	}
	var hello struct{ SID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(packet, "0")), &hello); err != nil || hello.SID == "" {
		return nil, fmt.Errorf("handshake %q: %w", packet, err)
	}
	c.sid = hello.SID
	if way == upgraded {
		return c, c.upgrade(ctx)
	}
	return c, nil
}

func (c *client) query(transport string) string {
	q := url.Values{"EIO": {"4"}, "transport": {transport}}
	if c.sid != "" {
		q.Set("sid", c.sid)
	}
	return c.url + "?" + q.Encode()
}

// open opens a WebSocket.
func (c *client) open(ctx context.Context) error {
	ws, resp, err := gorilla.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(c.query(websocket), "http"), c.header)
	if resp != nil {
		defer resp.Body.Close()
		if err != nil {
			body, _ := io.ReadAll(resp.Body)
			return &statusError{resp.StatusCode, string(body)}
		}
	}
	c.ws = ws
	return err
}

// upgrade changes from polling to WebSocket as stock clients do, with a poll open
// meanwhile.
func (c *client) upgrade(ctx context.Context) error {
	polled := make(chan error, 1)
	var got []string
	go func() {
		var err error
		got, err = c.poll(ctx)
		polled <- err
	}()
	if err := c.open(ctx); err != nil {
		return errors.Join(err, <-polled)
	}
	if err := c.ws.WriteMessage(gorilla.TextMessage, []byte("2probe")); err != nil {
		return err
	}
	if _, answer, err := c.ws.ReadMessage(); err != nil || string(answer) != "3probe" {
		return fmt.Errorf("the probe was answered %q: %w", answer, err)
	}
	if err := <-polled; err != nil {
		return err
	}
	for _, p := range got {
		if p != "6" {
			c.queue = append(c.queue, p)
		}
	}
	return c.ws.WriteMessage(gorilla.TextMessage, []byte("5"))
}

func (c *client) do(ctx context.Context, method, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.query(polling), strings.NewReader(body))
	if err != nil {
		return "", err
	}
	for name, values := range c.header {
		req.Header[name] = values
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = &statusError{resp.StatusCode, string(text)}
	}
	return string(text), err
}

// poll asks for packets.
func (c *client) poll(ctx context.Context) ([]string, error) {
	text, err := c.do(ctx, http.MethodGet, "")
	if err != nil {
		return nil, err
	}
	return strings.Split(text, "\x1e"), nil
}

// send sends Engine.IO packets.
func (c *client) send(ctx context.Context, packets ...string) error {
	if c.ws == nil {
		answer, err := c.do(ctx, http.MethodPost, strings.Join(packets, "\x1e"))
		if err == nil && answer != "ok" {
			err = fmt.Errorf("packets were answered %q", answer)
		}
		return err
	}
	for _, p := range packets {
		if err := c.ws.WriteMessage(gorilla.TextMessage, []byte(p)); err != nil {
			return err
		}
	}
	return nil
}

// next returns the next Engine.IO packet but pings, which it answers.
func (c *client) next(ctx context.Context) (string, error) {
	for {
		for len(c.queue) == 0 {
			if err := c.fetch(ctx); err != nil {
				return "", err
			}
		}
		p := c.queue[0]
		c.queue = c.queue[1:]
		if p != "2" {
			return p, nil
		}
		if c.quiet {
			continue
		}
		if err := c.send(ctx, "3"); err != nil {
			return "", err
		}
	}
}

func (c *client) fetch(ctx context.Context) error {
	if c.ws == nil {
		got, err := c.poll(ctx)
		c.queue = got
		return err
	}
	stop := context.AfterFunc(ctx, c.vanish)
	defer stop()
	_, raw, err := c.ws.ReadMessage()
	if err == nil {
		c.queue = append(c.queue, string(raw))
	}
	return err
}

// vanish says no goodbye.
func (c *client) vanish() {
	if c.ws != nil {
		_ = c.ws.NetConn().Close()
	}
}

// enter connects to a namespace; the main one is "".
func (c *client) enter(ctx context.Context, namespace, auth string) error {
	prefix := namespace
	if prefix != "" {
		prefix += ","
	}
	if err := c.send(ctx, "40"+prefix+auth); err != nil {
		return err
	}
	p, err := c.next(ctx)
	if err == nil && !strings.HasPrefix(p, "40"+prefix+`{"sid":"`) {
		err = fmt.Errorf("connecting was answered %s", p)
	}
	return err
}

// emit sends an event of the main namespace with one argument, "" for none.
func (c *client) emit(ctx context.Context, event, arg string) error {
	return c.send(ctx, "42"+eventJSON(event, arg))
}

func eventJSON(event, arg string) string {
	name, _ := json.Marshal(event) // texts always marshal
	if arg != "" {
		arg = "," + arg
	}
	return "[" + string(name) + arg + "]"
}

// message returns the next event of the main namespace.
func (c *client) message(ctx context.Context) (m wiretest.Message, err error) {
	p, err := c.next(ctx)
	if err != nil {
		return m, err
	}
	return decodeEvent(p, "42")
}

func decodeEvent(packet, prefix string) (m wiretest.Message, err error) {
	body, ok := strings.CutPrefix(packet, prefix)
	if !ok {
		return m, fmt.Errorf("packet %.200q is no event of %s", packet, prefix)
	}
	var parts []json.RawMessage
	if err := json.Unmarshal([]byte(body), &parts); err != nil || len(parts) != 2 {
		return m, fmt.Errorf("event %.200q has %d parts: %w", packet, len(parts), err)
	}
	if err := json.Unmarshal(parts[1], &m); err != nil {
		return m, err
	}
	var name string
	if err := json.Unmarshal(parts[0], &name); err != nil || name != m.Event {
		return m, fmt.Errorf("event %s bears a message about %q", parts[0], m.Event)
	}
	if bytes.ContainsAny(parts[1], "\n\x1e") {
		return m, fmt.Errorf("a separator within %q", packet)
	}
	return m, nil
}
