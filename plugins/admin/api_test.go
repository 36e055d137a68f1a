package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/plugins/admin"
)

type problem struct {
	Type, Title, Detail string
	Status              int
	Known               []string
}

type bindingStatus struct {
	Name, State, Version, Scope string
	Params                      map[string]any
	Rows                        int
}

// TestStatus: all lists are there, and arrays.
func TestStatus(t *testing.T) {
	d := newDesk(t, admin.Config{Token: token})
	var st map[string]json.RawMessage
	d.do(200, "GET", "/admin/api/status", &st)
	for _, name := range []string{"bindings", "families", "sources", "tables", "transports"} {
		var list []map[string]any
		if err := json.Unmarshal(st[name], &list); err != nil || len(list) == 0 {
			t.Errorf("%s: %v, %s", name, err, st[name])
		}
	}
	var process map[string]any
	if err := json.Unmarshal(st["process"], &process); err != nil || process["pid"] == nil || process["uptime"] == nil {
		t.Errorf("process: %v %s", err, st["process"])
	}
	var alone []bindingStatus
	d.do(200, "GET", "/admin/api/bindings", &alone)
	if len(alone) != 1 || alone[0].Name != "items" || alone[0].State != "live" || alone[0].Rows != 2 || alone[0].Version != d.items.Version().Token {
		t.Errorf("bindings: %+v", alone)
	}
	if w := d.do(200, "HEAD", "/admin/api/status", nil); w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control %q", w.Header().Get("Cache-Control"))
	}
}

