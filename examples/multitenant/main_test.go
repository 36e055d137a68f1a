package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	stopWithin = time.Minute
	goleak.VerifyTestMain(m)
}

// TestSigningIn: who says the right password gets a cookie that scripts and
// other sites do not, and nobody else gets one.
func TestSigningIn(t *testing.T) {
	r := open(t)
	nobody := r.nobody()
	for _, body := range []string{
		`{"name":"ada","password":"wrong"}`, `{"name":"ada"}`, `{"name":"nobody","password":"correct horse"}`, `{"name":"","password":""}`, `{}`,
	} {
		a := nobody.want(http.StatusUnauthorized, "POST", "session", body)
		if len(a.cookies) != 0 || !strings.Contains(string(a.body), "the name or the password is wrong") {
			t.Errorf("%s: %q %s", body, a.cookies, a.body)
		}
	}
	nobody.want(http.StatusBadRequest, "POST", "session", `{`)
	nobody.want(http.StatusRequestEntityTooLarge, "POST", "session", `{"name":"`+strings.Repeat("a", 5000)+`"}`)
	if a := nobody.want(http.StatusUnauthorized, "GET", "session", ""); a.header.Get("WWW-Authenticate") == "" {
		t.Error("401 without WWW-Authenticate")
	}

	a := nobody.want(http.StatusOK, "POST", "session", `{"name":"ada","password":"correct horse"}`)
	if len(a.cookies) != 1 || !a.cookies[0].HttpOnly || a.cookies[0].SameSite != http.SameSiteStrictMode || a.cookies[0].Path != "/" {
		t.Fatalf("cookies: %v", a.cookies)
	}
	if strings.Contains(string(a.body), "pbkdf2") {
		t.Errorf("the answer shows the hash: %s", a.body)
	}
	ada := r.signIn("ada")
	var me Person
	if err := json.Unmarshal(ada.want(http.StatusOK, "GET", "session", "").body, &me); err != nil || me.TenantID != alder || me.Role != roleAdmin {
		t.Errorf("who am I: %+v, %v", me, err)
	}

	// Signing out ends this session, and no other one of hers.
	other := r.signIn("ada")
	ada.want(http.StatusNoContent, "DELETE", "session", "")
	ada.want(http.StatusUnauthorized, "GET", "session", "")
	ada.want(http.StatusUnauthorized, "GET", "api/tasks", "")
	other.want(http.StatusOK, "GET", "api/tasks", "")
}

// TestNobody: without a session there is nothing to see, over no transport.
func TestNobody(t *testing.T) {
	r := open(t)
	for who, u := range map[string]*user{"no cookie": r.nobody(), "a made-up cookie": {r: r, name: "forger", cookie: "AAAAAAAAAAAAAAAAAAAAAAAAAA"}} {
		for _, path := range []string{"tasks", "tasks/1", "board?project=1", "recent", "progress", "people", "people/ada"} {
			a := u.want(http.StatusUnauthorized, "GET", "api/"+path, "")
			if a.header.Get("WWW-Authenticate") != challenge || a.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: %s: %v", who, path, a.header)
			}
		}
		u.want(http.StatusUnauthorized, "POST", "api/tasks", newTask(alder, 1, "by nobody"))
		if a := u.want(http.StatusUnauthorized, "PUT", "people/ada/suspension", ""); a.header.Get("WWW-Authenticate") != challenge {
			t.Errorf("%s: suspending: %v", who, a.header)
		}
		for name, follow := range over {
			m := follow(u, "tasks").untilAction("error")
			if m.problem().Status != http.StatusUnauthorized {
				t.Errorf("%s over %s: %s", who, name, m.Payload)
			}
		}
	}
}

// newTask is the body of a POST.
func newTask(tenant string, project int, title string) string {
	return fmt.Sprintf(`{"tenant_id":%q,"project_id":%d,"title":%q}`, tenant, project, title)
}

