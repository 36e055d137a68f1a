package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
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
	if _, err := db.NewCreateTable().Model((*Order)(nil)).Exec(t.Context()); err != nil {
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

// region test

func TestWrites(t *testing.T) {
	k, _ := open(t)
	for _, c := range []struct {
		method, path, body string
		code               int
		says               string
	}{
		{"POST", "/api/waiting", `{"table":2,"dish":"Pasta"}`, 201, `"id":1`},
		{"POST", "/api/waiting", `{"table":99,"dish":""}`, 422, `"field":"dish"`},
		{"POST", "/api/waiting", `{"table":2,"dish":"Pasta","price":3}`, 422, `"field":"price"`},
		{"PATCH", "/api/waiting/1", `{"served":true}`, 200, `"served":true`},
		{"PATCH", "/api/waiting/1", `{"served":true}`, 404, "not-found"}, // it has left
		{"GET", "/api/waiting", "", 200, "[]"},
	} {
		w := ask(k.echo, c.method, c.path, c.body)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, w.Code, w.Body)
		}
	}
}

// endregion

// TestPage orders and serves in a browser.
func TestPage(t *testing.T) {
	k, db := open(t)
	server := httptest.NewServer(k.echo)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	tab := browsertest.New(t, 800, 600).NewPerson(t).NewTab(t, true)
	browsertest.Do(t, tab, chromedp.Navigate(server.URL+"/"))
	browsertest.Shows(t, tab, "the board", `document.body.dataset.status === "live"`)
	browsertest.Do(t, tab,
		chromedp.SendKeys(`[name=table]`, "7", chromedp.ByQuery),
		chromedp.SendKeys(`[name=dish]`, "Soup", chromedp.ByQuery),
		chromedp.Click(`form button`, chromedp.ByQuery))
	browsertest.Shows(t, tab, "what was ordered here", `document.querySelector("ul").innerText.includes("Table 7: Soup")`)
	if _, err := db.NewInsert().Model(&Order{Table: 8, Dish: "Pasta"}).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	browsertest.Shows(t, tab, "what was ordered elsewhere", `document.querySelector("ul").innerText.includes("Table 8: Pasta")`)
	browsertest.Press(t, tab, `document.querySelector("li button")`)
	browsertest.Shows(t, tab, "the board without what was served", `!document.querySelector("ul").innerText.includes("Soup")`)
}
