package rest

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
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

// folding is a table whose database finds a row by its name in any case.
type folding struct{ *coretest.Table[named] }

func (f folding) Schema() (driver.Schema, error) {
	s, err := f.Table.Schema()
	s.Columns = slices.Clone(s.Columns)
	s.Columns[s.Column("name")].Exact = 0
	return s, err
}

func (f folding) Query(ctx context.Context, q driver.Query) ([]*named, error) {
	rows, err := f.Load(ctx, q.Keys)
	var by func(filter.Expr) string
	by = func(e filter.Expr) string {
		switch e := e.(type) {
		case *filter.Conjunction:
			return by(e.Exprs[0])
		case *filter.Comparison:
			return e.Value.(interface{ String() string }).String()
		}
		return ""
	}
	if q.Filter != nil {
		rows = slices.DeleteFunc(rows, func(n *named) bool { return !strings.EqualFold(n.Name, by(q.Filter)) })
	}
	return rows, err
}

// Where the database finds a row by a key that is spelled otherwise, so does a URL.
func TestKeysAreComparedByTheDatabase(t *testing.T) {
	e := echo.New()
	table := folding{coretest.NewTable[named]("things", "name")}
	table.Put(named{"Foo", 1}, named{"Bar", 2})
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
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodGet, "/api/things/foo", "", http.StatusOK},
		{http.MethodPatch, "/api/things/FOO", `{"n":3}`, http.StatusOK},
		{http.MethodGet, "/api/things/baz", "", http.StatusNotFound},
		{http.MethodDelete, "/api/things/bAR", "", http.StatusNoContent},
		{http.MethodGet, "/api/things/Bar", "", http.StatusNotFound},
	} {
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, w.Code, w.Body, c.status)
		}
	}
	if rows := table.Rows(); len(rows) != 1 || rows[driver.KeyOf("Foo")].N != 3 {
		t.Errorf("the table holds %v", rows)
	}
}
