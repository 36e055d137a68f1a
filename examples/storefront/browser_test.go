package main

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/binderyhq/bindery/transports/transporttest/browsertest"
	"github.com/chromedp/chromedp"
)

const live = `document.querySelector("#connection").dataset.state === "live"`

// priceOf is the price that the page shows for a row.
func priceShown(id int, price string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#rows tr")].some(r => r.querySelector(".c-id").textContent.trim() === "%d" && r.querySelector("[data-field=price]").textContent.includes("%s"))`, id, price)
}

// inRow is the element in the row with the id.
func inRow(id int, selector string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#rows tr")].find(r => r.querySelector(".c-id").textContent.trim() === "%d")?.querySelector("%s")`, id, selector)
}

const editing = `document.activeElement.matches("#rows .c-price input")`

// TestPage: two tabs and a writer outside see the same shop, an edit in one tab
// shows in the other, and the page comes back when the server does.
func TestPage(t *testing.T) {
	browser := browsertest.New(t, 1280, 900)
	path := filepath.Join(t.TempDir(), "shop.db")
	r := open(t, "sqlite:"+path, 200)
	outside, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = outside.Close() }()

	first, second := browser.NewTab(t), browser.NewTab(t)
	for _, tab := range []context.Context{first, second} {
		browsertest.Do(t, tab, chromedp.Navigate(r.url))
		browsertest.Shows(t, tab, "live", live)
		browsertest.Shows(t, tab, "rows", `document.querySelectorAll("#rows tr").length > 10`)
		browsertest.Shows(t, tab, "the ten cheapest", `document.querySelectorAll("#cheapest > li").length === 10`)
		browsertest.Shows(t, tab, "the venues", `document.querySelector("#venues").textContent.includes("online")`)
	}
	var version string
	browsertest.Do(t, first, chromedp.Text("#version", &version))
	if strings.Contains(version, "none") {
		t.Errorf("the page shows the version %q", version)
	}

	browsertest.Press(t, first, inRow(1, "[data-field=price]"))
	browsertest.Shows(t, first, "the field to edit", editing)
	browsertest.Do(t, first, chromedp.KeyEvent("77.25\r"))
	browsertest.Shows(t, first, "the edit in its own tab", priceShown(1, "77.25"))
	browsertest.Shows(t, second, "the edit in the other tab", priceShown(1, "77.25"))

	if _, err := outside.ExecContext(t.Context(), "UPDATE products SET price = 0.75 WHERE id = 2"); err != nil {
		t.Fatal(err)
	}
	for _, tab := range []context.Context{first, second} {
		browsertest.Shows(t, tab, "a write from outside", priceShown(2, "0.75"))
		browsertest.Shows(t, tab, "it in its venue", `document.querySelector("#venues").textContent.includes("0.75 –")`)
		browsertest.Shows(t, tab, "it in the ten cheapest", `document.querySelector("#cheapest > li").textContent.includes("0.75")`)
	}

	// Somebody else is faster: the edit is refused, and may be made all the same.
	browsertest.Press(t, first, inRow(1, "[data-field=price]"))
	browsertest.Shows(t, first, "the field to edit", editing)
	if _, err := outside.ExecContext(t.Context(), "UPDATE products SET price = 55.5 WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	browsertest.Shows(t, second, "the faster write", priceShown(1, "55.5"))
	browsertest.Do(t, first, chromedp.KeyEvent("66.5\r"))
	browsertest.Shows(t, first, "the conflict", `document.querySelector("#conflict-dialog").open`)
	browsertest.Press(t, first, `document.querySelector("#conflict-dialog button[value=overwrite]")`)
	browsertest.Shows(t, second, "the edit that was insisted on", priceShown(1, "66.5"))

	browsertest.Press(t, first, inRow(3, ".delete"))
	browsertest.Press(t, first, `document.querySelector("#confirm-dialog button[value=delete]")`)
	browsertest.Shows(t, second, "a delete in the other tab", `![...document.querySelectorAll("#rows .c-id")].some(c => c.textContent.trim() === "3")`)

	// The shelf of one venue: what moves to the other leaves.
	const venues = `[...new Set([...document.querySelectorAll("#rows .venue")].map(v => v.value))].join()`
	browsertest.Press(t, second, `document.querySelector('[data-view="shelf?venue=store"]')`)
	browsertest.Shows(t, second, "the store's shelf", venues+` === "store"`)
	for _, c := range []struct{ venue, shown string }{{"store", ""}, {"online", "!"}, {"store", ""}} {
		if _, err := outside.ExecContext(t.Context(), "UPDATE products SET venue = $1 WHERE id = 1", c.venue); err != nil {
			t.Fatal(err)
		}
		browsertest.Shows(t, second, "record 1 as it is "+c.venue, c.shown+`[...document.querySelectorAll("#rows .c-id")].some(c => c.textContent.trim() === "1")`)
	}
	browsertest.Press(t, second, `document.querySelector('[data-view="shelf?venue=online"]')`)
	browsertest.Shows(t, second, "the other shelf", venues+` === "online"`)
	browsertest.Press(t, second, `document.querySelector('[data-view="products"]')`)
	browsertest.Shows(t, second, "both", priceShown(1, "66.5"))

	// The server goes and comes back; what was written meanwhile shows.
	addr := strings.TrimSuffix(strings.TrimPrefix(r.url, "http://"), "/")
	r.stop()
	browsertest.Shows(t, first, "that it is disconnected", `!(`+live+`)`)
	if _, err := outside.ExecContext(t.Context(), "UPDATE products SET price = 44.25 WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	openAt(t, addr, "sqlite:"+path, 200)
	for _, tab := range []context.Context{first, second} {
		browsertest.Shows(t, tab, "live again", live)
		browsertest.Shows(t, tab, "what was written meanwhile", priceShown(1, "44.25"))
	}
}
