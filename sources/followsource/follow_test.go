package followsource_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/sources/followsource"
)

// history notes every version that bindings have had.
type history struct {
	mu  sync.Mutex
	had map[string]string // the body, by token; guarded by mu
}

func (h *history) Name() string                          { return "history" }
func (h *history) Start(_ ctx, _ *core.Registry) error   { return nil }
func (h *history) Shutdown(ctx) error                    { return nil }
func (h *history) Published(v *live.View, e *live.Event) { h.note(v.Snapshot(), e.Version.Token) }

func (h *history) note(s *live.Snapshot, token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.had == nil {
		h.had = make(map[string]string)
	}
	if s.Version().Token == token { // it runs before the next version is published
		h.had[token] = string(s.Body())
	}
}

// check demands that every version in h is one of the others, with the same rows.
func (h *history) check(t wiretest.TB, others *history) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	others.mu.Lock()
	defer others.mu.Unlock()
	for token, body := range h.had {
		if want, ok := others.had[token]; !ok || body != want {
			t.Errorf("version %s (known: %v) shows %s, want %s", token, ok, body, want)
		}
	}
}

// TestFollowersShowWhatOriginsHad changes a table at random while connections are
// cut and nodes restart. Each version that a follower, and its own follower, show is
// one that the origin has had; in the end all have the same.
func TestFollowersShowWhatOriginsHad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := coretest.NewTable[wiretest.Item]("things", "id")
		source := &coretest.Source{}
		was, middles, leaves := &history{}, &history{}, &history{}
		bind := func() (*core.Registry, *core.Binding[wiretest.Item]) {
			reg, b := quiet(), core.Bind("things", table, core.OrderBy("-name"))
			_, _, _ = reg.Add(b), reg.Watch(source), reg.Use(was)
			return reg, b
		}
		follow := func(of *node, h *history) (*core.Registry, *core.Binding[wiretest.Item], *followsource.Origin) {
			o := followsource.New(of.events(), quick)
			reg, b := quiet(), followsource.Bind[wiretest.Item](o, "things")
			_, _ = reg.Add(b), reg.Use(h)
			return reg, b, o
		}
		reg, b := bind()
		origin := serve(t, reg, "")
		midReg, mid, o1 := follow(origin, middles)
		middle := serve(t, midReg, "")
		leafReg, leaf, o2 := follow(middle, leaves)
		last := serve(t, leafReg, "")
		for range rapid.IntRange(1, 10).Draw(t, "steps") {
			switch rapid.IntRange(0, 6).Draw(t, "what") {
			case 0:
				origin.http.CloseClientConnections()
			case 1:
				middle.http.CloseClientConnections()
			case 2: // the origin restarts; it forgets its log
				at := origin.addr
				origin.stop()
				source = &coretest.Source{}
				reg, b = bind()
				origin = serve(t, reg, at)
			case 3:
				ids := rapid.SliceOfNDistinct(rapid.IntRange(1, 9), 1, 4, rapid.ID[int]).Draw(t, "gone")
				for _, id := range ids {
					_ = source.Report(t.Context(), table.Remove(keyOf(id)))
				}
			default:
				for _, id := range rapid.SliceOfNDistinct(rapid.IntRange(1, 9), 1, 4, rapid.ID[int]).Draw(t, "ids") {
					_ = source.Report(t.Context(), table.Put(wiretest.Item{ID: id, Name: rapid.StringN(0, 3, -1).Draw(t, "name")}))
				}
			}
		}
		<-b.Loaded()
		// What was written while it loaded may lead to another version after that.
		if err := reg.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		reaches(t, midReg, mid.View, b.Version().Token)
		reaches(t, leafReg, leaf.View, b.Version().Token)
		if got, want := slices.Collect(leaf.All()), slices.Collect(b.All()); !slices.Equal(got, want) {
			t.Errorf("the last follower has %v, want %v", got, want)
		}
		for o, reg := range map[*followsource.Origin]*core.Registry{o1: midReg, o2: leafReg} {
			if s := o.Status(); s.Mismatches+s.Resyncs > 0 {
				t.Errorf("%+v", s)
			}
			if all := reg.Status().Origins; len(all) != 1 || all[0].Steps == 0 {
				t.Errorf("the registry says of origins %+v", all)
			}
		}
		last.stop()
		middle.stop()
		origin.stop()
		middles.check(t, was)
		leaves.check(t, was)
	})
}

