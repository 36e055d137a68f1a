package socketio_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/socketio"
)

// ask sends a plain request to the endpoint.
func (s *server) ask(method, path string, header http.Header) (*http.Response, string) {
	s.TB.Helper()
	req, err := http.NewRequest(method, s.http.URL+path, nil)
	if err != nil {
		s.TB.Fatalf("%v", err)
	}
	if header != nil {
		req.Header = header
	}
	resp, err := s.http.Client().Do(req)
	if err != nil {
		s.TB.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.TB.Fatalf("%s %s: %v", method, path, err)
	}
	return resp, string(body)
}

func TestHandshake(t *testing.T) {
	s := serve(t, socketio.Config{PingInterval: 1234 * time.Millisecond, MaxRequestBytes: 5000}, "things")
	for _, path := range []string{"/socket.io/", "/socket.io"} {
		resp, body := s.ask("GET", path+"?EIO=4&transport=polling&t=abc", nil)
		var hello struct {
			SID                                   string
			Upgrades                              []string
			PingInterval, PingTimeout, MaxPayload int
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(body, "0")), &hello); err != nil || body[0] != '0' {
			t.Fatalf("%s: %v", body, err)
		}
		if len(hello.SID) < 20 || len(hello.Upgrades) != 1 || hello.Upgrades[0] != "websocket" || hello.PingInterval != 1234 || hello.PingTimeout != 20_000 || hello.MaxPayload != 5000 {
			t.Errorf("%s: %+v", path, hello)
		}
		if ct := resp.Header.Get("Content-Type"); ct != "text/plain; charset=UTF-8" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%q", resp.Header)
		}
	}
	if got := s.sio.Status(); got.Open != 2 || got.Polling != 2 {
		t.Errorf("%+v", got)
	}
}

