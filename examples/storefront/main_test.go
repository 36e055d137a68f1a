package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/binderyhq/bindery/plugins/health"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// adminToken is that of shops in tests.
const adminToken = "the-token-of-the-tests"

// atOnce ends shops in tests, of which no balancer needs to learn.
var atOnce = health.Config{Delay: -1, Spread: -1}

// running is a shop as somebody outside sees it.
type running struct {
	t    *testing.T
	url  string
	stop func() // sends the signal and waits for the end
}

func open(t *testing.T, dsn string, rows int) *running {
	t.Helper()
	return openAt(t, "127.0.0.1:0", dsn, rows)
}

func openAt(t *testing.T, addr, dsn string, rows int) *running {
	t.Helper()
	return openWith(t, settings{addr: addr, dsn: dsn, rows: rows, adminToken: adminToken})
}

func openWith(t *testing.T, s settings) *running {
	t.Helper()
	s.drain, s.stopWithin = atOnce, time.Minute
	ctx, cancel := context.WithCancel(context.Background())
	url, done := make(chan string, 1), make(chan error, 1)
	go func() {
		done <- run(ctx, s, func(u string) { url <- u })
	}()
	r := &running{t: t}
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
				t.Errorf("the shop ended with: %v", err)
			}
		case <-time.After(60 * time.Second):
			t.Error("the shop did not end")
		}
		http.DefaultClient.CloseIdleConnections()
	}
	t.Cleanup(r.stop)
	select {
	case r.url = <-url:
	case err := <-done:
		stopped = true
		t.Fatalf("the shop did not open: %v", err)
	case <-time.After(60 * time.Second):
		t.Fatal("the shop did not open")
	}
	r.eventually("ready", func() bool { code, _, _ := r.do("GET", "readyz", nil); return code == http.StatusOK })
	return r
}

// do makes a request and returns status, headers and body.
func (r *running) do(method, path string, header http.Header, body ...string) (int, http.Header, []byte) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(strings.Join(body, "")))
	if err != nil {
		r.t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, b
}

func (r *running) eventually(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("never: %s", what)
		}
	}
}

// message is what comes over WebSocket and SSE.
type message struct {
	Event, Action, Version string
	Payload                json.RawMessage
	More                   bool
}

func (m message) has(id int) bool {
	var rows []struct{ ID int }
	_ = json.Unmarshal(m.Payload, &rows)
	for _, row := range rows {
		if row.ID == id {
			return true
		}
	}
	return false
}

// stream opens an SSE stream and returns a function that waits for a message.
func (r *running) stream(path string) (await func(action string, id int) message) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	r.t.Cleanup(cancel)
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, r.url+path, nil)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 16<<20)
	return func(action string, id int) message {
		r.t.Helper()
		for lines.Scan() {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				continue
			}
			var m message
			if err := json.Unmarshal([]byte(data), &m); err != nil {
				r.t.Fatalf("message %.200q: %v", data, err)
			}
			if m.Action == action && (id == 0 || m.has(id)) {
				return m
			}
		}
		r.t.Fatalf("the stream ended before %s %d: %v", action, id, lines.Err())
		return message{}
	}
}

// socket opens a WebSocket, joins a binding and returns a function that waits
// for a message.
func (r *running) socket(binding string) (await func(action string, id int) message) {
	r.t.Helper()
	c, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(r.url, "http")+"ws", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	r.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(60 * time.Second))
	if err := c.WriteJSON(map[string]string{"event": binding}); err != nil {
		r.t.Fatal(err)
	}
	return func(action string, id int) message {
		r.t.Helper()
		for {
			var m message
			if err := c.ReadJSON(&m); err != nil {
				r.t.Fatalf("the socket ended before %s %d: %v", action, id, err)
			}
			if m.Action == action && (id == 0 || m.has(id)) {
				return m
			}
		}
	}
}

