package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// newBrowser starts a headless Chromium. Each call of the function that it
// returns opens a tab, and lets exceptions of the page fail the test.
func newBrowser(t *testing.T) (tab func() context.Context) {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		const missing = "no Chromium: install it (apt-get install chromium)"
		if os.Getenv("BINDERY_REQUIRE_SERVERS") == "1" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WSURLReadTimeout(time.Minute))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(cancel)
	browser, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Run(browser); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	return func() context.Context {
		t.Helper()
		tab, cancel := chromedp.NewContext(browser)
		t.Cleanup(cancel)
		chromedp.ListenTarget(tab, func(ev any) {
			if e, ok := ev.(*runtime.EventExceptionThrown); ok {
				t.Errorf("the page threw: %s", e.ExceptionDetails.Error())
			}
		})
		if err := chromedp.Run(tab); err != nil { // it opens with this context, not with one that ends
			t.Fatalf("opening a tab: %v", err)
		}
		return tab
	}
}

// do runs actions in a tab.
func do(t *testing.T, tab context.Context, actions ...chromedp.Action) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, 40*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, append(chromedp.Tasks{page.BringToFront()}, actions...)); err != nil {
		t.Fatalf("in the browser: %v", err)
	}
}

// shows waits until a JavaScript expression is true.
func shows(t *testing.T, tab context.Context, what, expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, 30*time.Second)
	defer cancel()
	// A tab in the background draws nothing.
	if err := chromedp.Run(ctx, page.BringToFront(), chromedp.Poll(expression, nil, chromedp.WithPollingInterval(50*time.Millisecond))); err != nil {
		var text string
		_ = chromedp.Run(tab, chromedp.Evaluate(`document.body.innerText.slice(0, 1500)`, &text))
		t.Fatalf("never: %s: %v\nthe page says:\n%s", what, err, text)
	}
}

const live = `document.querySelector("#connection").dataset.state === "live"`

// priceOf is the price that the page shows for a row.
func priceShown(id int, price string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#rows tr")].some(r => r.querySelector(".c-id").textContent.trim() === "%d" && r.querySelector("[data-field=price]").textContent.includes("%s"))`, id, price)
}

// beginPrice opens a row's price for editing, as a click does.
func beginPrice(id int) chromedp.Action {
	return chromedp.Evaluate(fmt.Sprintf(`[...document.querySelectorAll("#rows tr")].find(r => r.querySelector(".c-id").textContent.trim() === "%d").querySelector("[data-field=price]").click()`, id), nil)
}

const editing = `document.activeElement.matches("#rows .c-price input")`

// TestPage: two tabs and a writer outside see the same shop, an edit in one tab
// shows in the other, and the page comes back when the server does.
func TestPage(t *testing.T) {
	newTab := newBrowser(t)
	path := filepath.Join(t.TempDir(), "shop.db")
	r := open(t, "sqlite:"+path, 200)
	outside, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = outside.Close() }()

	first, second := newTab(), newTab()
	for _, tab := range []context.Context{first, second} {
		do(t, tab, chromedp.Navigate(r.url))
		shows(t, tab, "live", live)
		shows(t, tab, "rows", `document.querySelectorAll("#rows tr").length > 10`)
		shows(t, tab, "the ten cheapest", `document.querySelectorAll("#cheapest > li").length === 10`)
		shows(t, tab, "the venues", `document.querySelector("#venues").textContent.includes("online")`)
	}
	var version string
	do(t, first, chromedp.Text("#version", &version))
	if strings.Contains(version, "none") {
		t.Errorf("the page shows the version %q", version)
	}

	do(t, first, beginPrice(1))
	shows(t, first, "the field to edit", editing)
	do(t, first, chromedp.KeyEvent("77.25\r"))
	shows(t, first, "the edit in its own tab", priceShown(1, "77.25"))
	shows(t, second, "the edit in the other tab", priceShown(1, "77.25"))

	if _, err := outside.ExecContext(t.Context(), "UPDATE products SET price = 0.75 WHERE id = 2"); err != nil {
		t.Fatal(err)
	}
	for _, tab := range []context.Context{first, second} {
		shows(t, tab, "a write from outside", priceShown(2, "0.75"))
		shows(t, tab, "it in its venue", `document.querySelector("#venues").textContent.includes("0.75 –")`)
		shows(t, tab, "it in the ten cheapest", `document.querySelector("#cheapest > li").textContent.includes("0.75")`)
	}

	// Somebody else is faster: the edit is refused, and may be made all the same.
	do(t, first, beginPrice(1))
	shows(t, first, "the field to edit", editing)
	if _, err := outside.ExecContext(t.Context(), "UPDATE products SET price = 55.5 WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	shows(t, second, "the faster write", priceShown(1, "55.5"))
	do(t, first, chromedp.KeyEvent("66.5\r"))
	shows(t, first, "the conflict", `document.querySelector("#conflict-dialog").open`)
	do(t, first, chromedp.Click(`#conflict-dialog button[value=overwrite]`, chromedp.ByQuery))
	shows(t, second, "the edit that was insisted on", priceShown(1, "66.5"))

	do(t, first, chromedp.Click(`#rows tr:nth-child(3) .delete`, chromedp.ByQuery),
		chromedp.WaitVisible("#confirm-dialog", chromedp.ByQuery), chromedp.Click("#confirm-dialog button[value=delete]", chromedp.ByQuery))
	shows(t, second, "a delete in the other tab", `![...document.querySelectorAll("#rows .c-id")].some(c => c.textContent.trim() === "3")`)

	// The shelf of one venue: what moves to the other leaves.
	const venues = `[...new Set([...document.querySelectorAll("#rows .venue")].map(v => v.value))].join()`
	do(t, second, chromedp.Click(`[data-view="shelf?venue=store"]`, chromedp.ByQuery))
	shows(t, second, "the store's shelf", venues+` === "store"`)
	for _, c := range []struct{ venue, shown string }{{"store", ""}, {"online", "!"}, {"store", ""}} {
		if _, err := outside.ExecContext(t.Context(), "UPDATE products SET venue = $1 WHERE id = 1", c.venue); err != nil {
			t.Fatal(err)
		}
		shows(t, second, "record 1 as it is "+c.venue, c.shown+`[...document.querySelectorAll("#rows .c-id")].some(c => c.textContent.trim() === "1")`)
	}
	do(t, second, chromedp.Click(`[data-view="shelf?venue=online"]`, chromedp.ByQuery))
	shows(t, second, "the other shelf", venues+` === "online"`)
	do(t, second, chromedp.Click(`[data-view="products"]`, chromedp.ByQuery))
	shows(t, second, "both", priceShown(1, "66.5"))

	// The server goes and comes back; what was written meanwhile shows.
	addr := strings.TrimSuffix(strings.TrimPrefix(r.url, "http://"), "/")
	r.stop()
	shows(t, first, "that it is disconnected", `!(`+live+`)`)
	if _, err := outside.ExecContext(t.Context(), "UPDATE products SET price = 44.25 WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	openAt(t, addr, "sqlite:"+path, 200)
	for _, tab := range []context.Context{first, second} {
		shows(t, tab, "live again", live)
		shows(t, tab, "what was written meanwhile", priceShown(1, "44.25"))
	}
}
