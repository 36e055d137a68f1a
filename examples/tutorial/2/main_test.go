package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/sources/bunsource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// queries counts the statements that Bun sends.
type queries struct{ n atomic.Int64 }

func (*queries) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }
func (q *queries) AfterQuery(context.Context, *bun.QueryEvent)                      { q.n.Add(1) }

// open returns the board, running, over an empty file, and what it asks.
func open(t *testing.T) (*kitchen, *queries) {
	t.Helper()
	q := &queries{}
	db, err := bunsource.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "cafe.sqlite")+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate", sqlitedialect.New())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db = db.WithQueryHook(q)
	if _, err := db.NewCreateTable().Model((*Order)(nil)).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	k := newKitchen(db)
	if err := k.registry.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.registry.Shutdown(context.Background()) })
	return k, q
}

func ask(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// region test

// TestWhatWasWrong tries the same as chapter 1.
func TestWhatWasWrong(t *testing.T) {
	k, q := open(t)
	server := httptest.NewServer(k.echo)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	page, _, err := websocket.DefaultDialer.Dial(strings.Replace(server.URL, "http", "ws", 1)+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = page.Close() }()
	hears := func(parts ...string) {
		t.Helper()
		_, message, err := page.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			if !strings.Contains(string(message), part) {
				t.Fatalf("%q is not in %s", part, message)
			}
		}
	}
	if err := page.WriteMessage(websocket.TextMessage, []byte(`{"event":"waiting"}`)); err != nil {
		t.Fatal(err)
	}
	hears(`"action":"sync"`, `"payload":[]`)

	// The script that writes by SQL is seen.
	if _, err := k.db.DB.Exec("INSERT INTO orders (table_no, dish, served) VALUES (1, 'Soup', false)"); err != nil {
		t.Fatal(err)
	}
	hears(`"action":"create"`, "Soup")
	if w := ask(k.echo, "POST", "/api/waiting", `{"table":2,"dish":"Pasta"}`); w.Code != 201 {
		t.Fatal(w.Body)
	}
	hears(`"action":"create"`, "Pasta")
	if w := ask(k.echo, "POST", "/api/waiting/1/served", ""); w.Code != 204 {
		t.Fatal(w.Body)
	}
	hears(`"action":"delete"`, `{"id":1}`)

	// A hundred pages that poll are no query, and no body when nothing has changed.
	w := ask(k.echo, "GET", "/api/waiting", "")
	tag, before := w.Header().Get("ETag"), q.n.Load()
	for range 100 {
		if w := ask(k.echo, "GET", "/api/waiting", "", "If-None-Match", tag); w.Code != http.StatusNotModified {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	if n := q.n.Load() - before; n != 0 {
		t.Fatalf("%d queries", n)
	}
}

// endregion