// databases runs a test on every database that the shop knows, with a way to
// write to it from outside.
func databases(t *testing.T, test func(t *testing.T, dsn string, outside *sql.DB)) {
	connect := func(t *testing.T, driver, dsn string) *sql.DB {
		t.Helper()
		db, err := sql.Open(driver, dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "shop.db")
		test(t, "sqlite:"+path, connect(t, "sqlite", "file:"+path+"?_pragma=busy_timeout(60000)"))
	})
	t.Run("postgres", func(t *testing.T) {
		dsn := pgtest.Shared(t).CreateDatabase(t)
		test(t, dsn, connect(t, "pgx", dsn))
	})
}

// venuesAre compares the binding venues with a query of the test's own.
func (r *running) venuesAre(outside *sql.DB) bool {
	r.t.Helper()
	type venue struct {
		Venue    string  `json:"venue"`
		Products int     `json:"products"`
		MinPrice float64 `json:"min_price"`
		MaxPrice float64 `json:"max_price"`
	}
	want := []venue{}
	for _, name := range []string{"online", "store"} {
		v := venue{Venue: name}
		err := outside.QueryRowContext(r.t.Context(), "SELECT count(*), min(price), max(price) FROM products WHERE active AND venue = $1", name).
			Scan(&v.Products, &v.MinPrice, &v.MaxPrice)
		if err != nil {
			r.t.Fatal(err)
		}
		want = append(want, v)
	}
	_, _, body := r.do("GET", "api/venues", nil)
	text, err := json.Marshal(want)
	if err != nil {
		r.t.Fatal(err)
	}
	return bytes.Equal(bytes.TrimSpace(body), text)
}

func (r *running) checkVenues(outside *sql.DB) {
	r.t.Helper()
	if !r.venuesAre(outside) {
		_, _, body := r.do("GET", "api/venues", nil)
		r.t.Errorf("the venues are %s", body)
	}
}

