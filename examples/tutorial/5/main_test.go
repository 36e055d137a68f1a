package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/plugins/health"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
	"github.com/uptrace/bun"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

// databases returns the DSN of an empty database of each kind.
func databases(t *testing.T) map[string]func(*testing.T) string {
	return map[string]func(*testing.T) string{
		"SQLite":   func(t *testing.T) string { return filepath.Join(t.TempDir(), "cafe.sqlite") },
		"Postgres": func(t *testing.T) string { return pgtest.Shared(t).CreateDatabase(t) },
	}
}

// open returns the board, running over the database, and a function that ends it.
func open(t *testing.T, dsn string) (*kitchen, *bun.DB, func()) {
	t.Helper()
	db, others, err := openDatabase(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if err := createTables(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	k := newKitchen(db, others)
	k.operate("a-token-for-tests", health.Config{Delay: -1, Spread: -1})
	if err := k.registry.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		if err := errors.Join(k.registry.Shutdown(context.Background()), db.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return k, db, end
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

// region restart

// TestRestart ends the program and begins anew. A client that was away resumes
// from the version that it has: it is told what it missed, or that it is current.
func TestRestart(t *testing.T) {
	for name, database := range databases(t) {
		t.Run(name, func(t *testing.T) {
			dsn := database(t)
			k, _, end := open(t, dsn)
			ada := k.as(t, "Ada")
			if w := ask(k.echo, "POST", "/api/waiting", `{"table":1,"dish":"Soup","waiter":"Ravi"}`, ada...); w.Code != 201 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			before := ask(k.echo, "GET", "/api/waiting", "", ada...)
			end()

			k, _, _ = open(t, dsn)
			ada = k.as(t, "Ada")
			again := ask(k.echo, "GET", "/api/waiting", "", append(ada, "If-None-Match", before.Header().Get("ETag"))...)
			if again.Code != 304 {
				t.Errorf("nothing has changed: %d %s", again.Code, again.Body)
			}
			version := strings.Trim(before.Header().Get("ETag"), `"`)
			if w := ask(k.echo, "GET", "/api/waiting?since="+version, "", ada...); !strings.Contains(w.Body.String(), `"payload":"ok"`) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

// endregion

// region others

// TestAnotherProgramWrites has a second connection to the database do so.
func TestAnotherProgramWrites(t *testing.T) {
	for name, database := range databases(t) {
		t.Run(name, func(t *testing.T) {
			dsn := database(t)
			k, _, _ := open(t, dsn)
			came := make(chan string, 8)
			t.Cleanup(k.waiting.OnChange(func(d core.Delta[Order]) {
				for _, order := range d.Created {
					came <- order.Dish
				}
			}))
			other, _, err := openDatabase(dsn)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = other.Close() })
			if _, err := other.NewInsert().Model(&Order{Table: 3, Dish: "Tea", Waiter: "Ravi"}).Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
			select {
			case dish := <-came:
				if dish != "Tea" {
					t.Errorf("%s came", dish)
				}
			case <-time.After(60 * time.Second):
				t.Fatal("nothing came")
			}
		})
	}
}

// endregion

func TestOperate(t *testing.T) {
	k, _, _ := open(t, filepath.Join(t.TempDir(), "cafe.sqlite"))
	for path, says := range map[string]string{
		"/healthz": "ok", "/readyz": `"status":"ready"`, "/metrics": `bindery_binding_rows{binding="waiting"} 0`,
	} {
		if w := ask(k.echo, "GET", path, ""); w.Code != 200 || !strings.Contains(w.Body.String(), says) {
			t.Errorf("%s: %d %.300s", path, w.Code, w.Body)
		}
	}
	if w := ask(k.echo, "GET", "/admin/api/bindings", ""); w.Code != 401 {
		t.Errorf("the admin lets in anybody: %d", w.Code)
	}
	if w := ask(k.echo, "GET", "/admin/api/bindings/waiting/explain?key=7", "", "Authorization", "Bearer a-token-for-tests"); w.Code == 401 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestRun ends the whole program while a page looks.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var page *http.Response
	err := run(ctx, "127.0.0.1:0", filepath.Join(t.TempDir(), "cafe.sqlite"), "", health.Config{Delay: -1, Spread: -1}, func(url string) {
		defer cancel()
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/events/table?table=1", nil)
		var err error
		if page, err = client.Do(r); err != nil || page.StatusCode != 200 {
			t.Errorf("%v %v", page, err)
		}
	})
	if err != nil {
		t.Error(err)
	}
	if page != nil {
		if _, err := io.ReadAll(page.Body); err != nil { // the stream ends as it should
			t.Error(err)
		}
		_ = page.Body.Close()
	}
}
