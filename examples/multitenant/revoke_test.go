package main

import (
	"database/sql"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSuspension: who is suspended is told so where they are connected, before
// the admin has the answer, and sees nothing of what is written then.
func TestSuspension(t *testing.T) {
	for name, follow := range over {
		t.Run(name, func(t *testing.T) {
			r := open(t)
			ada, ravi, bea := r.signIn("ada"), r.signIn("ravi"), r.signIn("bea")
			his, hers, others := follow(ravi, "tasks"), follow(ada, "tasks"), follow(bea, "tasks")
			for _, l := range []*live{his, hers, others} {
				l.untilAction("sync")
			}
			ada.want(http.StatusNoContent, "PUT", "people/ravi/suspension", "")
			ada.want(http.StatusCreated, "POST", "api/tasks", newTask(alder, 1, "not for Ravi"))
			bea.want(http.StatusCreated, "POST", "api/tasks", newTask(brook, 3, "bread"))
			if got := his.untilAction("error").problem().Status; got != http.StatusForbidden {
				t.Errorf("the error is %d", got)
			}
			if strings.Contains(his.shown(), "not for Ravi") {
				t.Error("he was shown what was written after his suspension")
			}
			hers.untilTitle("not for Ravi")
			others.untilTitle("bread")
			if name == "SSE" {
				if m, err := his.next(); err == nil {
					t.Errorf("after the error comes %+v", m)
				}
			}
			// He is still signed in, and nothing is to be seen.
			ravi.want(http.StatusOK, "GET", "session", "")
			ravi.want(http.StatusForbidden, "GET", "api/tasks", "")
			if got := follow(ravi, "tasks").untilAction("error").problem().Status; got != http.StatusForbidden {
				t.Errorf("coming back: %d", got)
			}

			ada.want(http.StatusNoContent, "DELETE", "people/ravi/suspension", "")
			again := follow(ravi, "tasks")
			again.untilAction("sync")
			if !strings.Contains(again.shown(), "not for Ravi") {
				t.Error("he does not see what the others see, after his return")
			}
		})
	}
}

// TestWhoMaySuspend: admins suspend people of their own company.
func TestWhoMaySuspend(t *testing.T) {
	r := open(t)
	ada, ravi, olga := r.signIn("ada"), r.signIn("ravi"), r.signIn("olga")
	ravi.want(http.StatusForbidden, "PUT", "people/ada/suspension", "")
	ada.want(http.StatusNotFound, "PUT", "people/bea/suspension", "")
	ada.want(http.StatusNotFound, "PUT", "people/olga/suspension", "")
	ada.want(http.StatusNotFound, "PUT", "people/eve/suspension", "")
	ada.want(http.StatusUnprocessableEntity, "PUT", "people/ada/suspension", "")
	for _, p := range olga.rows("api/people") {
		if body := olga.want(http.StatusOK, "GET", "api/people/"+p.Name, "").body; strings.Contains(string(body), `"suspended":true`) {
			t.Errorf("%s is suspended", p.Name)
		}
	}
	olga.want(http.StatusNoContent, "PUT", "people/bea/suspension", "")
	r.signIn("bea").want(http.StatusForbidden, "GET", "api/tasks", "")
}

// TestSigningOutEndsStreams: what was opened in a session ends with it, and what
// the same person has open elsewhere goes on.
func TestSigningOutEndsStreams(t *testing.T) {
	for name, follow := range over {
		t.Run(name, func(t *testing.T) {
			r := open(t)
			here, there := r.signIn("ravi"), r.signIn("ravi")
			ada := r.signIn("ada")
			h, th := follow(here, "tasks"), follow(there, "tasks")
			h.untilAction("sync")
			th.untilAction("sync")
			here.want(http.StatusNoContent, "DELETE", "session", "")
			ada.want(http.StatusCreated, "POST", "api/tasks", newTask(alder, 1, "after he left"))
			if got := h.untilAction("error").problem().Status; got != http.StatusUnauthorized {
				t.Errorf("the error is %d", got)
			}
			if strings.Contains(h.shown(), "after he left") {
				t.Error("the session that is over is shown more")
			}
			th.untilTitle("after he left")
		})
	}
}

// TestRightsChangeElsewhere: rights are rows, so another process that changes
// them ends streams too.
func TestRightsChangeElsewhere(t *testing.T) {
	r := open(t)
	outside, err := sql.Open("sqlite", "file:"+r.file+"?_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = outside.Close() }()
	write := func(statement string) {
		t.Helper()
		if _, err := outside.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	ravi, ada := r.signIn("ravi"), r.signIn("ada")
	tasks, people := ravi.socket("tasks"), ada.stream("people")
	tasks.untilAction("sync")
	people.untilAction("sync")

	// Another company: the same stream goes on with what he may see now.
	write("UPDATE people SET tenant_id = 'brook' WHERE name = 'ravi'")
	m := tasks.untilAction("sync")
	if got := leaks(string(m.Payload), alder); got != "" || !strings.Contains(string(m.Payload), titles(brook)[0]) {
		t.Errorf("moved to the bakery he sees %q: %s", got, m.Payload)
	}
	people.untilAction("delete")

	// A reader now, and so not to see people.
	write("UPDATE people SET role = 'reader' WHERE name = 'ada'")
	if got := people.untilAction("error").problem().Status; got != http.StatusForbidden {
		t.Errorf("not an admin any more: %d", got)
	}
	write("DELETE FROM people WHERE name = 'ravi'")
	if got := tasks.untilAction("error").problem().Status; got != http.StatusUnauthorized {
		t.Errorf("not there any more: %d", got)
	}
}

// TestMembersAreShared: people who may see the same share one member, whatever
// they follow it with.
func TestMembersAreShared(t *testing.T) {
	r := open(t)
	var open []*live
	follow := func(names ...string) {
		for _, name := range names {
			u := r.signIn(name)
			open = append(open, u.stream("tasks"), u.socket("tasks"))
		}
		for _, l := range open[len(open)-2*len(names):] {
			l.untilAction("sync")
		}
	}
	follow("ada", "ravi", "ada")
	if f := r.family("tasks"); f.Alive != 1 || f.InUse != 1 || f.Opened != 1 {
		t.Errorf("six streams of one company: %+v", f)
	}
	follow("bea", "tom")
	if f := r.family("tasks"); f.Alive != 2 || f.Opened != 2 {
		t.Errorf("ten streams of two companies: %+v", f)
	}
	follow("olga") // no scope: the binding itself
	r.signIn("ravi").rows("api/tasks")
	if f := r.family("tasks"); f.Alive != 2 || f.Opened != 2 {
		t.Errorf("the operator, and a list: %+v", f)
	}
}

// TestHeldRequests: a request that waits for news ends when it may not be told
// them any more.
func TestHeldRequests(t *testing.T) {
	r := open(t)
	ada, ravi := r.signIn("ada"), r.signIn("ravi")
	tag := ravi.want(http.StatusOK, "GET", "api/tasks", "").header.Get("Etag")
	request := ravi.request(t.Context(), "GET", "api/tasks", "", "If-None-Match", tag, "Prefer", "wait=50")
	held := make(chan string, 1)
	go func() {
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			held <- err.Error()
			return
		}
		_ = resp.Body.Close()
		held <- resp.Status
	}()
	// In use once more is the member that the list has left: the request has
	// come. Whether it waits already makes no difference to what it is told.
	for deadline := time.Now().Add(patience); r.family("tasks").InUse == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the request never came")
		}
	}
	ada.want(http.StatusNoContent, "PUT", "people/ravi/suspension", "")
	if got := <-held; got != "403 Forbidden" {
		t.Errorf("the answer is %s", got)
	}
}
