package jsclient_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/transports/transporttest/browsertest"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// newBrowser starts a headless Chromium. Each call of the function that it
// returns opens a tab.
func newBrowser(t *testing.T) (tab func(t *testing.T) context.Context) {
	t.Helper()
	return browsertest.New(t, 1280, 900).NewTab
}

// visit opens the shop's empty page.
func visit(t *testing.T, s *shop, tab context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, 60*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.Navigate("http://"+s.addr+"/page")); err != nil {
		t.Fatalf("opening the page: %v", err)
	}
}

// run runs the body of an async function in the page, and returns its result.
func run(t *testing.T, tab context.Context, body string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, 60*time.Second)
	defer cancel()
	var result any
	err := chromedp.Run(ctx, chromedp.Evaluate("(async () => {"+body+"\n})().then((x) => x ?? null)", &result, func(p *runtime.EvaluateParams) *runtime.EvaluateParams {
		return p.WithAwaitPromise(true)
	}))
	if err != nil {
		t.Fatalf("in the page: %v\n%s", err, body)
	}
	text, ok := result.(string)
	if !ok {
		b, _ := json.Marshal(result) // it came as JSON
		return string(b)
	}
	return text
}

// shows waits until an expression in the page is true.
func shows(t *testing.T, tab context.Context, what, expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, 60*time.Second)
	defer cancel()
	err := chromedp.Run(ctx, chromedp.Poll(expression, nil, chromedp.WithPollingInterval(10*time.Millisecond), chromedp.WithPollingTimeout(0)))
	if err != nil {
		state := run(t, tab, `return JSON.stringify(window.shown ? Object.values(shown).map((c) => c.state) : document.body.innerText)`)
		t.Fatalf("never: %s: %v\nthe page has %.2000s", what, err, state)
	}
}

// connect opens a client in the page, quick to reconnect, and a collection of
// each name. The page notes every version that a collection shows.
func connect(t *testing.T, tab context.Context, options string, names ...string) {
	t.Helper()
	list, _ := json.Marshal(names) // strings always marshal
	run(t, tab, `
		const { connect } = await import("/bindery/bindery.js");
		window.skew = 0;
		window.client = connect("/", { backoff: 20, maxBackoff: 200, clock: { now: () => Date.now() + skew }, ...`+options+` });
		window.shown = {};
		window.seen = [];
		window.open = (name) => {
			const c = shown[name] = client.collection(name);
			// While a write is laid over them, the rows are not those of the version.
			c.on("version", () => c.pending || seen.push([c.version, JSON.stringify(c.rows)]));
		};
		for (const name of `+string(list)+` ?? []) open(name);`)
}

// agrees waits until the page shows what the server has, and holds every version
// that it showed on the way against the server's history.
func agrees(t *testing.T, s *shop, tab context.Context, names ...string) {
	t.Helper()
	for _, name := range names {
		rows, version := s.now(name)
		shows(t, tab, name+" at "+version, fmt.Sprintf(`shown[%q].version === %q && shown[%q].status === "live"`, name, version, name))
		if got := run(t, tab, fmt.Sprintf(`return JSON.stringify(shown[%q].rows)`, name)); !sameJSON(t, got, rows) {
			t.Errorf("%s: the page has\n%s\nthe server\n%s", name, got, rows)
		}
	}
	var seen [][2]string
	if err := json.Unmarshal([]byte(run(t, tab, `return JSON.stringify(seen.splice(0))`)), &seen); err != nil {
		t.Fatal(err)
	}
	for _, state := range seen {
		want, known := s.history.at(state[0])
		for deadline := time.Now().Add(60 * time.Second); !known && time.Now().Before(deadline); want, known = s.history.at(state[0]) {
			time.Sleep(time.Millisecond) // plugins see a version after the clients
		}
		if !known || !sameJSON(t, state[1], want) {
			t.Errorf("at %s the page showed\n%s\nthe server had (%t)\n%s", state[0], state[1], known, want)
		}
	}
}

