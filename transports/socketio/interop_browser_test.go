package socketio_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/binderyhq/bindery/core/coretest/installed"
	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/socketio"
	"github.com/binderyhq/bindery/transports/transporttest/browsertest"
)

// ancestorsPage has the ancestor's README example word for word, around which it
// connects, joins again at every connect as its pages do, and shows what it holds.
const ancestorsPage = `<!DOCTYPE html><meta charset="utf-8"><title>the ancestor's page</title>
<p id="over"></p><p id="state"></p><ol id="rows"></ol>
<script src="/socket.io.js"></script>
<script>
const transports = new URLSearchParams(location.search).get("transports").split(",");
{
  const io = window.socket = window.io({transports, reconnectionDelay: 20, reconnectionDelayMax: 200});
  const rows = new Map();
  const apply = (data) => {
    if (data.action === "sync") rows.clear();
    for (const row of data.payload) data.action === "delete" ? rows.delete(row.id) : rows.set(row.id, row.name);
    document.getElementById("rows").replaceChildren(...[...rows].sort((a, b) => a[0] - b[0]).map(([id, name]) => {
      const item = document.createElement("li");
      item.textContent = id + " " + name;
      return item;
    }));
  };
  const shown = (data) => {
    document.getElementById("state").textContent = data.action;
    if (Array.isArray(data.payload)) apply(data);
  };

  io.on("products", (data) => { data.action; data.payload })
  io.on("products", shown);
  io.on("connect", () => {
    io.emit("products")
    io.io.engine.on("upgrade", () => { document.getElementById("over").textContent = io.io.engine.transport.name; });
    document.getElementById("over").textContent = io.io.engine.transport.name;
  });
  window.leave = () => {
    io.emit("products", {disconnect: true})
  };
}
</script>`

// pages serves the page, and the client as npm has it.
func pages(t *testing.T) http.Handler {
	t.Helper()
	client, err := os.ReadFile(filepath.Join(installed.NodePackages(t, "socket.io-client@4", "socket.io-client"), "socket.io-client", "dist", "socket.io.js"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/socket.io.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = w.Write(client)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(ancestorsPage))
	})
	return mux
}

// The ancestor's pages run unchanged in a browser, on every transport, and come
// back after a restart.
func TestAncestorsPage(t *testing.T) {
	handler := pages(t)
	browser := browsertest.New(t, 600, 600)
	for _, way := range []struct{ transports, finally string }{{"polling", polling}, {"websocket", websocket}, {"polling,websocket", websocket}} {
		t.Run(way.transports, func(t *testing.T) {
			s := newShop(t, socketio.Config{})
			s.pages = handler
			s.open()
			defer s.close()
			tab := browser.NewTab(t)
			shows := func(what, text string) {
				t.Helper()
				browsertest.Shows(t, tab, what, `document.body.innerText.includes("`+text+`")`)
			}
			browsertest.Do(t, tab, chromedp.Navigate(s.url()+"/?transports="+way.transports))
			browsertest.Shows(t, tab, "all rows", `document.querySelectorAll("#rows li").length === 25`)
			browsertest.Shows(t, tab, "the transport", `document.getElementById("over").textContent === "`+way.finally+`"`)
			s.put(wiretest.Item{ID: 1, Name: "as new"})
			shows("an update", "1 as new")
			s.put(wiretest.Item{ID: 26, Name: "come"})
			shows("a create", "26 come")

			s.close()
			browsertest.Shows(t, tab, "that it is disconnected", `!socket.connected`)
			s.table.Put(wiretest.Item{ID: 2, Name: "written meanwhile"})
			s.open()
			shows("what was written meanwhile", "2 written meanwhile")
			s.put(wiretest.Item{ID: 1, Name: "again"})
			shows("an update after the restart", "1 again")

			browsertest.Do(t, tab, chromedp.Evaluate(`leave()`, nil))
			browsertest.Shows(t, tab, "that it has left", `document.getElementById("state").textContent === "leave"`)
			s.put(wiretest.Item{ID: 1, Name: "unseen"})
			browsertest.Shows(t, tab, "nothing of what follows", `!document.body.innerText.includes("unseen")`)
			if got := s.products.Status().Subscribers; got != 0 {
				t.Errorf("%d subscribers", got)
			}
		})
	}
}
