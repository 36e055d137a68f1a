package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

const endpoint = "socket.io/?EIO=4&transport="

// joinPacket asks for a binding in the main namespace of Socket.IO.
func joinPacket(binding string) string {
	name, project, member := strings.Cut(binding, "?project=")
	if !member {
		return fmt.Sprintf(`42[%q]`, name)
	}
	return fmt.Sprintf(`42[%q,{"params":{"project":%q}}]`, name, project)
}

// packets reads messages of Socket.IO out of packets of Engine.IO, and answers
// pings.
func packets(read func() ([]string, error), send func(packet string) error) func() (message, error) {
	var queue []string
	return func() (m message, err error) {
		for {
			if len(queue) == 0 {
				if queue, err = read(); err != nil {
					return m, err
				}
			}
			p := queue[0]
			queue = queue[1:]
			switch {
			case p == "2":
				if err := send("3"); err != nil {
					return m, err
				}
			case strings.HasPrefix(p, "42"):
				var name string
				return m, json.Unmarshal([]byte(p[2:]), &[]any{&name, &m})
			}
		}
	}
}

// polled follows a binding by Socket.IO's long-polling.
func (u *user) polled(binding string) *live {
	u.r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	u.r.t.Cleanup(cancel)
	path := endpoint + "polling"
	do := func(method, body string) (string, error) {
		resp, err := http.DefaultClient.Do(u.request(ctx, method, path, body))
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", resp.Status, text)
		}
		return string(text), err
	}
	send := func(packet string) error {
		_, err := do(http.MethodPost, packet)
		return err
	}
	hello, err := do(http.MethodGet, "")
	if err != nil {
		u.r.t.Fatal(err)
	}
	var session struct{ SID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(hello, "0")), &session); err != nil {
		u.r.t.Fatalf("handshake %q: %v", hello, err)
	}
	path += "&sid=" + session.SID
	// Sessions that poll would last beyond the test, for want of a goodbye.
	u.r.t.Cleanup(func() { _ = send("1") })
	if err := send("40\x1e" + joinPacket(binding)); err != nil {
		u.r.t.Fatal(err)
	}
	return &live{t: u.r.t, next: packets(func() ([]string, error) {
		text, err := do(http.MethodGet, "")
		return strings.Split(text, "\x1e"), err
	}, send)}
}

// socketIO follows a binding by Socket.IO on WebSocket.
func (u *user) socketIO(binding string) *live {
	u.r.t.Helper()
	path := endpoint + "websocket"
	c, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(u.r.url, "http")+path, u.request(u.r.t.Context(), "GET", path, "").Header)
	if err != nil {
		u.r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	u.r.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(patience))
	send := func(packet string) error { return c.WriteMessage(websocket.TextMessage, []byte(packet)) }
	for _, p := range []string{"40", joinPacket(binding)} {
		if err := send(p); err != nil {
			u.r.t.Fatal(err)
		}
	}
	return &live{t: u.r.t, next: packets(func() ([]string, error) {
		_, raw, err := c.ReadMessage()
		return []string{string(raw)}, err
	}, send)}
}
