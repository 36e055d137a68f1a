package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/status"
)

// patience bounds every wait of these tests; none is as long on a machine that
// has nothing else to do.
const patience = 60 * time.Second

// running is the program as somebody outside sees it.
type running struct {
	t    *testing.T
	url  string // ends with a slash
	file string
	reg  *core.Registry
	stop func() // sends the signal and waits for the end
}

func open(t *testing.T) *running {
	t.Helper()
	r := &running{t: t, file: filepath.Join(t.TempDir(), "board.db")}
	r.start("127.0.0.1:0")
	return r
}

// start starts the program, again when it has been stopped.
func (r *running) start(addr string) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	serving, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- run(ctx, settings{addr: addr, file: r.file, work: 2}, func(url string, reg *core.Registry) {
			r.url, r.reg = url, reg
			close(serving)
		})
	}()
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				r.t.Errorf("the program ended with: %v", err)
			}
		case <-time.After(patience):
			r.t.Error("the program did not end")
		}
		http.DefaultClient.CloseIdleConnections()
	}
	r.t.Cleanup(func() { r.stop() })
	select {
	case <-serving:
	case err := <-done:
		stopped = true
		r.t.Fatalf("the program did not start: %v", err)
	case <-time.After(patience):
		r.t.Fatal("the program did not start")
	}
}

// user is somebody with a browser of their own.
type user struct {
	r      *running
	name   string
	cookie string
}

// nobody is who has not signed in.
func (r *running) nobody() *user { return &user{r: r, name: "nobody"} }

// signIn signs somebody in.
func (r *running) signIn(name string) *user {
	r.t.Helper()
	u := &user{r: r, name: name}
	a := u.do("POST", "session", fmt.Sprintf(`{"name":%q,"password":%q}`, name, demoPassword))
	if a.status != http.StatusOK {
		r.t.Fatalf("signing %s in: %d %s", name, a.status, a.body)
	}
	for _, c := range a.cookies {
		if c.Name == cookieName {
			u.cookie = c.Value
		}
	}
	if u.cookie == "" {
		r.t.Fatalf("signing %s in: no cookie", name)
	}
	return u
}

// answer is what came of a request.
type answer struct {
	status  int
	header  http.Header
	cookies []*http.Cookie
	body    []byte
}

// do makes a request; header are pairs of names and values.
func (u *user) do(method, path, body string, header ...string) answer {
	u.r.t.Helper()
	ctx, cancel := context.WithTimeout(u.r.t.Context(), patience)
	defer cancel()
	resp, err := http.DefaultClient.Do(u.request(ctx, method, path, body, header...))
	if err != nil {
		u.r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		u.r.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, resp.Cookies(), b}
}

func (u *user) request(ctx context.Context, method, path, body string, header ...string) *http.Request {
	u.r.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, u.r.url+path, strings.NewReader(body))
	if err != nil {
		u.r.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if u.cookie != "" {
		req.AddCookie(&http.Cookie{Name: cookieName, Value: u.cookie})
	}
	return req
}

// want makes a request and checks the status of its answer.
func (u *user) want(status int, method, path, body string, header ...string) answer {
	u.r.t.Helper()
	a := u.do(method, path, body, header...)
	if a.status != status {
		u.r.t.Errorf("%s: %s %s %s: got %d %s, want %d", u.name, method, path, body, a.status, a.body, status)
	}
	return a
}

// row has what rows of all bindings have.
type row struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	Title  string `json:"title"`
	State  string `json:"state"`
	Tenant string `json:"tenant_id"`
}

func rowsOf(t *testing.T, body []byte) []row {
	t.Helper()
	var rows []row
	if err := json.Unmarshal(body, &rows); err != nil {
		t.Fatalf("rows %.200q: %v", body, err)
	}
	return rows
}

func (u *user) rows(path string) []row {
	u.r.t.Helper()
	return rowsOf(u.r.t, u.want(http.StatusOK, "GET", path, "").body)
}

// message is what comes over WebSocket and SSE.
type message struct {
	Event, Action string
	Payload       json.RawMessage
}

// problem is the payload of an error.
func (m message) problem() (p struct{ Status int }) {
	_ = json.Unmarshal(m.Payload, &p)
	return p
}

// live is what somebody follows.
type live struct {
	t    *testing.T
	next func() (message, error)
	held []message // everything that came
}

// until waits for a message that is as described, and returns it.
func (l *live) until(what string, is func(message) bool) message {
	l.t.Helper()
	for {
		m, err := l.next()
		if err != nil {
			l.t.Fatalf("the stream ended before %s: %v", what, err)
		}
		l.held = append(l.held, m)
		if is(m) {
			return m
		}
	}
}

func (l *live) untilAction(action string) message {
	l.t.Helper()
	return l.until(action, func(m message) bool { return m.Action == action })
}

// untilTitle waits for a row with the title.
func (l *live) untilTitle(title string) {
	l.t.Helper()
	l.until(title, func(m message) bool { return strings.Contains(string(m.Payload), title) })
}

// shown is everything that came, as text.
func (l *live) shown() string {
	var b strings.Builder
	for _, m := range l.held {
		b.Write(m.Payload)
	}
	return b.String()
}

// over are the transports that stream.
var over = map[string]func(*user, string) *live{
	"SSE": (*user).stream, "WebSocket": (*user).socket,
	"Socket.IO polling": (*user).polled, "Socket.IO WebSocket": (*user).socketIO,
}

// stream follows a binding by Server-Sent Events.
func (u *user) stream(binding string) *live {
	u.r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	u.r.t.Cleanup(cancel)
	resp, err := http.DefaultClient.Do(u.request(ctx, "GET", "events/"+binding, ""))
	if err != nil {
		u.r.t.Fatal(err)
	}
	u.r.t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		said := false
		return &live{t: u.r.t, next: func() (message, error) { // told before the stream
			if said {
				return message{}, io.EOF
			}
			said = true
			return message{Event: binding, Action: "error", Payload: body}, nil
		}}
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return &live{t: u.r.t, next: func() (m message, err error) {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return m, json.Unmarshal([]byte(data), &m)
			}
		}
		if err := lines.Err(); err != nil {
			return m, err
		}
		return m, io.EOF
	}}
}

// socket follows a binding by WebSocket.
func (u *user) socket(binding string) *live {
	u.r.t.Helper()
	c := u.dial()
	join := map[string]any{"event": binding}
	if name, project, ok := strings.Cut(binding, "?project="); ok {
		join = map[string]any{"event": name, "params": map[string]string{"project": project}}
	}
	if err := c.WriteJSON(join); err != nil {
		u.r.t.Fatal(err)
	}
	return &live{t: u.r.t, next: func() (m message, err error) { return m, c.ReadJSON(&m) }}
}

func (u *user) dial() *websocket.Conn {
	u.r.t.Helper()
	c, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(u.r.url, "http")+"ws", u.request(u.r.t.Context(), "GET", "ws", "").Header)
	if err != nil {
		u.r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	u.r.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return c
}

// family returns what is known about the members that scopes made of a binding.
func (r *running) family(name string) status.Family {
	r.t.Helper()
	for _, f := range r.reg.Status().Families {
		if f.Name == name {
			return f
		}
	}
	return status.Family{}
}
