package rest

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/filter"
)

// record is the row of the tests of families and of the authorizer.
type record struct {
	ID    int64  `json:"id"`
	Owner string `json:"owner"`
	Title string `json:"title"`
}

// store is a registry with records: all of them as "records", those of an owner
// as the family "of", both writable; "open" is not.
type store struct {
	t      testing.TB
	e      *echo.Echo
	reg    *core.Registry
	rest   *Transport
	table  *coretest.Table[record]
	source *coretest.Source
	clock  *clock
}

type principalKey struct{}

// newStore serves the records under /api. Requests are made by whom the header
// Principal names.
func newStore(t testing.TB, authorizer core.Authorizer, cfg Config, opts ...core.Option) *store {
	t.Helper()
	s := &store{t: t, e: echo.New(), table: coretest.NewTable[record]("records", "id"), source: &coretest.Source{}, clock: &clock{t: time.Date(2030, 1, 2, 3, 4, 5, 500e6, time.UTC)}}
	s.table.Put(record{1, "ann", "one"}, record{2, "bob", "two"}, record{3, "ann", "three"}, record{4, "bob", "four"}, record{5, "ann & co", "five"})
	s.reg = core.Config{Logger: slog.New(slog.DiscardHandler), LoadWait: 5 * time.Second, Now: s.clock.now}.NewRegistry()
	s.e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			c.SetRequest(r.WithContext(context.WithValue(r.Context(), principalKey{}, r.Header.Get("Principal"))))
			return next(c)
		}
	})
	s.rest = New(s.e.Group("/api"), cfg)
	if authorizer != nil {
		if err := s.reg.Authorize(authorizer); err != nil {
			t.Fatal(err)
		}
	}
	of := append([]core.Option{core.Where(filter.Eq("owner", filter.Param("owner"))), core.Writable()}, opts...)
	for _, err := range []error{
		s.reg.Add(core.Bind("records", s.table, core.Writable()), core.BindFamily("of", s.table, of...), core.Bind("open", s.table)),
		s.reg.Watch(s.source),
		s.reg.Serve(s.rest, streams{}),
		s.reg.Start(t.Context()),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		if err := s.reg.Shutdown(ctx); err != nil {
			t.Errorf("shutting down: %v", err)
		}
	})
	return s
}

func (s *store) put(rows ...record) {
	s.t.Helper()
	if err := s.source.Report(s.t.Context(), s.table.Put(rows...)); err != nil {
		s.t.Fatal(err)
	}
}

// as makes a request as the principal.
func (s *store) as(principal, method, target, body string, headers ...string) *http.Response {
	s.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body)).WithContext(s.t.Context())
	r.Header.Set("Principal", principal)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	s.e.ServeHTTP(rec, r)
	return rec.Result()
}

// until polls a condition, and fails the test when it does not come true.
func (s *store) until(what string, condition func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain until %s", what)
		}
	}
}

func TestMemberOfAFamily(t *testing.T) {
	s := newStore(t, nil, Config{})
	res := do(t, s.e, "GET", "/api/of?owner=ann")
	want(t, res, 200)
	if got := body(t, res); got != `[{"id":1,"owner":"ann","title":"one"},{"id":3,"owner":"ann","title":"three"}]`+"\n" {
		t.Errorf("the list is %s", got)
	}
	if got := res.Header.Get("Link"); got != `</events/of?owner=ann>; rel="monitor"` {
		t.Errorf("Link %q", got)
	}
	want(t, do(t, s.e, "GET", "/api/of?owner=ann", "If-None-Match", res.Header.Get("ETag")), 304)
	want(t, do(t, s.e, "GET", "/api/of?owner=bob", "If-None-Match", res.Header.Get("ETag")), 200)
	if got := do(t, s.e, "HEAD", "/api/of?owner=ann").Header.Get("ETag"); got != res.Header.Get("ETag") {
		t.Errorf("HEAD has the tag %s", got)
	}

	page := do(t, s.e, "GET", "/api/of?offset=0&owner=ann&limit=1")
	want(t, page, 200)
	const links = `</api/of?owner=ann&limit=1&offset=0>; rel="first", </api/of?owner=ann&limit=1&offset=1>; rel="next", ` +
		`</api/of?owner=ann&limit=1&offset=1>; rel="last", </events/of?owner=ann>; rel="monitor"`
	if got := page.Header.Get("Link"); got != links || page.Header.Get("X-Total-Count") != "2" {
		t.Errorf("Link of a page: %s; of %s", got, page.Header.Get("X-Total-Count"))
	}
	escaped := do(t, s.e, "GET", "/api/of?owner=ann+%26+co&limit=1")
	if got := escaped.Header.Get("Link"); !strings.HasPrefix(got, "</api/of?owner=ann+%26+co&limit=1&offset=0>") || !strings.Contains(body(t, escaped), "five") {
		t.Errorf("Link of a page: %s", got)
	}

	want(t, do(t, s.e, "GET", "/api/of/3?owner=ann"), 200)
	want(t, do(t, s.e, "GET", "/api/of/2?owner=ann"), 404)
	since := do(t, s.e, "GET", "/api/of?owner=ann&since="+strings.Trim(res.Header.Get("ETag"), `"`))
	if got := body(t, since); !strings.HasPrefix(got, `[{"event":"of","params":{"owner":"ann"},"action":"sync","payload":"ok"`) {
		t.Errorf("since: %s", got)
	}
	want(t, do(t, s.e, "OPTIONS", "/api/of?owner=ann"), 204)
}