// TestShop drives the shop as its contract says: what it holds, who sees a
// change, and how it ends.
func TestShop(t *testing.T) {
	databases(t, func(t *testing.T, dsn string, outside *sql.DB) {
		r := open(t, dsn, 100)

		var products, everything, cheapest []map[string]any
		for path, into := range map[string]*[]map[string]any{"products": &products, "everything": &everything, "cheapest": &cheapest} {
			code, header, body := r.do("GET", "api/"+path, nil)
			if code != http.StatusOK || json.Unmarshal(body, into) != nil {
				t.Fatalf("%s: %d %.200s", path, code, body)
			}
			etag := header.Get("ETag")
			code, header, body = r.do("GET", "api/"+path, http.Header{"If-None-Match": {etag}})
			if code != http.StatusNotModified || len(body) != 0 || header.Get("ETag") != etag {
				t.Errorf("%s again: %d %q", path, code, header)
			}
		}
		if len(products) != 90 || len(everything) != 100 || len(cheapest) != 10 {
			t.Fatalf("%d products, %d in all, %d cheapest", len(products), len(everything), len(cheapest))
		}
		stores := 0
		for _, p := range everything {
			if p["venue"] == "store" {
				stores++
			}
		}
		if stores != 50 {
			t.Errorf("%d products in the store, want half", stores)
		}
		r.checkVenues(outside)

		// The shelves of the venues are what is on sale, divided.
		shelved := 0
		for _, venue := range []string{"store", "online"} {
			var shelf []map[string]any
			code, header, body := r.do("GET", "api/shelf?venue="+venue, nil)
			if code != http.StatusOK || json.Unmarshal(body, &shelf) != nil {
				t.Fatalf("the shelf of %s: %d %.200s", venue, code, body)
			}
			for _, p := range shelf {
				if p["venue"] != venue || p["active"] != true {
					t.Errorf("on the shelf of %s: %v", venue, p)
				}
			}
			shelved += len(shelf)
			if want := "</events/shelf?venue=" + venue + `>; rel="monitor"`; header.Get("Link") != want {
				t.Errorf("Link %s, want %s", header.Get("Link"), want)
			}
		}
		if shelved != len(products) {
			t.Errorf("%d products on the shelves, %d on sale", shelved, len(products))
		}
		if code, _, body := r.do("GET", "api/shelf", nil); code != http.StatusBadRequest || !bytes.Contains(body, []byte(`"venue"`)) {
			t.Errorf("a shelf of no venue: %d %s", code, body)
		}

		row := products[0]
		for field, kind := range map[string]string{"id": "float64", "name": "string", "venue": "string", "price": "float64", "active": "bool", "updated_at": "string"} {
			if got := fmt.Sprintf("%T", row[field]); got != kind || len(row) != 6 {
				t.Errorf("field %s of %v is a %s, want %s", field, row, got, kind)
			}
		}
		if at, err := time.Parse(time.RFC3339, row["updated_at"].(string)); err != nil || at.Location() != time.UTC {
			t.Errorf("updated_at %v: %v", row["updated_at"], err)
		}

		overSSE, overWS, cheap := r.stream("events/products"), r.socket("products"), r.stream("events/cheapest")
		overSSE("sync", 0)
		overWS("sync", 0)
		cheap("sync", 0)

		id := int(row["id"].(float64))
		onShelf := r.stream("events/shelf?venue=" + row["venue"].(string))
		onShelf("sync", 0)
		path := fmt.Sprintf("api/products/%d", id)
		_, header, _ := r.do("GET", path, nil)
		seen := header.Get("ETag")
		patch := http.Header{"Content-Type": {"application/merge-patch+json"}, "If-Match": {seen}}
		code, header, body := r.do("PATCH", path, patch, `{"price":0.499}`) // numeric(10,2)
		if code != http.StatusOK || !bytes.Contains(body, []byte(`"price":0.5`)) {
			t.Fatalf("PATCH: %d %s", code, body)
		}
		if _, h, again := r.do("GET", path, nil); h.Get("ETag") != header.Get("ETag") || !bytes.Equal(bytes.TrimSpace(again), bytes.TrimSpace(body)) {
			t.Errorf("PATCH answered %s %s, GET %s %s", header.Get("ETag"), body, h.Get("ETag"), again)
		}
		if a, b := overSSE("update", id), overWS("update", id); a.Version != b.Version {
			t.Errorf("SSE is at %s, WebSocket at %s", a.Version, b.Version)
		}
		cheap("create", id)
		// Counting follows at a pace of its own.
		r.eventually("the venues with the new price", func() bool { return r.venuesAre(outside) })
		if code, _, _ := r.do("PATCH", path, patch, `{"price":9}`); code != http.StatusPreconditionFailed {
			t.Errorf("PATCH with the old ETag: %d, want 412", code)
		}

		// A product that is no longer active leaves.
		if _, err := outside.ExecContext(t.Context(), fmt.Sprintf("UPDATE products SET active = false WHERE id = %d", id)); err != nil {
			t.Fatal(err)
		}
		overSSE("delete", id)
		overWS("delete", id)
		onShelf("delete", id)
		r.eventually("the venues without it", func() bool { return r.venuesAre(outside) })
		if code, _, _ := r.do("GET", path, nil); code != http.StatusNotFound {
			t.Errorf("a product that left: %d", code)
		}
		if code, _, _ := r.do("GET", fmt.Sprintf("api/everything/%d", id), nil); code != http.StatusOK {
			t.Errorf("the same in everything: %d", code)
		}

		code, header, body = r.do("POST", "api/products", http.Header{"Content-Type": {"application/json"}},
			`{"name":"Kind of Blue","venue":"store","price":12.504,"active":true}`)
		var made struct {
			ID        int
			UpdatedAt time.Time `json:"updated_at"`
		}
		if code != http.StatusCreated || json.Unmarshal(body, &made) != nil || !bytes.Contains(body, []byte(`"price":12.5,`)) || made.ID == 0 || made.UpdatedAt.IsZero() ||
			header.Get("Location") != fmt.Sprintf("/api/products/%d", made.ID) {
			t.Fatalf("POST: %d %q %s", code, header, body)
		}
		overWS("create", made.ID)
		if code, _, _ := r.do("DELETE", fmt.Sprintf("api/products/%d", made.ID), nil); code != http.StatusNoContent {
			t.Errorf("DELETE: %d", code)
		}
		overSSE("delete", made.ID)

		r.stop()
		if _, err := outside.ExecContext(t.Context(), "UPDATE products SET price = price"); err != nil {
			t.Errorf("after the end: %v", err)
		}
	})
}

