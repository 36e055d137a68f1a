package jsclient_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestReactOnAServer renders with the real react-dom/server, where there is no URL,
// no page and no WebSocket.
func TestReactOnAServer(t *testing.T) {
	packages(t, "react", "react-dom")
	node := startNode(t)
	got := node.run(t, `
		const { createElement: h } = requireFrom("react");
		const { renderToString } = requireFrom("react-dom/server");
		const { useBinding } = await import(new URL("../npm/react.js", "file://" + process.argv[1]));
		const show = (client, options) => renderToString(h(function List() {
			const { rows, status, pending } = useBinding(client, "products", options);
			return h("ul", { className: status }, rows.map((p) => h("li", { key: p.id }, p.name)), pending);
		}));
		const client = bindery.connect("/"); // as a module of the application has it
		const initial = { rows: [{ id: 1, name: "one" }], version: "v1", order: ["id"] };
		return [show(client), show(null), show(client, { initial, params: { user: 7n } }), client.status].join(" | ");`)
	if want := `<ul class="connecting">0</ul> | <ul class="connecting">0</ul> | <ul class="stale"><li>one</li>0</ul> | idle`; got != want {
		t.Errorf("rendered:\n%s\nwant\n%s", got, want)
	}
}

// reactPages returns a page with an import map, and React's own modules as pages can
// import them: npm has them as CommonJS alone.
func reactPages(t *testing.T) map[string]string {
	t.Helper()
	dir := packages(t, "react", "react-dom", "scheduler")
	module := func(file, imports, exports string) string {
		code, err := os.ReadFile(filepath.Join(dir, "node_modules", file))
		if err != nil {
			t.Fatal(err)
		}
		return imports + `
			const module = { exports: {} }, exports = module.exports, process = { env: { NODE_ENV: "development" } };
			(function (require) {` + string(code) + `})((name) => modules[name]);
			export default module.exports;
			export const { ` + exports + ` } = module.exports;`
	}
	return map[string]string{
		"/npm/react.js":     module("react/cjs/react.development.js", "const modules = {};", "useMemo, useSyncExternalStore, useState, createElement, StrictMode"),
		"/npm/scheduler.js": module("scheduler/cjs/scheduler.development.js", "const modules = {};", "unstable_now"),
		"/npm/dom.js":       module("react-dom/cjs/react-dom.development.js", `import react from "./react.js"; const modules = { react };`, "createPortal"),
		"/npm/client.js": module("react-dom/cjs/react-dom-client.development.js",
			`import react from "./react.js"; import scheduler from "./scheduler.js"; import dom from "./dom.js"; const modules = { react, scheduler, "react-dom": dom };`, "createRoot, hydrateRoot"),
		"/react": `<!doctype html><meta charset=utf-8><title>react</title><script type="importmap">{"imports":{"react":"/npm/react.js"}}</script><body><div id=root></div>`,
	}
}

// TestReact shows a binding with the real React, in a browser, under StrictMode.
func TestReact(t *testing.T) {
	pages := reactPages(t)
	newTab := newBrowser(t)
	s := openShop(t)
	for path, body := range pages {
		s.pages[path] = body
	}
	s.start()
	defer func() { s.kill() }()
	s.put(product{ID: 1, Name: "one"}, product{ID: 2, Name: "two"})
	tab := newTab(t)
	ctx, cancel := context.WithTimeout(tab, 60*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.Navigate("http://"+s.addr+"/react")); err != nil {
		t.Fatal(err)
	}
	_, version := s.now("products")
	run(t, tab, fmt.Sprintf(`
		const { createElement: h, StrictMode, useState } = await import("react");
		const { createRoot, hydrateRoot } = await import("/npm/client.js");
		const { useBinding } = await import("/bindery/react.js");
		const { connect } = await import("/bindery/bindery.js");
		window.sent = [];
		const Socket = class extends WebSocket { send(text) { sent.push(JSON.parse(text)); super.send(text); } };
		window.client = connect("/", { WebSocket: Socket });
		window.renders = [];
		function List({ id, options }) {
			const { rows, status } = useBinding(client, "products", { linger: 600_000, ...options }); // a busy machine is longer about it than the default
			renders.push(id + " " + status + " " + rows.length);
			return h("ul", { id, className: status }, rows.map((p) => h("li", { key: p.id }, p.name)));
		}
		function App() {
			const [shown, show] = useState({ a: true, b: false });
			window.show = (next) => show((now) => ({ ...now, ...next }));
			return h("div", null, shown.a && h(List, { id: "a" }), shown.b && h(List, { id: "b" }));
		}
		window.root = createRoot(document.getElementById("root"));
		root.render(h(StrictMode, null, h(App)));
		window.hydrate = () => {
			const initial = { rows: [{ id: 1, name: "one", price: null, seen: "0001-01-01T00:00:00Z" }, { id: 2, name: "two", price: null, seen: "0001-01-01T00:00:00Z" }], version: %q, order: ["name", "id"] };
			const box = document.body.appendChild(document.createElement("div"));
			box.innerHTML = '<ul id="c" class="stale"><li>one</li><li>two</li></ul>';
			hydrateRoot(box, h(StrictMode, null, h(List, { id: "c", options: { initial } })), { onRecoverableError: (e) => renders.push("mismatch " + e.message) });
		};`, version))
	list := func(id string) string {
		return `[...document.querySelectorAll("#` + id + ` li")].map((li) => li.textContent).join()`
	}
	shows(t, tab, "the rows", list("a")+` === "one,two" && document.getElementById("a").className === "live"`)
	if got := run(t, tab, `return sent.length`); got != "1" {
		t.Errorf("StrictMode sent %s messages", got)
	}

	// Another component shows the rows at its first render, and so does one that
	// comes back.
	run(t, tab, `renders.length = 0; show({ b: true })`)
	shows(t, tab, "the rows", list("b")+` === "one,two"`)
	run(t, tab, `show({ a: false, b: false })`)
	shows(t, tab, "nothing", `!document.getElementById("a") && !document.getElementById("b")`)
	s.put(product{ID: 3, Name: "three"})
	shows(t, tab, "that the binding is still followed", `client.peek("products")?.rows.length === 3`)
	run(t, tab, `show({ a: true })`)
	shows(t, tab, "the rows", list("a")+` === "one,three,two"`)
	if got := run(t, tab, `return renders.join()`); strings.Contains(got, "connecting") || strings.Contains(got, " 0") {
		t.Errorf("a flash: %s", got)
	}
	if got := run(t, tab, `return sent.length`); got != "1" {
		t.Errorf("%s messages were sent", got)
	}
	run(t, tab, `root.unmount(); client.close()`)

	// Rows that came with the page are hydrated, and resumed from.
	s.remove(3)
	run(t, tab, `
		const { connect } = await import("/bindery/bindery.js");
		sent.length = renders.length = 0;
		client = connect("/", { WebSocket: class extends WebSocket { send(text) { sent.push(JSON.parse(text)); super.send(text); } } });
		hydrate();`)
	shows(t, tab, "that they are current", `document.getElementById("c").className === "live"`)
	s.put(product{ID: 3, Name: "three"})
	shows(t, tab, "the row that came", list("c")+`.includes("three")`)
	got := run(t, tab, `return renders.join() + JSON.stringify(sent[0])`)
	if strings.Contains(got, "connecting") || strings.Contains(got, "mismatch") || !strings.Contains(got, `"version"`) {
		t.Errorf("hydrating: %s", got)
	}
	run(t, tab, `client.close()`)
}
