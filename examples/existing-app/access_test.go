package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/transports/rest"
	"github.com/binderyhq/bindery/transports/sse"
)

// stream opens an event stream and returns its lines.
func stream(t *testing.T, url string, headers ...string) (next func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(res.Body)
		t.Fatalf("%s: %d %s", url, res.StatusCode, body)
	}
	in := bufio.NewReader(res.Body)
	return func() string {
		t.Helper()
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				return strings.TrimSpace(data)
			}
		}
	}
}

func wants(t *testing.T, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Fatalf("%q is not in %s", part, got)
		}
	}
}

// serve serves the application until the test ends.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL
}

func TestWhoSeesWhat(t *testing.T) {
	db := openTest(t)
	a, l := started(t, db)
	insert(t, db, ticket("Printer", "acme"), ticket("Screen", "globex"))
	in := time.Now().Add(time.Hour)
	partner := []string{"Authorization", "Bearer " + tokenFor(t, "acme", in)}
	for _, c := range []struct {
		path    string
		headers []string
		code    int
		shows   string
	}{
		{"/live/api/open", nil, 401, ""},
		{"/live/api/open", []string{"Authorization", "Bearer nonsense"}, 401, ""},
		{"/live/api/open", []string{"Authorization", "Bearer " + tokenFor(t, "acme", time.Now().Add(-time.Hour))}, 401, ""},
		{"/live/api/open", a.as("Ada"), 200, "Printer, Screen"},
		{"/live/api/open", partner, 200, "Printer"},
		{"/live/api/tickets?customer=globex", partner, 200, ""},
		{"/live/api/tickets?customer=acme", partner, 200, "Printer"},
	} {
		w := ask(a.echo, "GET", c.path, "", c.headers...)
		if w.Code != c.code || w.Code == 200 && subjects(t, w.Body.String()) != c.shows {
			t.Errorf("%s: %d %s, want %d %s", c.path, w.Code, w.Body, c.code, c.shows)
		}
	}
	for _, c := range []struct {
		headers []string
		code    int
	}{{partner, 403}, {a.as("Ada"), 200}} {
		w := ask(a.echo, "PATCH", "/live/api/open/1", `{"subject":"Printer again"}`, append(c.headers, "Content-Type", "application/json")...)
		if w.Code != c.code {
			t.Errorf("a write: %d %s, want %d", w.Code, w.Body, c.code)
		}
	}

	// Signing out ends the stream that is open.
	url := serve(t, a.echo)
	session := a.sessions.begin("Ada")
	next := stream(t, url+"/live/events/open", "Cookie", "session="+session)
	wants(t, next(), `"action":"sync"`, "Printer again")
	if err := l.signOut(a, session); err != nil {
		t.Fatal(err)
	}
	wants(t, next(), `"action":"error"`, `"status":401`)
}