// sameJSON compares two texts of JSON by value: numbers are spelled differently.
func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	normal := func(s string) string {
		var v any
		if err := json.Unmarshal([]byte(s), &v); err != nil {
			t.Fatalf("%v: %.200s", err, s)
		}
		out, _ := json.Marshal(v) // it came from JSON
		return string(out)
	}
	return normal(a) == normal(b)
}

// names are hard to order: by code points and not by UTF-16 units.
var names = []string{"Abbey", "abbey", "Zooropa", "Élan", "～wide", "😀 smile", "", "Ab", "blue", "9", "10", "2026-01-01T00:00:00Z"}

func someProduct(rnd *rand.Rand, id int) product {
	p := product{ID: id, Name: names[rnd.IntN(len(names))], Seen: time.Unix(1_700_000_000, int64(rnd.IntN(5))*250_000_000).UTC()}
	if rnd.IntN(4) > 0 {
		price := float64(rnd.IntN(2000)) / 100
		p.Price = &price
	}
	return p
}

// change writes at random: some rows new or changed, some gone.
func (s *shop) change(rnd *rand.Rand) {
	s.t.Helper()
	var rows []product
	for range 1 + rnd.IntN(12) {
		rows = append(rows, someProduct(rnd, 1+rnd.IntN(40)))
	}
	changes := []driver.Change{s.products.Put(rows...)}
	for range rnd.IntN(4) {
		changes = append(changes, s.products.Remove(driver.KeyOf(1+rnd.IntN(40))))
	}
	list, number := 1+rnd.IntN(3), 1+rnd.IntN(3)
	if rnd.IntN(3) == 0 {
		changes = append(changes, s.tracks.Remove(driver.KeyOf(list, number)))
	} else {
		changes = append(changes, s.tracks.Put(track{list, number, names[rnd.IntN(len(names))]}))
	}
	s.report(changes...)
}

