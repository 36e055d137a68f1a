package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/uptrace/bun"
	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(pgtest.Main(m), goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"))
}

var tokenKey = []byte("for tests")

// openTest returns an empty help desk's database.
func openTest(t *testing.T) *bun.DB {
	t.Helper()
	db, err := openSQLite(filepath.Join(t.TempDir(), "desk.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	createTable(t, db)
	return db
}

func createTable(t *testing.T, db *bun.DB) {
	t.Helper()
	if _, err := db.NewCreateTable().Model((*Ticket)(nil)).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func ticket(subject, customer string) *Ticket {
	return &Ticket{Subject: subject, Customer: customer, Open: true, UpdatedAt: time.Now()}
}

func insert(t *testing.T, db bun.IDB, tickets ...*Ticket) {
	t.Helper()
	for _, row := range tickets {
		if _, err := db.NewInsert().Model(row).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// started returns the application with Bindery in it, running.
func started(t *testing.T, db *bun.DB) (*app, *live) {
	t.Helper()
	a := newApp(db, tokenKey)
	l := addLive(a)
	if err := l.registry.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.registry.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return a, l
}

func tokenFor(t *testing.T, partner string, until time.Time) string {
	t.Helper()
	claims := jwt.RegisteredClaims{Subject: partner, ExpiresAt: jwt.NewNumericDate(until)}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(tokenKey)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// ask makes a request of the handler; headers are names and values in turn.
func ask(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// as returns the header of somebody who has signed in.
func (a *app) as(name string) []string {
	return []string{"Cookie", "session=" + a.sessions.begin(name)}
}

func subjects(t *testing.T, body string) string {
	t.Helper()
	var rows []Ticket
	if err := json.Unmarshal([]byte(body), &rows); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	var out []string
	for _, r := range rows {
		out = append(out, r.Subject)
	}
	return strings.Join(out, ", ")
}

func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport}
	err := run(ctx, "127.0.0.1:0", filepath.Join(t.TempDir(), "desk.sqlite"), func(base string) {
		defer cancel()
		res, err := client.PostForm(base+"/login", url.Values{"name": {"Ada"}})
		if err != nil {
			t.Error(err)
			return
		}
		_ = res.Body.Close()
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, base+"/live/api/open", nil)
		r.Header.Set("Cookie", "session="+res.Cookies()[0].Value)
		res, err = client.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != 200 || strings.TrimSpace(string(body)) != "[]" {
			t.Errorf("%d %s", res.StatusCode, body)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// region httptest

// TestOneWriteShows writes as the application always did, and asks for the list.
func TestOneWriteShows(t *testing.T) {
	db := openTest(t)
	a, _ := started(t, db) // newApp, addLive, Start; Shutdown as clean-up
	insert(t, db, ticket("Printer", "acme"))
	w := ask(a.echo, "GET", "/live/api/open", "", a.as("Ada")...)
	if w.Code != 200 || subjects(t, w.Body.String()) != "Printer" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	tag := w.Header().Get("ETag")
	if w := ask(a.echo, "GET", "/live/api/open", "", append(a.as("Ada"), "If-None-Match", tag)...); w.Code != 304 {
		t.Fatalf("nothing has changed: %d", w.Code)
	}
	if w := ask(a.echo, "POST", "/tickets/1/close", "", a.as("Ada")...); w.Code != 204 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := ask(a.echo, "GET", "/live/api/open", "", append(a.as("Ada"), "If-None-Match", tag)...); subjects(t, w.Body.String()) != "" {
		t.Fatalf("the ticket is closed: %d %s", w.Code, w.Body)
	}
}

// endregion