// titles are all titles of a tenant's tasks, in quotes as JSON has them.
func titles(tenant string) (all []string) {
	for _, p := range seedProjects {
		for _, task := range p.tasks {
			if p.project.TenantID == tenant {
				all = append(all, `"`+task.Title+`"`)
			}
		}
	}
	return all
}

// leaks reports what a body shows of a tenant.
func leaks(body, tenant string) string {
	for _, title := range append(titles(tenant), `"`+tenant+`"`) {
		if strings.Contains(body, title) {
			return title
		}
	}
	return ""
}

// TestLists: of every binding each company sees its own rows alone, under tags
// of their own, and the operator sees all.
func TestLists(t *testing.T) {
	r := open(t)
	ada, ravi, bea, olga := r.signIn("ada"), r.signIn("ravi"), r.signIn("bea"), r.signIn("olga")
	for _, path := range []string{"api/tasks", "api/progress", "api/people", "api/recent"} {
		as := ada.want(http.StatusOK, "GET", path, "")
		bs := bea.want(http.StatusOK, "GET", path, "")
		all := olga.want(http.StatusOK, "GET", path, "")
		if got := leaks(string(as.body), brook); got != "" || len(rowsOf(t, as.body)) == 0 {
			t.Errorf("%s: ada sees %s: %s", path, got, as.body)
		}
		if got := leaks(string(bs.body), alder); got != "" || len(rowsOf(t, bs.body)) == 0 {
			t.Errorf("%s: bea sees %s: %s", path, got, bs.body)
		}
		if path != "api/recent" && len(rowsOf(t, all.body)) < len(rowsOf(t, as.body))+len(rowsOf(t, bs.body)) {
			t.Errorf("%s: olga sees %s", path, all.body)
		}
		tags := map[string]bool{}
		for _, a := range []answer{as, bs, all} {
			tags[a.header.Get("Etag")] = true
			if cc := a.header.Get("Cache-Control"); !strings.Contains(cc, "private") {
				t.Errorf("%s: Cache-Control %q: another's browser may be shown it", path, cc)
			}
		}
		if len(tags) != 3 || tags[""] {
			t.Errorf("%s: the tags are %v", path, tags)
		}
		ada.want(http.StatusNotModified, "GET", path, "", "If-None-Match", as.header.Get("Etag"))
		if a := bea.want(http.StatusOK, "GET", path, "", "If-None-Match", as.header.Get("Etag")); string(a.body) != string(bs.body) {
			t.Errorf("%s: with ada's tag bea gets %s", path, a.body)
		}
		if strings.Contains(string(all.body), "pbkdf2") {
			t.Errorf("%s shows a hash", path)
		}
	}
	if n := len(ada.rows("api/recent")); n != 6 {
		t.Errorf("recent: %d of ada's, want the limit to count within the scope", n)
	}

	// A project of others has no tasks, as one has that does not exist.
	if got := len(ada.rows("api/board?project=1")); got != 6 {
		t.Errorf("ada's own board: %d tasks", got)
	}
	for _, path := range []string{"api/board?project=3", "api/board?project=99"} {
		if got := ada.rows(path); len(got) != 0 {
			t.Errorf("%s: ada sees %v", path, got)
		}
	}
	if got := len(olga.rows("api/board?project=3")); got != 3 {
		t.Errorf("olga's board of project 3: %d tasks", got)
	}
	ada.want(http.StatusBadRequest, "GET", "api/board", "")
	ada.want(http.StatusBadRequest, "GET", "api/board?project=x", "")

	// Rows one by one.
	theirs := bea.rows("api/tasks")[0].ID
	ada.want(http.StatusNotFound, "GET", fmt.Sprintf("api/tasks/%d", theirs), "")
	bea.want(http.StatusOK, "GET", fmt.Sprintf("api/tasks/%d", theirs), "")
	ada.want(http.StatusNotFound, "GET", "api/people/bea", "")
	ada.want(http.StatusOK, "GET", "api/people/ravi", "")

	// Readers see tasks, and not who else there is.
	ravi.want(http.StatusOK, "GET", "api/tasks", "")
	ravi.want(http.StatusForbidden, "GET", "api/people", "")
	ravi.want(http.StatusForbidden, "GET", "api/people/ravi", "")
}