func TestHandshakeRefusals(t *testing.T) {
	s := serve(t, socketio.Config{}, "things")
	only := serve(t, socketio.Config{WebSocketOnly: true}, "things")
	upgrade := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	for _, c := range []struct {
		name, method, query string
		header              http.Header
		code                string
		server              *server
	}{
		{"no version", "GET", "transport=polling", nil, `"code":5`, s},
		{"an old version", "GET", "EIO=3&transport=polling", nil, `"code":5`, s},
		{"an old version on WebSocket", "GET", "EIO=3&transport=websocket", upgrade, `"code":5`, s},
		{"no transport", "GET", "EIO=4", nil, `"code":0`, s},
		{"an unknown transport", "GET", "EIO=4&transport=webtransport", nil, `"code":0`, s},
		{"polling where it is off", "GET", "EIO=4&transport=polling", nil, `"code":0`, only},
		{"WebSocket without an upgrade", "GET", "EIO=4&transport=websocket", nil, `"code":3`, s},
		{"polling with an upgrade", "GET", "EIO=4&transport=polling", upgrade, `"code":3`, s},
		{"a POST without session", "POST", "EIO=4&transport=polling", nil, `"code":2`, s},
		{"a PUT", "PUT", "EIO=4&transport=polling", nil, `"code":2`, s},
		{"an unknown session", "GET", "EIO=4&transport=polling&sid=abc", nil, `"code":1`, s},
		{"a POST to an unknown session", "POST", "EIO=4&transport=polling&sid=abc", nil, `"code":1`, s},
		{"an upgrade of an unknown session", "GET", "EIO=4&transport=websocket&sid=abc", upgrade, `"code":1`, s},
	} {
		resp, body := c.server.ask(c.method, "/socket.io/?"+c.query, c.header)
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, c.code) || !json.Valid([]byte(body)) {
			t.Errorf("%s: %d %s", c.name, resp.StatusCode, body)
		}
	}
	if got := s.sio.Status(); got.Open != 0 {
		t.Errorf("%+v", got)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	eachAtOnce(t, func(t *testing.T, way string) {
		s := serve(t, socketio.Config{MaxConnections: 1}, "things")
		u := s.dial(way)
		defer u.vanish()
		resp, body := s.ask("GET", "/socket.io/?EIO=4&transport=polling", nil)
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
		u.sends("1")
		wiretest.Eventually(t, "the place is free", func() bool { return s.sio.Status().Open == 0 })
		s.dial(way).vanish()
		if got := s.sio.Status(); got.Refused != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// Malformed packets end the session, and the client is told why where it can be.
func TestMalformedPackets(t *testing.T) {
	each(t, func(t *testing.T, way string) {
		s := serve(t, socketio.Config{}, "things")
		for _, p := range []string{
			"abc", "", "7", "4", "4abc", "49", "42", "42[]", `42{"a":1}`, `42["things"`, `42[null]`, `42["disconnect"]`,
			`4299999999999999999["things"]`, `42/shop,["things"]`, `45["things",{}]`, `4517-["things",{}]`, `44{"message":"x"}`, "40[]",
			"0{}", "2", "42[\"\xff\"]", `451-["things",{"_placeholder":true,"num":0}]` + "\x1e" + `42["things"]`,
		} {
			u := s.dial(way)
			if way == polling {
				if err, ok := u.send(u.ctx(), p).(*statusError); !ok || err.status != http.StatusBadRequest {
					t.Errorf("%q was answered %v", p, err)
				}
				if got := u.ends(); got != http.StatusBadRequest {
					t.Errorf("%q: ended with %d", p, got)
				}
				continue
			}
			for _, one := range strings.Split(p, "\x1e") { // on a socket each is a message
				_ = u.ws.WriteMessage(gorilla.TextMessage, []byte(one))
			}
			want := gorilla.CloseProtocolError
			if strings.Contains(p, "\xff") {
				want = gorilla.CloseInvalidFramePayloadData
			}
			if got := u.ends(); got != want {
				t.Errorf("%q: ended with %d", p, got)
			}
			u.vanish()
		}
		wiretest.Eventually(t, "all have ended", func() bool { return s.sio.Status().Open == 0 })
	})
}

// What an open poll is told when its session ends.
func TestOpenPollEnds(t *testing.T) {
	s := serve(t, socketio.Config{}, "things")
	for name, c := range map[string]struct {
		end    func(u *user)
		answer string
		status int
	}{
		"the client closes":      {func(u *user) { u.sends("1") }, "6", 200},
		"it breaks the protocol": {func(u *user) { _ = u.send(u.ctx(), "abc") }, "1", 200},
		"it polls twice": {func(u *user) {
			if _, err := u.poll(u.ctx()); err == nil {
				t.Error("a second poll was answered")
			}
		}, "1", 200},
	} {
		u := s.dial(polling)
		type answer struct {
			packets []string
			err     error
		}
		polled := make(chan answer, 1)
		go func() {
			p, err := u.poll(u.ctx())
			polled <- answer{p, err}
		}()
		// The second poll of "it polls twice" must not be the first to come.
		wiretest.Eventually(t, "the poll is open", func() bool { return s.polls.Load() == 1 })
		c.end(u)
		if got := <-polled; got.err != nil || strings.Join(got.packets, "") != c.answer {
			t.Errorf("%s: the open poll was answered %q, %v", name, got.packets, got.err)
		}
		if got := u.ends(); got != http.StatusBadRequest {
			t.Errorf("%s: the next poll was answered %d", name, got)
		}
	}
}

func TestPayloadsAreBounded(t *testing.T) {
	each(t, func(t *testing.T, way string) {
		s := serve(t, socketio.Config{MaxRequestBytes: 1000}, "things")
		u := s.dial(way)
		defer u.vanish()
		u.emits("things", `{"version":"`+strings.Repeat("x", 900)+`"}`)
		u.says()
		long := `42["things",{"version":"` + strings.Repeat("x", 1000) + `"}]`
		if way == polling {
			if err, ok := u.send(u.ctx(), long).(*statusError); !ok || err.status != http.StatusRequestEntityTooLarge {
				t.Errorf("answered %v", err)
			}
		} else {
			u.sends(long)
		}
		if got := u.ends(); way == polling && got != http.StatusBadRequest || way != polling && got != gorilla.CloseMessageTooBig {
			t.Errorf("ended with %d", got)
		}
	})
}

func TestOrigins(t *testing.T) {
	s := serve(t, socketio.Config{Origins: []string{"https://shop.example"}}, "things")
	const path = "/socket.io/?EIO=4&transport=polling"
	for origin, allowed := range map[string]bool{"": true, s.http.URL: true, "https://shop.example": true, "https://evil.example": false, "null": false} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		resp, body := s.ask("GET", path, header)
		if got := resp.StatusCode == http.StatusOK; got != allowed || !allowed && resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d %s", origin, resp.StatusCode, body)
		}
		if !allowed && resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %q", origin, resp.Header)
		}
		if allowed && (resp.Header.Get("Access-Control-Allow-Origin") != origin || (resp.Header.Get("Access-Control-Allow-Credentials") == "true") != (origin != "")) {
			t.Errorf("%s: %q", origin, resp.Header)
		}
		if allowed && resp.Header.Get("Vary") != "Origin" {
			t.Errorf("%s: Vary %q", origin, resp.Header.Get("Vary"))
		}
		ws, wsResp, err := gorilla.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.http.URL, "http")+"/socket.io/?EIO=4&transport=websocket", header)
		if err == nil {
			_ = ws.Close()
		}
		if (err == nil) != allowed || !allowed && wsResp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: on WebSocket %v", origin, err)
		}
	}
	header := http.Header{"Origin": {"https://shop.example"}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization"}}
	resp, _ := s.ask("OPTIONS", path, header)
	if h := resp.Header; resp.StatusCode != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != "https://shop.example" || h.Get("Access-Control-Allow-Headers") != "authorization" || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("the preflight was answered %d %q", resp.StatusCode, h)
	}
	header.Set("Origin", "https://evil.example")
	if resp, _ := s.ask("OPTIONS", path, header); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a preflight of elsewhere was answered %d", resp.StatusCode)
	}
}

