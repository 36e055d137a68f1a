package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/gorilla/websocket"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/transports/transporttest/browsertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns the board, running, over an empty file.
func open(t *testing.T) (*kitchen, *bun.DB) {
	t.Helper()
	db, err := bunsource.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "cafe.sqlite")+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate", sqlitedialect.New())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := createTables(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	k := newKitchen(db)
	if err := k.registry.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.registry.Shutdown(context.Background()) })
	return k, db
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

// as signs somebody in and returns the header that says so.
func (k *kitchen) as(t *testing.T, name string) []string {
	t.Helper()
	w := ask(k.echo, "POST", "/session?name="+name, "")
	if w.Code != 204 {
		t.Fatal(w.Code)
	}
	return []string{"Cookie", "session=" + w.Result().Cookies()[0].Value}
}

// region test

func TestRights(t *testing.T) {
	k, _ := open(t)
	ada, ravi, nobody := k.as(t, "Ada"), k.as(t, "Ravi"), []string(nil)
	const soup, pasta = `{"table":1,"dish":"Soup","waiter":"Ravi"}`, `{"table":2,"dish":"Pasta","waiter":"Mio"}`
	for i, c := range []struct {
		who          []string
		method, path string
		body         string
		code         int
		says         string
	}{
		{nobody, "GET", "/api/waiting", "", 401, ""},
		{ravi, "POST", "/api/waiting", soup, 201, ""},
		{ravi, "POST", "/api/waiting", pasta, 422, ""}, // in another's name
		{ada, "POST", "/api/waiting", pasta, 201, ""},
		{ada, "GET", "/api/waiting", "", 200, "Pasta"},
		{ravi, "GET", "/api/waiting/2", "", 404, ""}, // as if there were none
		{ravi, "PATCH", "/api/waiting/1", `{"served":true}`, 403, ""},
		{nobody, "GET", "/api/table?table=1", "", 200, `[{"id":1,"dish":"Soup","served":false}]`},
		{nobody, "GET", "/api/staff", "", 401, ""},
		{ravi, "GET", "/api/staff", "", 403, ""},
	} {
		w := ask(k.echo, c.method, c.path, c.body, c.who...)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%d: %s %s: %d %s", i, c.method, c.path, w.Code, w.Body)
		}
	}
}

// TestDismissal ends what somebody has open when they lose their rights.
func TestDismissal(t *testing.T) {
	k, db := open(t)
	server := httptest.NewServer(k.echo)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	cookie := k.as(t, "Ravi")
	page, _, err := websocket.DefaultDialer.Dial(strings.Replace(server.URL, "http", "ws", 1)+"/ws", map[string][]string{cookie[0]: {cookie[1]}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = page.Close() }()
	if err := page.WriteMessage(websocket.TextMessage, []byte(`{"event":"waiting"}`)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"action":"sync"`, `"status":401`} {
		_, message, err := page.ReadMessage()
		if err != nil || !strings.Contains(string(message), want) {
			t.Fatalf("%s, %v; want %s", message, err, want)
		}
		if _, err := db.NewDelete().Model((*Person)(nil)).Where("name = ?", "Ravi").Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// endregion

// TestPage signs in, and orders, in a browser.
func TestPage(t *testing.T) {
	k, _ := open(t)
	server := httptest.NewServer(k.echo)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	tab := browsertest.New(t, 800, 600).NewPerson(t).NewTab(t, true)
	browsertest.Do(t, tab, chromedp.Navigate(server.URL+"/"))
	browsertest.Shows(t, tab, "the refusal", `document.querySelector("#problem").textContent === "Please sign in."`)
	browsertest.Do(t, tab,
		chromedp.SendKeys(`[name=name]`, "Ravi", chromedp.ByQuery),
		chromedp.Click(`#who button`, chromedp.ByQuery))
	browsertest.Shows(t, tab, "the board", `document.body.dataset.status === "live"`)
	browsertest.Do(t, tab,
		chromedp.SendKeys(`[name=table]`, "7", chromedp.ByQuery),
		chromedp.SendKeys(`[name=dish]`, "Soup", chromedp.ByQuery),
		chromedp.Click(`#order button`, chromedp.ByQuery))
	browsertest.Shows(t, tab, "what was ordered", `document.querySelector("ul").innerText.includes("Table 7: Soup")`)
}