// TestShopOpensAgain: a shop that comes back on unchanged data has the same
// versions, and does not fill its shelves twice.
func TestShopOpensAgain(t *testing.T) {
	databases(t, func(t *testing.T, dsn string, _ *sql.DB) {
		r := open(t, dsn, 20)
		_, before, _ := r.do("GET", "api/everything", nil)
		r.stop()
		r = open(t, dsn, 500)
		code, after, _ := r.do("GET", "api/everything", http.Header{"If-None-Match": {before.Get("ETag")}})
		if code != http.StatusNotModified {
			t.Errorf("%d with the ETag from before the restart (%s, now %s)", code, before.Get("ETag"), after.Get("ETag"))
		}
	})
}

// TestDatabaseComesLater: a shop whose database is away opens, says that it is
// not ready, and fills its shelves when the database comes; one whose database
// goes away serves on from memory, and says so.
func TestDatabaseComesLater(t *testing.T) {
	server := pgtest.Start(t)
	dsn := server.CreateDatabase(t)
	server.Stop(t)

	ctx, cancel := context.WithCancel(t.Context())
	url, done := make(chan string, 1), make(chan error, 1)
	go func() {
		done <- run(ctx, settings{addr: "127.0.0.1:0", dsn: dsn, rows: 30, adminToken: adminToken, drain: atOnce, stopWithin: time.Minute}, func(u string) { url <- u })
	}()
	r := &running{t: t, url: <-url}
	if code, _, _ := r.do("GET", "healthz", nil); code != http.StatusOK {
		t.Errorf("healthz: %d", code)
	}
	if code, header, body := r.do("GET", "readyz", nil); code != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("readyz without a database: %d %s", code, body)
	}
	if code, header, _ := r.do("GET", "api/products", nil); code != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("products without a database: %d", code)
	}
	server.Restart(t)
	r.eventually("ready", func() bool { code, _, _ := r.do("GET", "readyz", nil); return code == http.StatusOK })
	r.eventually("full", func() bool {
		_, _, body := r.do("GET", "api/everything", nil)
		return bytes.Count(body, []byte(`"id"`)) == 30
	})
	server.Kill(t)
	r.eventually("stale", func() bool {
		code, _, body := r.do("GET", "readyz", nil)
		return code == http.StatusOK && bytes.Contains(body, []byte("stale"))
	})
	if code, _, body := r.do("GET", "api/everything", nil); code != http.StatusOK || bytes.Count(body, []byte(`"id"`)) != 30 {
		t.Errorf("while the database is away: %d", code)
	}
	server.Restart(t)
	r.eventually("live again", func() bool {
		_, _, body := r.do("GET", "readyz", nil)
		return !bytes.Contains(body, []byte("stale"))
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestBadFlags(t *testing.T) {
	for _, dsn := range []string{"mysql://x", "sqlite:", "shop.db"} {
		if err := run(t.Context(), settings{addr: "127.0.0.1:0", dsn: dsn, rows: 1}, func(string) {}); err == nil || !strings.Contains(err.Error(), "-db") {
			t.Errorf("-db %q: %v", dsn, err)
		}
	}
	err := run(t.Context(), settings{addr: "127.0.0.1:0", dsn: "postgres://me:secret@[bad/shop", rows: 1, adminToken: adminToken}, func(string) {})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a bad connection string: %v", err)
	}
	if err := run(t.Context(), settings{addr: "256.0.0.1:0", rows: 1, adminToken: adminToken}, func(string) {}); err == nil {
		t.Error("a bad address is no error")
	}
}

// TestUnusedConnection: a connection that was opened and never used does not
// hold up the end.
func TestUnusedConnection(t *testing.T) {
	r := open(t, "", 10)
	c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(r.url, "http://"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	r.stop() // fails the test when the shop ends with an error
}