// TestBumpWithoutDatabase: a bump needs no read.
func TestBumpWithoutDatabase(t *testing.T) {
	d := newDesk(t, admin.Config{Token: token})
	d.table.Fail(errors.New("away"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_ = d.source.Report(ctx, d.table.Put(item{4, "b", true}))
	for range 3 {
		before := d.items.Version()
		var done struct {
			Bindings []struct{ Pending bool }
		}
		d.do(200, "POST", "/admin/api/bindings/*/bump", &done)
		if now := d.items.Version(); len(done.Bindings) != 1 || done.Bindings[0].Pending || now.Token != before.Token || now.Seq == before.Seq {
			t.Errorf("%+v; %+v before, %+v now", done, before, now)
		}
	}
	d.table.Fail(nil)
}

// TestBump: the date moves, the token stays, and subscribers are told once.
func TestBump(t *testing.T) {
	d := newDesk(t, admin.Config{Token: token})
	before := d.items.Version()
	var got struct {
		Bump     struct{ Bindings int }
		Bindings []bindingStatus
	}
	d.do(200, "POST", "/admin/api/bindings/items/bump", &got)
	now := d.items.Version()
	if got.Bump.Bindings != 1 || got.Bindings[0].Version != before.Token || now.Token != before.Token || !now.Modified.After(before.Modified) {
		t.Errorf("bump: %+v; %v, then %v", got, before, now)
	}
}

// TestDrift: what nobody has reported is found by verify, and read by sync and
// clear.
func TestDrift(t *testing.T) {
	type verified struct {
		Verify   map[string]int
		Bindings []struct {
			Name  string
			Drift struct {
				Missing, Extra, Changed int
				MissingKeys             []string `json:"missing_keys"`
				ExtraKeys               []string `json:"extra_keys"`
				ChangedKeys             []string `json:"changed_keys"`
			}
		}
	}
	for _, name := range []string{"items", "*"} {
		d := newDesk(t, admin.Config{Token: token})
		var got verified
		w := d.do(200, "POST", "/admin/api/bindings/"+name+"/verify", &got)
		if !strings.Contains(w.Body.String(), `"verify":{"missing":0,"extra":0,"changed":0}`) {
			t.Errorf("nothing differs: %s", w.Body)
		}
		d.table.Put(item{9, "new", true}, item{1, "other", true})
		d.table.Remove(driver.KeyOf(2))
		got = verified{}
		d.do(200, "POST", "/admin/api/bindings/"+name+"/verify", &got)
		drift := got.Bindings[0].Drift
		if got.Verify["missing"] != 1 || got.Verify["extra"] != 1 || got.Verify["changed"] != 1 ||
			!slices.Equal(drift.MissingKeys, []string{"9"}) || !slices.Equal(drift.ExtraKeys, []string{"2"}) || !slices.Equal(drift.ChangedKeys, []string{"1"}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, verb := range []string{"sync", "clear"} {
		d := newDesk(t, admin.Config{Token: token})
		var got map[string]json.RawMessage
		token := d.items.Version().Token
		d.do(200, "POST", "/admin/api/bindings/items/"+verb, &got)
		if string(got[verb]) != `{"bindings":1,"changed":0}` || d.items.Version().Token != token {
			t.Errorf("%s of the same: %s", verb, got[verb])
		}
		d.table.Put(item{9, "new", true})
		d.do(200, "POST", "/admin/api/bindings/items/"+verb, &got)
		if _, ok := d.items.Get(9); !ok || string(got[verb]) != `{"bindings":1,"changed":1}` {
			t.Errorf("%s: %s", verb, got[verb])
		}
	}
}

// TestMembers: parameters name a member, which comes alive for it; without them
// all members that are alive are meant; those of scopes are told apart.
func TestMembers(t *testing.T) {
	d := newDesk(t, admin.Config{Token: token})
	var got struct {
		Sync     struct{ Bindings int }
		Bindings []bindingStatus
	}
	d.do(200, "POST", "/admin/api/bindings/named/sync", &got)
	if got.Sync.Bindings != 0 || got.Bindings == nil {
		t.Errorf("no member is alive: %+v", got)
	}
	d.do(200, "POST", "/admin/api/bindings/named/sync?name=a", &got)
	if got.Sync.Bindings != 1 || got.Bindings[0].Rows != 2 || got.Bindings[0].Params["name"] != "a" {
		t.Errorf("a member: %+v", got)
	}
	other, err := d.named.Open(t.Context(), core.Args{"name": "b"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	d.do(200, "POST", "/admin/api/bindings/named/sync", &got)
	if got.Sync.Bindings != 2 {
		t.Errorf("all members: %+v", got)
	}
	var p problem
	d.do(400, "POST", "/admin/api/bindings/named/sync?nam=a", &p)
	if !strings.Contains(p.Detail, "name") {
		t.Errorf("a wrong parameter: %+v", p)
	}
	d.do(400, "POST", "/admin/api/bindings/named/sync?name=a&name=b", nil)
	d.do(400, "POST", "/admin/api/bindings/items/sync?name=a", nil)
	d.do(400, "POST", "/admin/api/bindings/*/sync?name=a", nil)
	d.do(400, "GET", "/admin/api/bindings/named/explain?key=1", nil)
	var ex struct{ In bool }
	d.do(200, "GET", "/admin/api/bindings/named/explain?name=a&key=1", &ex)
	if !ex.In {
		t.Error("row 1 is not in named?name=a")
	}

	// A client's filter makes a member of items.
	grant, err := d.reg.Open(t.Context(), "items", nil, filter.Eq("id", 2))
	if err != nil {
		t.Fatal(err)
	}
	defer grant.Close()
	<-grant.View().Loaded()
	var list []bindingStatus
	d.do(200, "GET", "/admin/api/bindings", &list)
	i := slices.IndexFunc(list, func(b bindingStatus) bool { return b.Name == "items" && b.Scope != "" })
	if i < 0 {
		t.Fatalf("the member is not listed: %+v", list)
	}
	scope := strings.ReplaceAll(list[i].Scope, " ", "%20")
	d.do(200, "POST", "/admin/api/bindings/items/bump", &got)
	if len(got.Bindings) != 2 {
		t.Errorf("items with its members: %+v", got.Bindings)
	}
	for target, rows := range map[string]int{"?scope=": 2, "?scope=" + scope: 1} {
		d.do(200, "POST", "/admin/api/bindings/items/bump"+target, &got)
		if len(got.Bindings) != 1 || got.Bindings[0].Rows != rows {
			t.Errorf("%s: %+v", target, got.Bindings)
		}
	}
	d.do(200, "GET", "/admin/api/bindings/items/explain?key=1&scope="+scope, &ex)
	if ex.In {
		t.Error("row 1 is in the member that shows row 2")
	}
	d.do(404, "POST", "/admin/api/bindings/items/bump?scope=other", nil)
}

// TestExplain: the answer is as the protocol has it.
func TestExplain(t *testing.T) {
	d := newDesk(t, admin.Config{Token: token})
	for key, want := range map[string]string{
		"3": `{"in":false,"why":[{"filter":"live = true","value":false,"holds":false}],`,
		"1": `{"in":true,"why":[{"filter":"live = true","value":true,"holds":true}],`,
		"7": `{"in":false,"why":[{"row":"absent","holds":false}],`,
	} {
		if w := d.do(200, "GET", "/admin/api/bindings/items/explain?key="+key, nil); !strings.HasPrefix(w.Body.String(), want) || !strings.Contains(w.Body.String(), `"sources":[{"name":"coretest"`) {
			t.Errorf("key %s: %s", key, w.Body)
		}
	}
	for _, query := range []string{"", "?key=", "?key=x", "?key=1,2", "?key=1&key=2", "?key=1&x=y"} {
		d.do(400, "GET", "/admin/api/bindings/items/explain"+query, nil)
	}
	d.do(400, "GET", "/admin/api/bindings/*/explain?key=1", nil)
}

// TestUnknown: what is not there is answered with what there is.
func TestUnknown(t *testing.T) {
	d := newDesk(t, admin.Config{Token: token})
	var p problem
	for _, c := range [][2]string{{"POST", "nothing/bump"}, {"POST", "%2F/sync"}, {"GET", "nothing/explain?key=1"}} {
		d.do(404, c[0], "/admin/api/bindings/"+c[1], &p)
		if p.Type != "urn:bindery:problem:unknown-binding" || !slices.Equal(p.Known, []string{"items", "named"}) || !strings.Contains(p.Detail, "items, named") {
			t.Errorf("%v: %+v", c, p)
		}
	}
	d.do(404, "POST", "/admin/api/bindings/items/explode", &p)
	if !slices.Contains(p.Known, "verify") {
		t.Errorf("an unknown operation: %+v", p)
	}
	d.do(404, "GET", "/admin/api/nothing", nil)
	d.do(404, "GET", "/admin/nothing", nil)
	for _, c := range [][3]string{{"GET", "bindings/items/bump", "POST"}, {"POST", "status", "GET, HEAD"}, {"POST", "bindings/items/explain?key=1", "GET, HEAD"}, {"DELETE", "bindings", "GET, HEAD"}} {
		if w := d.do(405, c[0], "/admin/api/"+c[1], nil); w.Header().Get("Allow") != c[2] {
			t.Errorf("%v: Allow %q", c, w.Header().Get("Allow"))
		}
	}
}

// TestDatabaseAway: an operation that cannot be done in time says so.
func TestDatabaseAway(t *testing.T) {
	d := newDesk(t, admin.Config{Token: token, Timeout: 50 * time.Millisecond})
	release := d.table.Hold()
	defer release()
	var p problem
	d.do(503, "POST", "/admin/api/bindings/items/sync", &p)
	if p.Type != "urn:bindery:problem:unavailable" {
		t.Errorf("%+v", p)
	}
}

// TestStream: the status comes at once and again, the number of streams is bounded,
// and they end with the registry.
func TestStream(t *testing.T) {
	d := newDesk(t, admin.Config{Token: token, Every: time.Millisecond, MaxStreams: 1})
	srv := httptest.NewServer(d.echo)
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	open := func() *http.Response {
		r, _ := http.NewRequestWithContext(ctx, "GET", srv.URL+"/admin/api/stream", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	res := open()
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	seen := 0
	for seen < 3 && lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var st struct{ Bindings []bindingStatus }
		if err := json.Unmarshal([]byte(data), &st); err != nil || len(st.Bindings) == 0 {
			t.Fatalf("%v: %s", err, data)
		}
		seen++
	}
	if seen < 3 {
		t.Fatalf("the stream ended: %v", lines.Err())
	}
	second := open()
	_ = second.Body.Close()
	if second.StatusCode != 503 || second.Header.Get("Retry-After") == "" {
		t.Errorf("a second stream: %d", second.StatusCode)
	}
	d.stop()
	for lines.Scan() {
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream ended with %v", err)
	}
}