// A client that answers heartbeats lives; one that does not, or does not even
// poll, does not.
func TestHeartbeats(t *testing.T) {
	eachAtOnce(t, func(t *testing.T, way string) {
		wiretest.Patiently(t, 500*time.Millisecond, func(t wiretest.TB, timeout time.Duration) {
			s := newServer(t, socketio.Config{PingInterval: timeout / 25, PingTimeout: timeout}, "things")
			s.start()
			defer s.stop()
			lively := s.dial(way)
			defer lively.vanish()
			for range 60 { // longer than a silent client lives
				for len(lively.queue) == 0 {
					if err := lively.fetch(lively.ctx()); err != nil {
						t.Fatalf("%v", err)
					}
				}
				if lively.queue[0] != "2" {
					t.Fatalf("got %q", lively.queue)
				}
				lively.queue = lively.queue[1:]
				lively.sends("3")
			}
		})
		s := serve(t, socketio.Config{PingInterval: 20 * time.Millisecond, PingTimeout: 500 * time.Millisecond}, "things")
		quiet := s.dial(way)
		defer quiet.vanish()
		quiet.quiet = true
		if got := quiet.ends(); way == polling && got != http.StatusBadRequest || way != polling && got != gorilla.ClosePolicyViolation {
			t.Errorf("ended with %d", got)
		}
		idle := s.dial(way) // and does nothing
		defer idle.vanish() // held so long: a connection that is collected is closed
		wiretest.Eventually(t, "all have ended", func() bool { st := s.sio.Status(); return st.Dropped == 2 && st.Open == 0 })
	})
}

// A session whose client enters no namespace ends.
func TestConnectTimeout(t *testing.T) {
	eachAtOnce(t, func(t *testing.T, way string) {
		wiretest.Patiently(t, 300*time.Millisecond, func(t wiretest.TB, timeout time.Duration) {
			s := newServer(t, socketio.Config{ConnectTimeout: timeout}, "things")
			s.start()
			defer s.stop()
			u := s.dial(way)
			defer u.vanish()
			idle := s.engine(way)
			defer idle.vanish()
			if got := idle.ends(); way == polling && got != http.StatusBadRequest || way != polling && got != gorilla.ClosePolicyViolation {
				t.Errorf("ended with %d", got)
			}
			u.emits("things", "")
			u.says()
		})
	})
}
