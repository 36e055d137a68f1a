package main

import (
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/olahol/melody"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
)

// queries counts the statements that Bun sends.
type queries struct{ n atomic.Int64 }

func (*queries) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }
func (q *queries) AfterQuery(context.Context, *bun.QueryEvent)                      { q.n.Add(1) }

func openTest(t *testing.T) *bun.DB {
	t.Helper()
	sqldb, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "cafe.sqlite")+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	db := bun.NewDB(sqldb, sqlitedialect.New())
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.NewCreateTable().Model((*Order)(nil)).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

func ask(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// region faults

// TestWhatIsWrong shows what the board does not do, for all that its code does.
func TestWhatIsWrong(t *testing.T) {
	db := openTest(t)
	k := newKitchen(db)
	joined := make(chan struct{})
	k.hub.HandleConnect(func(*melody.Session) { close(joined) })
	server := httptest.NewServer(k.echo)
	defer server.Close()
	defer func() { _ = k.hub.Close() }()
	page, _, err := websocket.DefaultDialer.Dial(strings.Replace(server.URL, "http", "ws", 1)+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = page.Close() }()
	<-joined

	// The stocktaking script writes by SQL. Nobody is told.
	if _, err := db.DB.Exec("INSERT INTO orders (table_no, dish, served) VALUES (1, 'Soup', false)"); err != nil {
		t.Fatal(err)
	}
	if w := ask(k.echo, "POST", "/api/waiting", `{"table":2,"dish":"Pasta"}`); w.Code != 201 {
		t.Fatal(w.Body)
	}
	_, first, err := page.ReadMessage()
	if err != nil || !strings.Contains(string(first), "Pasta") || strings.Contains(string(first), "Soup") {
		t.Fatalf("%s, %v", first, err)
	}

	// A hundred pages that poll are a hundred queries, although nothing changes.
	q := &queries{}
	k.db = k.db.WithQueryHook(q)
	for range 100 {
		ask(k.echo, "GET", "/api/waiting", "")
	}
	if n := q.n.Load(); n != 100 {
		t.Fatalf("%d queries", n)
	}
}

// endregion
