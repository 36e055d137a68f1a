package rest

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
)

type named struct {
	Name string `json:"name"`
	N    int    `json:"n"`
}

// Every row has a URL, whatever its key: the one that Location tells, and that
// a client makes of the row.
func TestEveryKeyHasAURL(t *testing.T) {
	e := echo.New()
	table := coretest.NewTable[named]("things", "name")
	reg := core.Config{Logger: slog.New(slog.DiscardHandler)}.NewRegistry()
	for _, err := range []error{
		reg.Add(core.Bind("things", table, core.Writable())), reg.Watch(&coretest.Source{}),
		reg.Serve(New(e.Group("/api"))), reg.Start(t.Context()),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	defer reg.Shutdown(t.Context())
	server := httptest.NewServer(e)
	defer server.Close()
	client := server.Client()
	send := func(method, path, body string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	for _, key := range []string{"", "a", "a b", "a/b", "a,b", ",", "%", "%2F", "a%20b", "ü", "?", "#", "a;b", "+", "/", "//", " ", "a?b=c", "\\", "\"", "*"} {
		row := `{"name":` + strconv.Quote(key) + `,"n":1}`
		res := send(http.MethodPost, "/api/things", row)
		want(t, res, http.StatusCreated)
		escaped := "/api/things/" + strings.ReplaceAll(url.PathEscape(key), ",", "%2C")
		if got := res.Header.Get("Location"); got != escaped {
			t.Errorf("key %q: Location %s, want %s", key, got, escaped)
		}
		res = send(http.MethodGet, escaped, "")
		want(t, res, http.StatusOK)
		if got := decode[named](t, res); got.Name != key {
			t.Errorf("key %q: GET %s answers %+v", key, escaped, got)
		}
		want(t, send(http.MethodPatch, escaped, `{"n":2}`), http.StatusOK)
		want(t, send(http.MethodPut, escaped, row), http.StatusOK)
		want(t, send(http.MethodDelete, escaped, ""), http.StatusNoContent)
		want(t, send(http.MethodGet, escaped, ""), http.StatusNotFound)
	}
}
