package admin_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/plugins/admin"
	"github.com/binderyhq/bindery/transports/transporttest/browsertest"
)

// TestPage: the page opens with the token in its address, keeps none in it, shows
// what changes, acts, and explains.
func TestPage(t *testing.T) {
	browser := browsertest.New(t, 1280, 900)
	d := newDesk(t, admin.Config{Token: token})
	srv := httptest.NewServer(d.echo)
	defer func() {
		d.stop() // ends the page's stream, for which the server would wait
		srv.Close()
	}()
	member, err := d.named.Open(t.Context(), core.Args{"name": "a"})
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	tab := browser.NewTab(t)
	browsertest.Do(t, tab, chromedp.Navigate(srv.URL+"/admin/?token="+token))
	const line = `[...document.querySelectorAll("#bindings tr")]`
	browsertest.Shows(t, tab, "live", `document.querySelector("#connection").dataset.state === "live"`)
	browsertest.Shows(t, tab, "the address without the token", `location.search === ""`)
	browsertest.Shows(t, tab, "the binding and the member", line+`.length === 2 && document.querySelector("#bindings").textContent.includes("name=a")`)
	browsertest.Shows(t, tab, "the source", `document.querySelector("#sources").textContent.includes("coretest")`)
	browsertest.Shows(t, tab, "how many clients the transport has", `document.querySelector("#transports").textContent.includes("0 open")`)
	if err := d.source.Report(t.Context(), d.table.Put(item{4, "b", true})); err != nil {
		t.Fatal(err)
	}
	browsertest.Shows(t, tab, "a new row", line+`[0].children[2].textContent === "3"`)
	browsertest.Shows(t, tab, "its curve", `!document.querySelector("#bindings .spark").classList.contains("quiet")`)

	browsertest.Press(t, tab, `document.querySelector("#bindings tr:first-child .open")`)
	browsertest.Do(t, tab, chromedp.WaitVisible("#key", chromedp.ByQuery),
		chromedp.SendKeys("#key", "3\r", chromedp.ByQuery))
	browsertest.Shows(t, tab, "why row 3 is not in", `document.querySelector("#explanation").textContent.includes("is not in") && document.querySelector("#explanation [data-holds=false] code").textContent === "live = true"`)
	d.table.Remove(driver.KeyOf(2)) // which nobody reports
	browsertest.Press(t, tab, `document.querySelector("[data-verb=verify]")`)
	browsertest.Shows(t, tab, "the drift", `document.querySelector("#verb-result").textContent.startsWith("0 missing, 1 extra, 0 changed")`)
	browsertest.Press(t, tab, `document.querySelector("#close")`)
	browsertest.Do(t, tab, chromedp.SendKeys("#search", "name=a", chromedp.ByQuery))
	browsertest.Shows(t, tab, "the member alone", line+`.length === 1`)
	browsertest.Press(t, tab, `document.querySelector("[data-all=sync]")`)
	browsertest.Shows(t, tab, "all read again", `document.querySelector("#all-result").dataset.kind === "good"`)
	for _, width := range []int64{390, 768, 1280} {
		browsertest.Do(t, tab, chromedp.EmulateViewport(width, 844))
		browsertest.Shows(t, tab, "no sideways scrolling", `document.documentElement.scrollWidth <= innerWidth`)
	}
	d.stop()
	srv.CloseClientConnections()
	srv.Close()
	browsertest.Shows(t, tab, "that the program has gone", `document.querySelector("#connection").dataset.state === "away" && !document.querySelector("#notice").hidden`)
}

// TestPageFiles: every file that the page asks for is there, and none is inline.
func TestPageFiles(t *testing.T) {
	d := newDesk(t, admin.Config{Token: token})
	files, err := filepath.Glob("page/*")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, f := range files {
		name := strings.TrimPrefix(filepath.ToSlash(f), "page/")
		if name == "index.html" {
			name = ""
		}
		w := d.ask("GET", "/admin/"+name, "Authorization", "Bearer "+token)
		body, err := os.ReadFile(f)
		if err != nil || w.Code != 200 || w.Body.String() != string(body) {
			t.Errorf("%s: %d, %v", f, w.Code, err)
		}
		if !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", f, w.Header())
		}
	}
}