// get asks a node, with headers.
func get(t wiretest.TB, n *node, path string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+n.addr+path, nil)
	if err != nil {
		t.Fatalf("%v", err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res, string(body)
}

type shelved struct {
	ID    int    `json:"id"`
	Venue string `json:"venue"`
	Rank  int    `json:"rank"`
}

// newShop is an origin with a family, a binding in an order and one in a hidden order.
func newShop(t wiretest.TB, authorize core.Authorizer) (*node, *coretest.Table[shelved], *coretest.Source) {
	table, source := coretest.NewTable[shelved]("shelved", "id"), &coretest.Source{}
	for i := range 9 {
		table.Put(shelved{i, []string{"store", "online"}[i%2], 100 - i})
	}
	reg := quiet()
	_ = reg.Add(
		core.BindFamily("shelf", table, core.Where(filter.Eq("venue", filter.Param("venue"))), core.OrderBy("rank")),
		core.Bind("all", table, core.OrderBy("-venue", "rank"), core.Writable(core.WriteRules{})),
		core.Bind("hidden", table, core.OrderBy("rank"), core.Columns("id", "venue")),
	)
	_ = reg.Watch(source)
	if authorize != nil {
		_ = reg.Authorize(authorize)
	}
	return serve(t, reg, ""), table, source
}

// TestServedOn: what a follower answers over REST is what the origin answers: rows,
// tags, pages, rows by key, members; and writes are refused.
func TestServedOn(t *testing.T) {
	origin, table, source := newShop(t, nil)
	defer origin.stop()
	o := followsource.New(origin.events(), quick)
	reg := quiet()
	all := followsource.Bind[json.RawMessage](o, "all")
	_ = reg.Add(all, followsource.BindFamily[shelved](o, "shelf", core.Where(filter.Eq("venue", filter.Param("venue")))))
	n := serve(t, reg, "")
	defer n.stop()
	<-all.Loaded()
	same := func() {
		t.Helper()
		for _, path := range []string{"/api/all", "/api/all?limit=2&offset=3", "/api/all/4", "/api/shelf?venue=store", "/api/shelf/6?venue=store", "/api/all?limit=3&after="} {
			want, body := get(t, origin, path)
			eventually(t, path+" as the origin has it", func() bool {
				got, have := get(t, n, path)
				return got.StatusCode == want.StatusCode && have == body && got.Header.Get("Etag") == want.Header.Get("Etag") && got.Header.Get("X-Total-Count") == want.Header.Get("X-Total-Count")
			})
			if want.StatusCode == 200 {
				if res, _ := get(t, n, path, "If-None-Match", want.Header.Get("Etag")); res.StatusCode != http.StatusNotModified {
					t.Errorf("%s with the origin's tag: %d", path, res.StatusCode)
				}
			}
		}
	}
	same()
	_ = source.Report(t.Context(), table.Put(shelved{4, "store", 1}, shelved{12, "store", 2}), table.Remove(keyOf(0)))
	same()
	for path, want := range map[string]int{
		"/api/shelf": 400, "/api/shelf?venue=a&x=1": 400, "/api/all/77": 404, "/api/none": 404,
	} {
		if res, body := get(t, n, path); res.StatusCode != want {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
	res, err := http.Post("http://"+n.addr+"/api/all", "application/json", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") == "" {
		t.Errorf("POST: %d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
	if s := o.Status(); s.Mismatches > 0 || s.Syncs == 0 {
		t.Errorf("%+v", s)
	}
}

// TestHiddenOrder: places that clients are not shown are not told.
func TestHiddenOrder(t *testing.T) {
	origin, _, _ := newShop(t, nil)
	defer origin.stop()
	o := followsource.New(origin.events(), quick)
	reg := quiet()
	hidden := followsource.Bind[shelved](o, "hidden")
	_ = reg.Add(hidden)
	n := serve(t, reg, "")
	defer n.stop()
	eventually(t, "refused", func() bool {
		st := hidden.Status()
		return st.State == status.Loading && st.Err != nil && strings.Contains(st.Err.Error(), "do not show by what they are ordered")
	})
	if res, _ := get(t, n, "/api/hidden"); res.StatusCode != 503 {
		t.Errorf("%d", res.StatusCode)
	}
}

// TestRights: a follower sees what its credential may see, and a refusal reaches
// those who ask for a member.
func TestRights(t *testing.T) {
	var mu sync.Mutex
	allowed := map[string]bool{"store": true}
	origin, _, _ := newShop(t, core.AuthorizerFunc(func(_ ctx, a core.Access) (core.Decision, error) {
		venue, member := a.Params.Get("venue")
		mu.Lock()
		defer mu.Unlock()
		switch {
		case !member:
			return core.AllowWhere(filter.Eq("venue", "online")), nil
		case allowed[venue.String()]:
			return core.Allow(), nil
		}
		return core.Deny(), nil
	}))
	defer origin.stop()
	o := followsource.New(origin.events(), quick)
	reg := quiet()
	all := followsource.Bind[shelved](o, "all")
	_ = reg.Add(all, followsource.BindFamily[shelved](o, "shelf", core.Where(filter.Eq("venue", filter.Param("venue")))))
	n := serve(t, reg, "")
	defer n.stop()
	<-all.Loaded()
	for r := range all.All() {
		if r.Venue != "online" {
			t.Errorf("shows %v", r)
		}
	}
	if res, body := get(t, n, "/api/shelf?venue=online"); res.StatusCode != 403 {
		t.Errorf("a member that is denied: %d %s", res.StatusCode, body)
	}
	if res, body := get(t, n, "/api/shelf?venue=store"); res.StatusCode != 200 {
		t.Errorf("a member that is allowed: %d %s", res.StatusCode, body)
	}
	mu.Lock()
	allowed["online"] = true
	mu.Unlock()
	if res, body := get(t, n, "/api/shelf?venue=online"); res.StatusCode != 200 {
		t.Errorf("after a change of rights: %d %s", res.StatusCode, body)
	}
}

// TestAway: while the origin is away rows are served and called stale; Start does not
// wait for it, and nothing is resent when it comes back unchanged.
func TestAway(t *testing.T) {
	origin, table, source := newShop(t, nil)
	at := origin.addr
	o := followsource.New(origin.events(), quick)
	reg := quiet()
	all := followsource.Bind[shelved](o, "all")
	_ = reg.Add(all)
	n := serve(t, reg, "")
	defer n.stop()
	<-all.Loaded()
	sub := all.Subscribe(live.SubscribeOptions{})
	defer sub.Close()
	if e, err := sub.Next(t.Context()); err != nil || e.Kind != live.Synced {
		t.Fatalf("%v, %v", e, err)
	}
	token := all.Version().Token
	origin.stop()
	eventually(t, "stale", func() bool { st := all.Status(); return st.State == status.Stale && st.Err != nil })
	if rd := reg.Ready(); !rd.Ready || !slices.Equal(rd.Stale, []string{"all"}) {
		t.Errorf("%+v", rd)
	}
	if res, _ := get(t, n, "/api/all"); res.StatusCode != 200 {
		t.Errorf("away: %d", res.StatusCode)
	}

	back := quiet()
	_, _ = back.Add(core.Bind("all", table, core.OrderBy("-venue", "rank"), core.Writable(core.WriteRules{}))), back.Watch(source)
	origin = serve(t, back, at)
	defer origin.stop()
	reaches(t, reg, all.View, token)
	if e, err := sub.Poll(); e != nil || err != nil {
		t.Errorf("told of %+v, %v", e, err)
	}
	if s := o.Status(); s.Syncs != 1 {
		t.Errorf("%+v", s)
	}
	_ = source.Report(t.Context(), table.Put(shelved{1, "online", 3}))
	if e, err := sub.Next(t.Context()); err != nil || e.Kind != live.Changed || len(e.Updated) != 1 {
		t.Errorf("%+v, %v", e, err)
	}
}

// TestStaleDownTheTree: who follows a follower is told that its rows may be old.
func TestStaleDownTheTree(t *testing.T) {
	origin, table, source := newShop(t, nil)
	at := origin.addr
	follow := func(of *node) (*core.Registry, *core.Binding[shelved]) {
		reg, b := quiet(), followsource.Bind[shelved](followsource.New(of.events(), quick), "all")
		_ = reg.Add(b)
		return reg, b
	}
	midReg, mid := follow(origin)
	middle := serve(t, midReg, "")
	defer middle.stop()
	<-mid.Loaded()
	leafReg, leaf := follow(middle)
	last := serve(t, leafReg, "")
	defer last.stop()
	<-leaf.Loaded()
	origin.stop()
	eventually(t, "stale at the last", func() bool { st := leaf.Status(); return st.State == status.Stale && st.Err != nil })
	lateReg, late := follow(middle) // it comes while that is so
	other := serve(t, lateReg, "")
	defer other.stop()
	<-late.Loaded()
	eventually(t, "stale at one that comes late", func() bool { return late.Status().State == status.Stale })
	back := quiet()
	_, _ = back.Add(core.Bind("all", table, core.OrderBy("-venue", "rank"), core.Writable(core.WriteRules{}))), back.Watch(source)
	origin = serve(t, back, at)
	defer origin.stop()
	eventually(t, "live again", func() bool { return leaf.Status().State == status.Live && late.Status().State == status.Live })
}

// TestVerbs: what operators do to a binding works on a follower.
func TestVerbs(t *testing.T) {
	origin, _, _ := newShop(t, nil)
	o := followsource.New(origin.events(), quick)
	reg := quiet()
	all := followsource.Bind[shelved](o, "all")
	if err := all.Resync(t.Context()); err == nil {
		t.Error("Resync before the start")
	}
	_ = reg.Add(all)
	n := serve(t, reg, "")
	defer n.stop()
	<-all.Loaded()
	before := all.Version()
	told := all.Subscribe(live.SubscribeOptions{Version: before.Token})
	defer told.Close()
	_, _ = told.Poll()
	for name, do := range map[string]func() error{
		"Resync": func() error { return all.Resync(t.Context()) },
		"Verify": func() error { _, err := all.Verify(t.Context()); return err },
		"Flush":  func() error { return reg.Flush(t.Context()) },
		"all":    func() error { return reg.Resync(t.Context()) },
	} {
		if err := do(); err != nil || all.Version() != before {
			t.Errorf("%s: %v, from %v to %v", name, err, before, all.Version())
		}
	}
	if e, err := told.Poll(); e != nil || err != nil {
		t.Errorf("subscribers are told of %+v, %v", e, err)
	}
	sub := all.Subscribe(live.SubscribeOptions{Version: before.Token})
	defer sub.Close()
	_, _ = sub.Poll()
	if err := all.Clear(t.Context()); err != nil {
		t.Errorf("Clear: %v", err)
	}
	if e, err := sub.Next(t.Context()); err != nil || e.Kind != live.Synced || e.Version.Token != before.Token {
		t.Errorf("after Clear: %+v, %v", e, err)
	}
	if err := all.Touch(); err != nil || all.Version().Seq <= before.Seq {
		t.Errorf("Touch: %v", err)
	}
	if ex, err := all.Explain(t.Context(), keyOf(3)); err != nil || !ex.In || len(ex.Why) != 1 {
		t.Errorf("Explain: %+v, %v", ex, err)
	}
	// What this node commits says nothing about what the origin has.
	mark, err := reg.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Reach(t.Context(), mark, all.View); !errors.Is(err, core.ErrForeignMark) { // the origin says so
		t.Errorf("Reach: %v", err)
	}
	origin.stop()
	if err := reg.Resync(t.Context()); err != nil { // nobody is waited for who is away
		t.Errorf("Resync of all: %v", err)
	}
	if err := reg.Remove(t.Context(), "all"); err != nil {
		t.Errorf("Remove: %v", err)
	}
}

// TestDeclarations: what an origin decides cannot be declared.
func TestDeclarations(t *testing.T) {
	o := followsource.New("http://127.0.0.1:1/events")
	reg := quiet()
	_ = reg.Add(
		followsource.Bind[shelved](o, "a", core.Limit(3), core.OrderBy("id"), core.Where(filter.Eq("id", 1))),
		followsource.Bind[shelved](o, "b", core.Writable(core.WriteRules{})),
		followsource.Bind[shelved](followsource.New("nowhere"), "c"),
		followsource.Bind[shelved](followsource.New("http://x/events", quick, quick), "d"),
		followsource.Bind[shelved](nil, "e"),
		followsource.BindFamily[shelved](o, "f"),
	)
	err := reg.Start(t.Context())
	for _, want := range []string{"a limit", "an order", "a filter", "does not write", "is no URL", "more than one", "origin is nil", "needs parameters"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if err := reg.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