// TestBrowser drives the client in a real browser, against a real server.
func TestBrowser(t *testing.T) {
	newTab := newBrowser(t)
	all := []string{"products", "cheapest", "latest", "tracks"}

	for _, kind := range []struct{ name, options string }{
		{"websocket", `{ sse: false }`},
		{"sse", `{ websocket: false }`},
		{"poll", `{ transport: "poll" }`},
	} {
		t.Run(kind.name, func(t *testing.T) {
			s := openShop(t)
			s.start()
			defer func() { s.kill() }()
			rnd := rand.New(rand.NewPCG(1, uint64(len(kind.name))))
			for range 5 {
				s.change(rnd)
			}
			tab := newTab(t)
			visit(t, s, tab)
			connect(t, tab, kind.options, all...)
			agrees(t, s, tab, all...)
			if got := run(t, tab, `return client.transport`); got != kind.name {
				t.Errorf("transport %s", got)
			}

			price := 0.01
			s.put(product{ID: 99, Name: "new", Price: &price, Seen: time.Unix(1_800_000_000, 0).UTC()})
			agrees(t, s, tab, all...)
			if got := run(t, tab, `return shown.latest.rows[0].id + " " + shown.products.get(99).name`); got != "99 new" {
				t.Errorf("created: %s", got)
			}
			s.put(product{ID: 99, Name: "😀", Price: &price, Seen: time.Unix(1_600_000_000, 0).UTC()})
			agrees(t, s, tab, all...)
			s.remove(99)
			agrees(t, s, tab, all...)

			// Connections break, and servers crash and come back, while rows are written.
			for round := range 8 {
				for range rnd.IntN(4) {
					s.change(rnd)
				}
				if round%2 == 0 {
					s.link.each((*conn).cut)
				} else {
					s.kill()
					shows(t, tab, "that the rows may be old", `shown.products.status === "stale"`)
					for range rnd.IntN(4) {
						s.change(rnd)
					}
					s.start()
				}
				for range rnd.IntN(4) {
					s.change(rnd)
				}
				agrees(t, s, tab, all...)
			}

			// One is left, the others go on.
			run(t, tab, `shown.cheapest.close()`)
			s.change(rnd)
			agrees(t, s, tab, "products", "latest", "tracks")
			if got := run(t, tab, `return shown.cheapest.status`); got != "closed" {
				t.Errorf("closed: %s", got)
			}
			run(t, tab, `window.open("cheapest")`)
			agrees(t, s, tab, all...)
			run(t, tab, `client.close()`)
		})
	}

	for _, options := range []string{`{ sse: false }`, `{ websocket: false }`, `{ transport: "poll", pollWait: 0, pollInterval: 30 }`} {
		t.Run("members "+options, func(t *testing.T) { testMembers(t, newTab(t), options) })
	}

	t.Run("fallback", func(t *testing.T) {
		s := openShop(t)
		s.noSocket.Store(true)
		s.start()
		defer func() { s.kill() }()
		rnd := rand.New(rand.NewPCG(3, 3))
		s.change(rnd)
		tab := newTab(t)
		visit(t, s, tab)
		connect(t, tab, `{ upgradeInterval: 300 }`, all...)
		agrees(t, s, tab, all...)
		if got := run(t, tab, `return client.transport`); got != "sse" {
			t.Errorf("transport %s where WebSockets are refused", got)
		}
		s.change(rnd)
		agrees(t, s, tab, all...)
		s.noSocket.Store(false)
		shows(t, tab, "a WebSocket in the stream's place", `client.transport === "websocket"`)
		s.change(rnd)
		agrees(t, s, tab, all...)
		run(t, tab, `client.close()`)
	})

	// The machine sleeps; meanwhile the network forgets its connections, and
	// neither end is told.
	t.Run("sleep", func(t *testing.T) {
		s := openShop(t)
		s.start()
		defer func() { s.kill() }()
		rnd := rand.New(rand.NewPCG(4, 4))
		s.change(rnd)
		tab := newTab(t)
		visit(t, s, tab)
		connect(t, tab, `{ probeTimeout: 300 }`, all...)
		agrees(t, s, tab, all...)
		s.link.each((*conn).hush)
		s.change(rnd)
		run(t, tab, `skew += 3_600_000`)
		agrees(t, s, tab, all...)
		run(t, tab, `client.close()`)
	})

	t.Run("docs", func(t *testing.T) { testDocs(t, newTab) })
}

// testMembers follows members of families, loses the right to see those of one,
// and goes on with the others.
func testMembers(t *testing.T, tab context.Context, options string) {
	s := openShop(t)
	price := 1.5
	s.products.Put(product{ID: 1, Name: "one", Price: &price}, product{ID: 2, Name: "free"})
	s.tracks.Put(track{1, 1, "a"}, track{2, 1, "b"}, track{2, 2, "c"})
	s.start()
	defer func() { s.kill() }()
	visit(t, s, tab)
	connect(t, tab, options)
	run(t, tab, `
		shown.first = client.collection("list", { params: { list: 1 } });
		shown.second = client.collection("list", { params: { list: 2n } });
		shown.priced = client.collection("priced", { params: { price: "1.50" } }); // to the server it is 1.5
		window.refused = [];
		for (const c of [shown.first, shown.second]) c.on("error", ({ error }) => refused.push(error.status));
		window.titles = () => [shown.first, shown.second].map((c) => c.rows.map((r) => r.title)).join(" | ") + " | " + shown.priced.rows.map((r) => r.name);`)
	shows(t, tab, "the members", `titles() === "a | b,c | one"`)
	s.report(s.tracks.Put(track{1, 9, "d"}), s.tracks.Remove(driver.KeyOf(2, 1)), s.products.Put(product{ID: 3, Name: "three", Price: &price}))
	shows(t, tab, "their changes", `titles() === "a,d | c | one,three"`)
	s.kill()
	s.start()
	shows(t, tab, "that it has come back", `shown.first.status === "live" && shown.priced.status === "live"`)

	name := "list"
	s.denied.Store(&name)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := s.reg.Reauthorize(ctx); err != nil {
		t.Fatal(err)
	}
	shows(t, tab, "the refusals", `refused.join() === "403,403" && shown.first.status === "closed" && shown.second.error.status === 403`)
	s.report(s.tracks.Put(track{1, 5, "secret"}))
	asked := s.asked.Load()
	for range 3 { // the others go on, and come back
		s.link.each((*conn).cut)
		s.put(product{ID: 4, Name: s.addr, Price: &price})
		shows(t, tab, "the others", fmt.Sprintf(`shown.priced.status === "live" && shown.priced.get(4)?.name === %q`, s.addr))
		s.remove(4)
		shows(t, tab, "the others", `shown.priced.status === "live" && !shown.priced.has(4)`)
	}
	if again := s.asked.Load() - asked; again > 0 {
		t.Errorf("what was refused was asked for %d times again", again)
	}
	if got := run(t, tab, `return titles()`); strings.Contains(got, "secret") {
		t.Errorf("the page has %s", got)
	}
	run(t, tab, `client.close()`)
}

