package websocket_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/websocket"
)

func TestOrigins(t *testing.T) {
	s := serve(t, websocket.Config{Origins: []string{"https://shop.example"}}, "things")
	host := strings.TrimPrefix(s.http.URL, "http://")
	for origin, want := range map[string]int{
		"":                              101,
		"http://" + host:                101,
		"https://" + host:               101,
		"https://shop.example":          101,
		"HTTPS://SHOP.example:443":      101,
		"http://shop.example":           403,
		"https://shop.example.evil.org": 403,
		"https://evil.example":          403,
		"null":                          403,
		"nonsense":                      403,
		"http://" + host + ":1":         403,
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		resp := s.handshake(header)
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != want || want == 403 && !strings.Contains(string(body), string(problem.TypeOriginRefused)) {
			t.Errorf("Origin %q: %d %s", origin, resp.StatusCode, body)
		}
	}
	if got := s.handshake(http.Header{"Origin": {"https://shop.example", "null"}}).StatusCode; got != 403 {
		t.Errorf("two origins: %d", got)
	}
}

func TestHandshakeRefusals(t *testing.T) {
	s := serve(t, websocket.Config{MaxConnections: 1}, "things")
	resp, err := http.Get(s.http.URL + "/ws")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 426 || resp.Header.Get("Content-Type") != problem.ContentType {
		t.Errorf("a plain request: %d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	c := s.dial()
	resp = s.handshake(nil)
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d", resp.StatusCode)
	}
	c.close()
	wiretest.Eventually(t, "it is gone", func() bool { return s.ws.Status().Open == 0 })
	if got := s.ws.Status().Refused; got != 1 {
		t.Errorf("%d refused", got)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.http.URL+"/ws", nil)
	req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"7"}}
	resp, err = http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 426 || resp.Header.Get("Content-Type") != problem.ContentType || resp.Header.Get("Sec-Websocket-Version") != "13" {
		t.Errorf("another version: %d %v", resp.StatusCode, resp.Header)
	}
	req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"x"}}
	resp, err = http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 400 || resp.Header.Get("Content-Type") != problem.ContentType {
		t.Errorf("a bad handshake: %d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	for method, want := range map[string]int{"POST": 405, "HEAD": 405, "DELETE": 405, "OPTIONS": 204} {
		req, _ := http.NewRequestWithContext(t.Context(), method, s.http.URL+"/ws", nil)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want || resp.Header.Get("Allow") != "GET, OPTIONS" || want == 405 && resp.Header.Get("Content-Type") != problem.ContentType {
			t.Errorf("%s: %d %v", method, resp.StatusCode, resp.Header)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestMountReportsProblems(t *testing.T) {
	for name, tr := range map[string]*websocket.Transport{
		"nil":          websocket.New(nil),
		"WriteTimeout": websocket.New(echo.New().Group(""), websocket.Config{WriteTimeout: -1}),
		"bytes":        websocket.New(echo.New().Group(""), websocket.Config{MessageBytes: 1}),
		"shop.example": websocket.New(echo.New().Group(""), websocket.Config{Origins: []string{"shop.example"}}),
		"/path":        websocket.New(echo.New().Group(""), websocket.Config{Origins: []string{"https://shop.example/path"}}),
	} {
		reg := core.NewRegistry()
		_ = reg.Serve(tr)
		if err := reg.Start(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
