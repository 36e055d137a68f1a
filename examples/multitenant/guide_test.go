package main

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/transports/rest"
	"github.com/binderyhq/bindery/transports/socketio"
	"github.com/binderyhq/bindery/transports/sse"
	"github.com/binderyhq/bindery/transports/websocket"
)

// serveTasks serves the tasks under an authorizer of the test's own. Who asks is
// whoever the session cookie names: there are no sessions here.
func serveTasks(t *testing.T, authorizer core.Authorizer) *running {
	t.Helper()
	db, closeDatabase, err := openDatabase(t.Context(), settings{work: 1})
	if err != nil {
		t.Fatal(err)
	}
	e, reg := echo.New(), core.NewRegistry()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if cookie, err := c.Cookie(cookieName); err == nil {
				c.SetRequest(c.Request().WithContext(withSession(c.Request().Context(), cookie.Value)))
			}
			return next(c)
		}
	})
	reg.Add(bindTasks(db))
	reg.Authorize(authorizer)
	reg.Watch(bunsource.Hooks(db))
	reg.Serve(rest.New(e.Group("/api")), sse.New(e.Group("/events")), websocket.New(e.Group("/ws")), socketio.New(e.Group("/socket.io")))
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(errors.Join(err, closeDatabase()))
	}
	server := httptest.NewServer(e)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(reg.Shutdown(ctx), closeDatabase()); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return &running{t: t, url: server.URL + "/", reg: reg}
}

func (r *running) as(name string) *user { return &user{r: r, name: name, cookie: name} }

// TestAnswers holds docs/authorization.md to its table of decisions and what
// clients are told of them.
func TestAnswers(t *testing.T) {
	const secret = "the authorizer's own words"
	r := serveTasks(t, core.AuthorizerFunc(func(ctx context.Context, _ core.Access) (core.Decision, error) {
		switch sessionOf(ctx) {
		case "allowed":
			return core.Allow(), nil
		case "confined":
			return core.AllowWhere(filter.Eq("tenant_id", alder)), nil
		case "denied":
			return core.Deny(), nil
		case "unlucky":
			return core.Allow(), errors.New(secret)
		case "crashing":
			panic(secret)
		case "confused":
			return core.AllowWhere(filter.Eq("no_such_column", 1)), nil
		}
		return core.Unauthenticated(challenge), nil
	}))
	for who, status := range map[string]int{
		"allowed": 200, "confined": 200, "denied": 403, "nobody": 401, "unlucky": 503, "crashing": 503, "confused": 503,
	} {
		u := r.as(who)
		for _, method := range []string{"GET", "HEAD"} {
			for _, path := range []string{"api/tasks", "api/tasks/1", "api/tasks?limit=2", "api/tasks?since=x"} {
				a := u.want(status, method, path, "")
				if strings.Contains(string(a.body), secret) || (a.header.Get("WWW-Authenticate") != "") != (status == 401) || (a.header.Get("Retry-After") != "") != (status == 503) {
					t.Errorf("%s: %s %s: %v %s", who, method, path, a.header, a.body)
				}
			}
		}
		for name, follow := range over {
			m := follow(u, "tasks").until("an answer", func(m message) bool { return m.Action == "sync" || m.Action == "error" })
			if got := m.problem().Status; strings.Contains(string(m.Payload), secret) || status == 200 && m.Action != "sync" || status != 200 && got != status {
				t.Errorf("%s over %s: %s %s", who, name, m.Action, m.Payload)
			}
		}
		want := status
		if status == 200 {
			want = 201
		}
		u.want(want, "POST", "api/tasks", newTask(alder, 1, "by "+who))
		if status != 200 {
			u.want(want, "PATCH", "api/tasks/1", `{"state":"done"}`)
			u.want(want, "DELETE", "api/tasks/1", "")
		}
	}
	for who, status := range map[string]int{"allowed": 404, "denied": 404, "nobody": 404} {
		r.as(who).want(status, "GET", "api/nothing", "")
	}
}

// ownTasks is for docs/authorization.md: everybody sees everything, and writes
// what is assigned to them.
func ownTasks(ctx context.Context, access core.Access) (core.Decision, error) {
	if access.Action == core.ActionRead {
		return core.Allow(), nil
	}
	return core.AllowWhere(filter.Eq("assignee", sessionOf(ctx))), nil
}

// TestScopesOfWrites: where the scope of a write is narrower than that of
// reading, rows are there and may not be written.
func TestScopesOfWrites(t *testing.T) {
	r := serveTasks(t, core.AuthorizerFunc(ownTasks))
	ada := r.as("Ada")
	body := func(assignee string) string {
		return fmt.Sprintf(`{"tenant_id":"alder","project_id":1,"title":"new","assignee":%q}`, assignee)
	}
	for _, c := range []struct {
		status             int
		method, path, body string
	}{
		{200, "GET", "api/tasks/2", ""}, // Ravi's
		{200, "PATCH", "api/tasks/1", `{"state":"doing"}`},
		{403, "PATCH", "api/tasks/2", `{"state":"doing"}`},
		{403, "PATCH", "api/tasks/2", `{"assignee":"Ada"}`}, // nobody takes what is another's
		{403, "PATCH", "api/tasks/1", `{"assignee":"Ravi"}`},
		{403, "PUT", "api/tasks/2", body("Ada")},
		{403, "DELETE", "api/tasks/2", ""},
		{404, "DELETE", "api/tasks/999", ""},
		{403, "POST", "api/tasks", body("Ravi")},
		{201, "POST", "api/tasks", body("Ada")},
		{204, "DELETE", "api/tasks/1", ""},
	} {
		ada.want(c.status, c.method, c.path, c.body)
	}
	if f := r.family("tasks"); f.Opened != 0 {
		t.Errorf("scopes of writes made members: %+v", f)
	}
}