func TestWebSocket(t *testing.T) {
	db := openTest(t)
	a, _ := started(t, db)
	insert(t, db, ticket("Printer", "acme"))
	url := strings.Replace(serve(t, a.echo), "http", "ws", 1) + "/live/ws"
	token := "bindery.bearer." + base64.RawURLEncoding.EncodeToString([]byte(tokenFor(t, "acme", time.Now().Add(time.Hour))))
	for _, c := range []struct {
		origin, protocol, cookie string
		opens                    bool
	}{
		{deskOrigin, token, "", true},
		{deskOrigin, "", "session=" + a.sessions.begin("Ada"), true},
		{deskOrigin, "", "", false},
		{"https://evil.example", "", "session=" + a.sessions.begin("Ada"), false},
	} {
		header := http.Header{"Origin": {c.origin}}
		if c.cookie != "" {
			header.Set("Cookie", c.cookie)
		}
		dialer := websocket.Dialer{}
		if c.protocol != "" {
			dialer.Subprotocols = []string{"bindery", c.protocol}
		}
		conn, res, err := dialer.DialContext(t.Context(), url, header)
		if (err == nil) != c.opens {
			t.Fatalf("%+v: %v, %v", c, err, res)
		}
		if err != nil {
			continue
		}
		if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"event":"open"}`)); err != nil {
			t.Fatal(err)
		}
		_, message, err := conn.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		wants(t, string(message), `"action":"sync"`, "Printer")
		_ = conn.Close()
	}
}

func TestOtherOrigins(t *testing.T) {
	db := openTest(t)
	a, _ := started(t, db)
	insert(t, db, ticket("Printer", "acme"))

	w := ask(a.echo, "OPTIONS", "/live/api/open/1", "", "Origin", deskOrigin,
		"Access-Control-Request-Method", "PATCH", "Access-Control-Request-Headers", "if-match, bindery-mark")
	if w.Code != 204 || !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "Bindery-Mark") {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
	w = ask(a.echo, "GET", "/live/api/open", "", append(a.as("Ada"), "Origin", deskOrigin)...)
	if w.Code != 200 || !strings.Contains(w.Header().Get("Access-Control-Expose-Headers"), "Bindery-Mark, Content-Location, ETag,") {
		t.Errorf("list: %d %v", w.Code, w.Header())
	}

	for _, c := range []struct {
		headers []string
		code    int
	}{
		{[]string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
		{[]string{"Sec-Fetch-Site", "cross-site", "Origin", deskOrigin}, 200},
		{[]string{"Sec-Fetch-Site", "same-origin"}, 200},
	} {
		headers := append(append(a.as("Ada"), c.headers...), "Content-Type", "application/merge-patch+json")
		if w := ask(a.echo, "PATCH", "/live/api/open/1", `{"subject":"P"}`, headers...); w.Code != c.code {
			t.Errorf("%v: %d %s", c.headers, w.Code, w.Body)
		}
	}
}

// TestEchoCSRF is for applications that have Echo's own middleware.
func TestEchoCSRF(t *testing.T) {
	db := openTest(t)
	insert(t, db, ticket("Printer", "acme"))
	e, reg := echo.New(), core.NewRegistry()
	reg.Add(bunsource.Bind[Ticket](db, "open", core.Writable()))
	reg.Watch(bunsource.Hooks(db))
	// region echocsrf
	guard := middleware.CSRFWithConfig(middleware.CSRFConfig{TokenLookup: "header:X-CSRF-Token", CookiePath: "/"})
	reg.Serve(rest.New(e.Group("/api", guard)))
	// endregion
	start(t, reg)
	w := ask(e, "GET", "/api/open", "")
	var token string
	for _, c := range w.Result().Cookies() {
		token = c.Value
	}
	if w.Code != 200 || token == "" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	if w := ask(e, "GET", "/api/open", "", "If-None-Match", w.Header().Get("ETag")); w.Code != 304 {
		t.Errorf("a tag that a new cookie came with: %d", w.Code)
	}
	const patch, kind = `{"subject":"P"}`, "application/merge-patch+json"
	if w := ask(e, "PATCH", "/api/open/1", patch, "Content-Type", kind, "Cookie", "_csrf="+token); w.Code != 400 && w.Code != 403 {
		t.Errorf("without the token: %d", w.Code)
	}
	if w := ask(e, "PATCH", "/api/open/1", patch, "Content-Type", kind, "Cookie", "_csrf="+token, "X-CSRF-Token", token); w.Code != 200 {
		t.Errorf("with the token: %d %s", w.Code, w.Body)
	}
}

func start(t *testing.T, registries ...*core.Registry) {
	t.Helper()
	for _, reg := range registries {
		if err := reg.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := reg.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMiddlewareAround has what applications put around everything.
func TestMiddlewareAround(t *testing.T) {
	db := openTest(t)
	for range 40 {
		insert(t, db, ticket("A subject that is long enough to be compressed", "acme"))
	}
	e, reg := echo.New(), core.NewRegistry()
	reg.Add(bunsource.Bind[Ticket](db, "open"))
	reg.Watch(bunsource.Hooks(db))
	audit := func(echo.Context, []byte, []byte) {}
	// region around
	isLive := func(c echo.Context) bool { return strings.HasPrefix(c.Path(), "/live/") }
	e.Use(
		middleware.ContextTimeoutWithConfig(middleware.ContextTimeoutConfig{Timeout: 30 * time.Second, Skipper: isLive}),
		middleware.BodyDumpWithConfig(middleware.BodyDumpConfig{Handler: audit, Skipper: isLive}),
		middleware.GzipWithConfig(middleware.GzipConfig{Skipper: isLive}),
	)
	// endregion
	reg.Serve(rest.New(e.Group("/live/api")), sse.New(e.Group("/live/events")))
	start(t, reg)

	w := ask(e, "GET", "/live/api/open", "", "Accept-Encoding", "gzip")
	tag := w.Header().Get("ETag")
	if w.Header().Get("Content-Encoding") != "gzip" || !strings.HasSuffix(tag, `-gzip"`) {
		t.Fatalf("%v", w.Header())
	}
	unpacked, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(unpacked)
	if err != nil || body[0] != '[' {
		t.Fatalf("%v: %.20q", err, body)
	}
	next := stream(t, serve(t, e)+"/live/events/open", "Accept-Encoding", "gzip")
	wants(t, next(), `"action":"sync"`)
	insert(t, db, ticket("One more", "acme"))
	wants(t, next(), `"action":"create"`, "One more")
}

// TestServersWriteTimeout has a server whose answers must end soon, and a stream
// that does not: more heartbeats come than fit into that time.
func TestServersWriteTimeout(t *testing.T) {
	db := openTest(t)
	e, reg := echo.New(), core.NewRegistry()
	reg.Add(bunsource.Bind[Ticket](db, "open"))
	reg.Watch(bunsource.Hooks(db))
	reg.Serve(sse.New(e.Group("/events"), sse.Config{Heartbeat: 20 * time.Millisecond}))
	start(t, reg)
	server := httptest.NewUnstartedServer(e)
	server.Config.WriteTimeout = 50 * time.Millisecond
	server.Start()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/events/open", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	in := bufio.NewReader(res.Body)
	for beats := 0; beats < 10; {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("after %d heartbeats: %v", beats, err)
		}
		if strings.HasPrefix(line, ":") {
			beats++
		}
	}
}