// TestWrites: readers do not write, admins write what is their company's, and
// what is refused has not happened.
func TestWrites(t *testing.T) {
	r := open(t)
	ada, ravi, bea, olga := r.signIn("ada"), r.signIn("ravi"), r.signIn("bea"), r.signIn("olga")
	before := olga.want(http.StatusOK, "GET", "api/tasks", "").header.Get("Etag")
	mine, theirs := ada.rows("api/tasks")[0].ID, bea.rows("api/tasks")[0].ID
	row := func(id int64) string { return fmt.Sprintf("api/tasks/%d", id) }

	for _, c := range []struct {
		who                *user
		status             int
		method, path, body string
	}{
		{ravi, 403, "POST", "api/tasks", newTask(alder, 1, "by a reader")},
		{ravi, 403, "PATCH", row(mine), `{"title":"by a reader"}`},
		{ravi, 403, "DELETE", row(mine), ""},
		{ravi, 403, "DELETE", row(theirs), ""}, // tells nothing about the row
		{ravi, 403, "DELETE", row(9999), ""},
		{ada, 404, "PATCH", row(theirs), `{"title":"by another company"}`},
		{ada, 404, "PUT", row(theirs), newTask(alder, 1, "by another company")},
		{ada, 404, "DELETE", row(theirs), ""},
		{ada, 422, "POST", "api/tasks", newTask(brook, 3, "into another company")},
		{ada, 422, "POST", "api/tasks", newTask(alder, 3, "into a project of another company")},
		{ada, 422, "PATCH", row(mine), `{"tenant_id":"brook"}`},
		{ada, 422, "PATCH", row(mine), `{"tenant_id":"brook","project_id":3}`},
		{ada, 422, "PATCH", row(mine), `{"project_id":3}`},
		{ada, 422, "PATCH", row(mine), `{"title":" "}`},
		{ada, 422, "PATCH", row(mine), `{"changed_at":"2001-01-01T00:00:00Z"}`},
		{ada, 405, "POST", "api/people", `{"name":"eve"}`},
		{ada, 405, "PATCH", "api/people/ada", `{"role":"operator"}`},
	} {
		c.who.want(c.status, c.method, c.path, c.body)
	}
	if after := olga.want(http.StatusOK, "GET", "api/tasks", "").header.Get("Etag"); after != before {
		t.Errorf("something was written: %v", olga.rows("api/tasks"))
	}

	a := ada.want(http.StatusCreated, "POST", "api/tasks", newTask(alder, 1, "by the admin"))
	location := strings.TrimPrefix(a.header.Get("Location"), "/")
	ada.want(http.StatusOK, "PATCH", location, `{"state":"doing"}`)
	ravi.want(http.StatusOK, "GET", location, "")
	bea.want(http.StatusNotFound, "GET", location, "")
	if got := ravi.rows("api/recent")[0]; got.Title != "by the admin" || got.State != "doing" {
		t.Errorf("the task changed last is %+v", got)
	}
	ada.want(http.StatusNoContent, "DELETE", location, "")
	olga.want(http.StatusOK, "PATCH", row(theirs), `{"title":"by the operator"}`)
	a = olga.want(http.StatusCreated, "POST", "api/tasks", newTask(brook, 4, "by the operator"))
	olga.want(http.StatusNoContent, "DELETE", strings.TrimPrefix(a.header.Get("Location"), "/"), "")
}

