package sse_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/sse"
)

// withFamilies serves "things" and the families over it.
func withFamilies(t *testing.T, rights *wiretest.Rights) *server {
	t.Helper()
	s := newServer(t, sse.Config{}, "things", "others")
	s.AddFamilies("things")
	if rights != nil {
		s.Guard(rights)
	}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func noted(id int, note string) wiretest.Item { return wiretest.Item{ID: id, Note: note} }

func TestMembersOnOneStream(t *testing.T) {
	s := withFamilies(t, nil)
	s.Put("things", noted(1, "a"), noted(2, "a"), noted(3, "b & c"))
	path := "/events?event=others&event=" + url.QueryEscape("noted?note=a") + "&event=" + url.QueryEscape("noted?note=b+%26+c")
	r := s.open(path, "")
	defer r.close()
	var last string
	got := map[string]int{}
	for range 3 {
		e := r.must()
		m := e.message(t)
		got[m.Event+string(m.Params)] = len(m.Rows())
		last = e.id
	}
	if len(got) != 3 || got[`noted{"note":"a"}`] != 2 || got[`noted{"note":"b \u0026 c"}`] != 1 {
		t.Errorf("got %v", got)
	}
	r.close()
	s.Put("things", noted(2, "b & c"))
	r = s.open(path, last)
	defer r.close()
	actions := map[string]string{}
	for range 3 {
		m := r.must().message(t)
		actions[m.Event+string(m.Params)] = m.Action + string(m.Payload)
	}
	if actions["others"] != `sync"ok"` || actions[`noted{"note":"a"}`] != `delete[{"id":2}]` || !strings.HasPrefix(actions[`noted{"note":"b \u0026 c"}`], `create[{"id":2,`) {
		t.Errorf("resumed: %v", actions)
	}
}

func TestRefusalsOfMembers(t *testing.T) {
	s := withFamilies(t, nil)
	for path, named := range map[string]string{
		"/events/one":                                    "id",
		"/events/one?id=x":                               "id",
		"/events/one?id=1&colour=red":                    "colour",
		"/events/one?id=1&id=2":                          "id",
		"/events/one?id=1&event=things":                  "event",
		"/events/things?id=1":                            "id",
		"/events?event=things&id=1":                      "id",
		"/events?event=one":                              "id",
		"/events?event=one%3Fid%3D1%26id%3D2":            "id",
		"/events?event=one%3F%25zz":                      "event",
		"/events?event=one%3Fid%3D1&event=one%3Fid%3D01": "event",
	} {
		resp, err := s.http.Client().Get(s.http.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		var p struct{ Errors []struct{ Field string } }
		if err := json.NewDecoder(bytes.NewReader(body)).Decode(&p); err != nil || resp.StatusCode != http.StatusBadRequest || len(p.Errors) != 1 || p.Errors[0].Field != named {
			t.Errorf("%s: %s %s, want %q named", path, resp.Status, body, named)
		}
	}
	wiretest.Eventually(t, "no member is in use", func() bool {
		all := s.Reg.Status().Families
		return all[0].InUse == 0 && all[1].InUse == 0
	})
	resp, err := s.http.Client().Head(s.http.URL + "/events/one?id=1")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
}

func TestWithdrawnRights(t *testing.T) {
	rights := &wiretest.Rights{}
	s := withFamilies(t, rights)
	single, several := s.open("/events/noted?note=a", ""), s.open("/events?event=noted%3Fnote%3Da&event=others", "")
	defer single.close()
	defer several.close()
	single.must()
	several.must()
	several.must()
	rights.Set("noted", core.Deny())
	s.Reauthorize()
	for _, r := range []*reader{single, several} {
		e := r.must()
		if m := e.message(t); m.Action != "error" || m.Status() != 403 || string(m.Params) != `{"note":"a"}` {
			t.Errorf("got %+v", m)
		}
	}
	single.ended()
	s.Put("things", noted(1, "a"))
	s.Put("others", noted(1, ""))
	if m := several.must().message(t); m.Event != "others" || m.Action != "create" {
		t.Errorf("the other binding: %+v", m)
	}
	resp, err := s.http.Client().Get(s.http.URL + "/events/noted?note=a")
	if err != nil || resp.StatusCode != http.StatusForbidden || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
}

// A sync that is under way when rights are withdrawn is not completed.
func TestWithdrawnRightsEndASync(t *testing.T) {
	rights := &wiretest.Rights{}
	s := newServer(t, sse.Config{PageRows: 1}, "long")
	for id := range 300 {
		s.Tables["long"].Put(noted(id, strings.Repeat("x", 64<<10))) // more than sockets buffer
	}
	s.Guard(rights)
	s.start()
	defer s.stop()
	r := s.open("/events/long", "")
	defer r.close()
	r.must()
	rights.Set("long", core.Deny())
	s.Reauthorize()
	for {
		e, err := r.next()
		if errors.Is(err, io.EOF) || err == nil && !e.message(t).More && e.kind != "error" {
			t.Fatal("the sync was completed, or the client was told nothing")
		}
		if e.kind == "error" {
			return
		}
	}
}
