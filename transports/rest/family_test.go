package rest

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4/middleware"

	"github.com/binderyhq/bindery/core"
)

func TestMemberOfAFamily(t *testing.T) {
	s := newStore(t, nil, Config{})
	res := do(t, s.Echo, "GET", "/api/of?owner=ann")
	want(t, res, 200)
	if got := body(t, res); got != `[{"id":1,"owner":"ann","title":"one"},{"id":3,"owner":"ann","title":"three"}]`+"\n" {
		t.Errorf("the list is %s", got)
	}
	if got := res.Header.Get("Link"); got != `</events/of?owner=ann>; rel="monitor"` {
		t.Errorf("Link %q", got)
	}
	want(t, do(t, s.Echo, "GET", "/api/of?owner=ann", "If-None-Match", res.Header.Get("ETag")), 304)
	want(t, do(t, s.Echo, "GET", "/api/of?owner=bob", "If-None-Match", res.Header.Get("ETag")), 200)
	if got := do(t, s.Echo, "HEAD", "/api/of?owner=ann").Header.Get("ETag"); got != res.Header.Get("ETag") {
		t.Errorf("HEAD has the tag %s", got)
	}

	page := do(t, s.Echo, "GET", "/api/of?offset=0&owner=ann&limit=1")
	want(t, page, 200)
	const links = `</api/of?owner=ann&limit=1&offset=0>; rel="first", </api/of?owner=ann&limit=1&offset=1>; rel="next", ` +
		`</api/of?owner=ann&limit=1&offset=1>; rel="last", </events/of?owner=ann>; rel="monitor"`
	if got := page.Header.Get("Link"); got != links || page.Header.Get("X-Total-Count") != "2" {
		t.Errorf("Link of a page: %s; of %s", got, page.Header.Get("X-Total-Count"))
	}
	escaped := do(t, s.Echo, "GET", "/api/of?owner=ann+%26+co&limit=1")
	if got := escaped.Header.Get("Link"); !strings.HasPrefix(got, "</api/of?owner=ann+%26+co&limit=1&offset=0>") || !strings.Contains(body(t, escaped), "five") {
		t.Errorf("Link of a page: %s", got)
	}

	want(t, do(t, s.Echo, "GET", "/api/of/3?owner=ann"), 200)
	want(t, do(t, s.Echo, "GET", "/api/of/2?owner=ann"), 404)
	since := do(t, s.Echo, "GET", "/api/of?owner=ann&since="+strings.Trim(res.Header.Get("ETag"), `"`))
	if got := body(t, since); !strings.HasPrefix(got, `[{"event":"of","params":{"owner":"ann"},"action":"sync","payload":"ok"`) {
		t.Errorf("since: %s", got)
	}
	want(t, do(t, s.Echo, "OPTIONS", "/api/of?owner=ann"), 204)
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
		res := do(t, s.Echo, "GET", target)
		want(t, res, 400)
		got := decode[struct{ Errors []struct{ Field string } }](t, res)
		if len(got.Errors) != 1 || got.Errors[0].Field != named {
			t.Errorf("%.60s: %+v, want %q named", target, got, named)
		}
	}
	want(t, do(t, s.Echo, "GET", "/api/none?owner=ann"), 404)
}

func TestWritesToAMember(t *testing.T) {
	s := newStore(t, nil, Config{})
	res := s.As("", "POST", "/api/of?owner=ann", `{"id":7,"owner":"ann","title":"seven"}`)
	want(t, res, 201)
	if got := res.Header.Get("Location"); got != "/api/of/7?owner=ann" {
		t.Errorf("Location %q", got)
	}
	want(t, do(t, s.Echo, "GET", res.Header.Get("Location")), 200)
	want(t, s.As("", "POST", "/api/of?owner=ann", `{"id":8,"owner":"bob","title":"eight"}`), 422)
	want(t, s.As("", "POST", "/api/of?owner=ann&limit=1", `{"id":8,"owner":"ann","title":"eight"}`), 400)
	want(t, s.As("", "PATCH", "/api/of/7?owner=ann", `{"title":"SEVEN"}`), 200)
	want(t, s.As("", "PATCH", "/api/of/7?owner=ann", `{"owner":"bob"}`), 422)
	want(t, s.As("", "PATCH", "/api/of/7?owner=bob", `{"title":"seven"}`), 404)
	want(t, s.As("", "DELETE", "/api/of/2?owner=ann", ""), 404)
	want(t, s.As("", "DELETE", "/api/of/7?owner=ann", ""), 204)
	want(t, s.As("", "DELETE", "/api/of/7", ""), 400)
}

// A member that comes alive is waited for, but not for ever.
func TestMemberThatHasNotLoaded(t *testing.T) {
	s := newStore(t, nil, Config{LoadWait: time.Millisecond})
	release := s.Table.Hold()
	res := do(t, s.Echo, "GET", "/api/of?owner=ann")
	want(t, res, 503)
	if res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	release()
	m := newStore(t, nil, Config{LoadWait: time.Hour})
	release = m.Table.Hold()
	answer := make(chan *http.Response)
	go func() { answer <- do(t, m.Echo, "GET", "/api/of?owner=ann") }()
	m.Until("the member is alive", func() bool { return m.Reg.Status().Families[0].Alive == 1 })
	release()
	want(t, <-answer, 200)
}

func TestTooManyMembers(t *testing.T) {
	s := newStore(t, nil, Config{}, core.Tune(core.Tuning{MaxMembers: 1}))
	g, err := s.Reg.Open(t.Context(), "of", core.Args{"owner": "ann"})
	if err != nil {
		t.Fatal(err)
	}
	res := do(t, s.Echo, "GET", "/api/of?owner=bob")
	want(t, res, 503)
	if res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	want(t, do(t, s.Echo, "GET", "/api/of?owner=ann"), 200)
	g.Close()
	want(t, do(t, s.Echo, "GET", "/api/of?owner=bob"), 200)
}

// A member is given back also by a request in which the application's code
// panics.
func TestMembersAfterAPanic(t *testing.T) {
	s := newStore(t, nil, Config{})
	s.Echo.Use(middleware.Recover())
	s.Echo.Validator = validatorFunc(func(any) error { panic("no rules for this") })
	s.Echo.Logger.SetOutput(io.Discard)
	if res := s.As("ann", "POST", "/api/of?owner=ann", `{"id":9,"owner":"ann","title":"nine"}`); res.StatusCode != http.StatusInternalServerError {
		t.Errorf("answered %d", res.StatusCode)
	}
	if st := s.Reg.Status().Families[0]; st.Alive != 1 || st.InUse != 0 {
		t.Errorf("%d members are alive, %d in use", st.Alive, st.InUse)
	}
}
