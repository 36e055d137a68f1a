package websocket_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	gorilla "github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/websocket"
)

type userKey struct{}

// guarded is a server whose binding the user "ann" alone may see.
func guarded(t *testing.T, cfg websocket.Config, middleware ...echo.MiddlewareFunc) *server {
	t.Helper()
	e := echo.New()
	s := &server{Rig: wiretest.New(t, "a"), ws: websocket.New(e.Group("/ws", middleware...), cfg), http: httptest.NewUnstartedServer(e)}
	_ = s.Reg.Authorize(core.AuthorizerFunc(func(ctx context.Context, _ core.Access) (core.Decision, error) {
		if ctx.Value(userKey{}) == "ann" {
			return core.Allow(), nil
		}
		return core.Deny(), nil
	}))
	s.start()
	t.Cleanup(s.stop)
	return s
}

func bearer(token string) string {
	return "bindery.bearer." + base64.RawURLEncoding.EncodeToString([]byte(token))
}

// who is a Config.Bearer.
func who(r *http.Request, token string) (context.Context, error) {
	user, ok := map[string]string{"t/ann==": "ann", "t.bob": "bob"}[token]
	if !ok {
		return nil, errors.New("no such token")
	}
	return context.WithValue(r.Context(), userKey{}, user), nil
}

func TestBearerSubprotocol(t *testing.T) {
	// The application's middleware, as it is for plain requests.
	middleware := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if token, ok := strings.CutPrefix(c.Request().Header.Get("Authorization"), "Bearer "); ok {
				ctx, err := who(c.Request(), token)
				if err != nil {
					return echo.NewHTTPError(http.StatusUnauthorized)
				}
				c.SetRequest(c.Request().WithContext(ctx))
			}
			return next(c)
		}
	}
	for name, s := range map[string]*server{
		"Config.Bearer": guarded(t, websocket.Config{Bearer: who}),
		"middleware":    guarded(t, websocket.Config{}, websocket.BearerHeader, middleware),
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				name      string
				protocols []string
				header    string
				status    int    // of the handshake
				selected  string // the subprotocol
				action    string // what a join is answered with
			}{
				{"nobody", nil, "", 101, "", "error"},
				{"nobody, who speaks the protocol", []string{"bindery"}, "", 101, "bindery", "error"},
				{"ann", []string{"bindery", bearer("t/ann==")}, "", 101, "bindery", "sync"},
				{"ann, the other way round", []string{bearer("t/ann=="), "other", "bindery"}, "", 101, "bindery", "sync"},
				{"bob", []string{"bindery", bearer("t.bob")}, "", 101, "bindery", "error"},
				{"ann, by header", nil, "Bearer t/ann==", 101, "", "sync"},
				{"the header comes first", []string{"bindery", bearer("t.bob")}, "Bearer t/ann==", 101, "bindery", "sync"},
				{"a bad token", []string{"bindery", bearer("t.eve")}, "", 401, "", ""},
				{"a bad header", nil, "Bearer t.eve", 401, "", ""},
				{"no base64url", []string{"bindery", "bindery.bearer.t!ann"}, "", 400, "", ""},
				{"padded", []string{"bindery", bearer("ab") + "=="}, "", 400, "", ""},
				{"nothing", []string{"bindery", "bindery.bearer."}, "", 400, "", ""},
				{"a line break", []string{"bindery", bearer("t/ann==\r\nX-Admin: 1")}, "", 400, "", ""},
				{"two tokens", []string{"bindery", bearer("t/ann=="), bearer("t.bob")}, "", 400, "", ""},
				{"a token alone", []string{bearer("t/ann==")}, "", 400, "", ""},
			} {
				t.Run(c.name, func(t *testing.T) {
					header := http.Header{}
					if c.header != "" {
						header.Set("Authorization", c.header)
					}
					d := gorilla.Dialer{Subprotocols: c.protocols}
					ws, resp, err := d.Dial(s.url(), header)
					if resp == nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					if resp.StatusCode != c.status {
						t.Fatalf("status %d, want %d", resp.StatusCode, c.status)
					}
					if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != c.selected {
						t.Errorf("selected %q, want %q", got, c.selected)
					}
					for name, values := range resp.Header {
						if strings.Contains(strings.Join(values, " "), "bindery.bearer") {
							t.Errorf("the answer repeats the token in %s", name)
						}
					}
					if err != nil {
						return
					}
					joined := &conn{t, ws}
					defer joined.close()
					joined.send(`{"event":"a"}`)
					if m := joined.next(); m.Action != c.action {
						t.Errorf("the join was answered %s, want %s", m.Action, c.action)
					}
				})
			}
		})
	}
}

// A page that is not told why its handshake failed asks for the same URL without
// the upgrade.
func TestBearerOfAPlainRequest(t *testing.T) {
	s := guarded(t, websocket.Config{Bearer: who})
	for token, want := range map[string]int{"t/ann==": 426, "t.eve": 401, "": 426} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.http.URL+"/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("token %q: status %d, want %d", token, resp.StatusCode, want)
		}
		if got := resp.Header.Get("WWW-Authenticate"); (want == 401) != (got == `Bearer error="invalid_token"`) {
			t.Errorf("token %q: WWW-Authenticate %q", token, got)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// Whatever a handshake offers, the middleware makes a header of it that is one line,
// or leaves it alone.
func FuzzBearerHeader(f *testing.F) {
	f.Add("bindery, "+bearer("t/ann=="), "")
	f.Add(bearer("x")+",bindery", "Basic abc")
	f.Add("bindery, bindery.bearer.!, ,", "")
	f.Add("bindery, bindery.bearer."+base64.RawURLEncoding.EncodeToString([]byte("a\r\nb")), "")
	f.Fuzz(func(t *testing.T, offered, authorization string) {
		r := httptest.NewRequest(http.MethodGet, "/ws", nil)
		r.Header.Set("Sec-WebSocket-Protocol", offered)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		next := false
		c := echo.New().NewContext(r, httptest.NewRecorder())
		if err := websocket.BearerHeader(func(echo.Context) error { next = true; return nil })(c); err != nil || !next {
			t.Fatalf("the middleware ends the request: %v", err)
		}
		got := r.Header.Get("Authorization")
		if authorization != "" && got != authorization {
			t.Errorf("Authorization was %q, now %q", authorization, got)
		}
		moved := r.Header.Get("Sec-WebSocket-Protocol") != offered
		if strings.ContainsFunc(got, func(c rune) bool { return c < ' ' || c > '~' }) && authorization == "" {
			t.Errorf("Authorization: %q", got)
		}
		if moved && strings.Contains(r.Header.Get("Sec-WebSocket-Protocol"), "bindery.bearer.") {
			t.Errorf("a token is left in %q", r.Header.Get("Sec-WebSocket-Protocol"))
		}
		if !moved && authorization == "" && got != "" {
			t.Errorf("Authorization %q of %q, which stays", got, offered)
		}
	})
}