// TestOtherOrigins: pages of other origins write nothing and open no socket.
func TestOtherOrigins(t *testing.T) {
	r := open(t)
	ada := r.signIn("ada")
	own := strings.TrimSuffix(r.url, "/")
	for _, h := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "http://127.0.0.1:1"}, {"Origin", "null"}} {
		ada.want(http.StatusForbidden, "POST", "api/tasks", newTask(alder, 1, "by another page"), h...)
		ada.want(http.StatusForbidden, "PUT", "people/ravi/suspension", "", h...)
		ada.want(http.StatusForbidden, "DELETE", "session", "", h...)
		ada.want(http.StatusForbidden, "POST", "session", `{"name":"ada","password":"correct horse"}`, h...)
	}
	ada.want(http.StatusCreated, "POST", "api/tasks", newTask(alder, 1, "by the page"), "Sec-Fetch-Site", "same-origin", "Origin", own)

	for origin, status := range map[string]int{"http://evil.example": http.StatusForbidden, "null": http.StatusForbidden, own: http.StatusSwitchingProtocols} {
		header := ada.request(t.Context(), "GET", "ws", "", "Origin", origin).Header
		c, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(r.url, "http")+"ws", header)
		if err == nil {
			_ = c.Close()
		}
		if resp == nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("a WebSocket of a page of %q: %d, want %d", origin, resp.StatusCode, status)
		}
	}
}

// TestStreams: what is open shows what its user may see, as it changes, and
// nothing of the others.
func TestStreams(t *testing.T) {
	for name, follow := range over {
		t.Run(name, func(t *testing.T) {
			r := open(t)
			ada, ravi, bea, olga := r.signIn("ada"), r.signIn("ravi"), r.signIn("bea"), r.signIn("olga")
			for _, u := range []*user{ada, bea} {
				for _, binding := range []string{"recent", "progress", "people"} {
					l := follow(u, binding)
					l.untilAction("sync")
					other := map[*user]string{ada: brook, bea: alder}[u]
					if got := leaks(l.shown(), other); got != "" {
						t.Errorf("%s sees %s in %s", u.name, got, binding)
					}
				}
			}
			if got := follow(ravi, "people").untilAction("error").problem().Status; got != http.StatusForbidden {
				t.Errorf("a reader following people: %d", got)
			}

			ravis, beas, olgas := follow(ravi, "tasks"), follow(bea, "tasks"), follow(olga, "tasks")
			board := follow(ravi, "board?project=2")
			foreign := follow(ravi, "board?project=3")
			for _, l := range []*live{ravis, beas, olgas, board, foreign} {
				l.untilAction("sync")
			}
			bea.want(http.StatusCreated, "POST", "api/tasks", newTask(brook, 3, "only for the bakery"))
			ada.want(http.StatusCreated, "POST", "api/tasks", newTask(alder, 2, "only for the joinery"))
			theirs := bea.rows("api/tasks")[0].ID
			bea.want(http.StatusNoContent, "DELETE", fmt.Sprintf("api/tasks/%d", theirs), "")
			olga.want(http.StatusCreated, "POST", "api/tasks", newTask(alder, 2, "the end of the joinery"))
			olga.want(http.StatusCreated, "POST", "api/tasks", newTask(brook, 3, "the end of the bakery"))

			ravis.untilTitle("the end of the joinery")
			board.untilTitle("the end of the joinery")
			beas.untilTitle("the end of the bakery")
			olgas.untilTitle("the end of the bakery")
			for _, l := range []*live{ravis, board} {
				if got := leaks(l.shown(), brook); got != "" || strings.Contains(l.shown(), "bakery") {
					t.Errorf("the joinery sees %q: %s", got, l.shown())
				}
			}
			for _, m := range ravis.held {
				if m.Action == "delete" {
					t.Errorf("the joinery is told what the bakery deletes: %s", m.Payload)
				}
			}
			if got := leaks(beas.shown(), alder); got != "" || strings.Contains(beas.shown(), "joinery") {
				t.Errorf("the bakery sees %q: %s", got, beas.shown())
			}
			if got := foreign.shown(); got != "[]" {
				t.Errorf("the joinery sees a board of the bakery's: %s", got)
			}
			if !strings.Contains(olgas.shown(), "only for the joinery") || !strings.Contains(olgas.shown(), "only for the bakery") {
				t.Errorf("the operator does not see all: %s", olgas.shown())
			}
		})
	}
}