var example = regexp.MustCompile("(?s)<!-- run: (\\w+) -->\n```js\n(.*?)```")

// testDocs runs the examples of the guide as they stand there.
func testDocs(t *testing.T, newTab func(t *testing.T) context.Context) {
	guide, err := os.ReadFile("../../docs/javascript.md")
	if err != nil {
		t.Fatal(err)
	}
	s := openShop(t)
	for _, m := range example.FindAllStringSubmatch(string(guide), -1) {
		s.pages["/"+m[1]+".js"] = m[2]
	}
	price := func(p float64) *float64 { return &p }
	s.start()
	defer func() { s.kill() }()
	try := func(name string) context.Context {
		t.Helper()
		s.products.Edit(func(rows map[driver.Key]product) { clear(rows) })
		s.products.Put(product{ID: 1, Name: "Abbey Road", Price: price(9.5)}, product{ID: 2, Name: "Blue"})
		s.report(driver.Change{Table: s.products.Name()})
		if s.pages["/"+name+".js"] == "" {
			t.Fatalf("the guide has no example %q", name)
		}
		tab := newTab(t)
		visit(t, s, tab)
		run(t, tab, `await import("/`+name+`.js")`)
		return tab
	}

	tab := try("collection")
	shows(t, tab, "the list", `document.querySelector("ul").innerText === "Abbey Road: 9.5\nBlue: no price"`)
	s.put(product{ID: 3, Name: "Arrival", Price: price(7)})
	shows(t, tab, "the row that came", `document.querySelector("ul").innerText === "Abbey Road: 9.5\nArrival: 7\nBlue: no price"`)

	tab = try("changes")
	shows(t, tab, "the status", `document.title === "live"`)
	s.put(product{ID: 1, Name: "Abbey Road", Price: price(8)})
	s.remove(2)
	shows(t, tab, "the log", `document.querySelector("pre").textContent === "+ Abbey Road\n+ Blue\n9.5 → 8 Abbey Road\n- Blue\n"`)

	tab = try("errors")
	shows(t, tab, "the error", `document.title === "404 Unknown binding"`)
	shows(t, tab, "the others", `document.body.textContent === "2 products, live"`)

	tab = try("writes")
	shows(t, tab, "the writes", `document.title === "422 colour" && document.body.textContent === "Arrival, 8, 2"`)

	tab = try("events")
	shows(t, tab, "sync and leave", `document.body.textContent.trim() === "sync: 2\nleave:"`)
	if n := len(example.FindAllString(string(guide), -1)); n != 5 || strings.Count(string(guide), "<!-- run:") != n {
		t.Errorf("the guide has %d examples", n)
	}
}