func TestArgumentsAreNamed(t *testing.T) {
	s := newStore(t, nil, Config{})
	for target, named := range map[string]string{
		"/api/of":                                    "owner",
		"/api/of/1":                                  "owner",
		"/api/of?owner=ann&colour=red":               "colour",
		"/api/of?owner=ann&owner=bob":                "owner",
		"/api/of?owner=ann&limit=many":               "limit",
		"/api/of/1?owner=ann&limit=1":                "limit",
		"/api/records?owner=ann":                     "owner",
		"/api/records/1?owner=ann":                   "owner",
		"/api/of?owner=ann%00":                       "owner",
		"/api/of?owner=" + strings.Repeat("a", 2000): "owner",
	} {
		res := do(t, s.e, "GET", target)
		want(t, res, 400)
		got := decode[struct{ Errors []struct{ Field string } }](t, res)
		if len(got.Errors) != 1 || got.Errors[0].Field != named {
			t.Errorf("%.60s: %+v, want %q named", target, got, named)
		}
	}
	want(t, do(t, s.e, "GET", "/api/none?owner=ann"), 404)
}

func TestWritesToAMember(t *testing.T) {
	s := newStore(t, nil, Config{})
	res := s.as("", "POST", "/api/of?owner=ann", `{"id":7,"owner":"ann","title":"seven"}`)
	want(t, res, 201)
	if got := res.Header.Get("Location"); got != "/api/of/7?owner=ann" {
		t.Errorf("Location %q", got)
	}
	want(t, do(t, s.e, "GET", res.Header.Get("Location")), 200)
	want(t, s.as("", "POST", "/api/of?owner=ann", `{"id":8,"owner":"bob","title":"eight"}`), 422)
	want(t, s.as("", "POST", "/api/of?owner=ann&limit=1", `{"id":8,"owner":"ann","title":"eight"}`), 400)
	want(t, s.as("", "PATCH", "/api/of/7?owner=ann", `{"title":"SEVEN"}`), 200)
	want(t, s.as("", "PATCH", "/api/of/7?owner=ann", `{"owner":"bob"}`), 422)
	want(t, s.as("", "PATCH", "/api/of/7?owner=bob", `{"title":"seven"}`), 404)
	want(t, s.as("", "DELETE", "/api/of/2?owner=ann", ""), 404)
	want(t, s.as("", "DELETE", "/api/of/7?owner=ann", ""), 204)
	want(t, s.as("", "DELETE", "/api/of/7", ""), 400)
}

// A member that comes alive is waited for, but not for ever.
func TestMemberThatHasNotLoaded(t *testing.T) {
	s := newStore(t, nil, Config{LoadWait: time.Millisecond})
	release := s.table.Hold()
	res := do(t, s.e, "GET", "/api/of?owner=ann")
	want(t, res, 503)
	if res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	release()
	m := newStore(t, nil, Config{LoadWait: time.Hour})
	release = m.table.Hold()
	answer := make(chan *http.Response)
	go func() { answer <- do(t, m.e, "GET", "/api/of?owner=ann") }()
	m.until("the member is alive", func() bool { return m.reg.Status().Families[0].Alive == 1 })
	release()
	want(t, <-answer, 200)
}

func TestTooManyMembers(t *testing.T) {
	s := newStore(t, nil, Config{}, core.Tune(core.Tuning{MaxMembers: 1}))
	g, err := s.reg.Open(t.Context(), "of", core.Args{"owner": "ann"})
	if err != nil {
		t.Fatal(err)
	}
	res := do(t, s.e, "GET", "/api/of?owner=bob")
	want(t, res, 503)
	if res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	want(t, do(t, s.e, "GET", "/api/of?owner=ann"), 200)
	g.Close()
	want(t, do(t, s.e, "GET", "/api/of?owner=bob"), 200)
}

// A member is given back also by a request in which the application's code
// panics.
func TestMembersAfterAPanic(t *testing.T) {
	s := newStore(t, nil, Config{})
	s.e.Use(middleware.Recover())
	s.e.Validator = validatorFunc(func(any) error { panic("no rules for this") })
	s.e.Logger.SetOutput(io.Discard)
	if res := s.as("ann", "POST", "/api/of?owner=ann", `{"id":9,"owner":"ann","title":"nine"}`); res.StatusCode != http.StatusInternalServerError {
		t.Errorf("answered %d", res.StatusCode)
	}
	if st := s.reg.Status().Families[0]; st.Alive != 1 || st.InUse != 0 {
		t.Errorf("%d members are alive, %d in use", st.Alive, st.InUse)
	}
}
