package main

import (
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/binderyhq/bindery/transports/transporttest/browsertest"
)

// TestPageOnPhones: the first screen shows records, with prices that say in what, and
// nothing has to be moved sideways.
func TestPageOnPhones(t *testing.T) {
	browser := browsertest.New(t, 390, 844)
	r := open(t, "sqlite:"+filepath.Join(t.TempDir(), "shop.db"), 60)
	tab := browser.NewTab(t)
	browsertest.Do(t, tab, chromedp.EmulateViewport(360, 640), chromedp.Navigate(r.url))
	browsertest.Shows(t, tab, "live", live)
	browsertest.Shows(t, tab, "two records in the first screen", `document.querySelectorAll("#rows tr")[1]?.getBoundingClientRect().bottom <= innerHeight`)
	browsertest.Shows(t, tab, "a currency", `/[$]\s?\d/.test(document.querySelector("[data-field=price]").textContent)`)
	browsertest.Shows(t, tab, "the lines to try", `document.querySelectorAll("#try code").length > 2`)
	browsertest.Shows(t, tab, "all of it in the screen's width", `document.documentElement.scrollWidth <= innerWidth &&
		[...document.querySelectorAll("#try code")].every((c) => c.scrollWidth <= c.clientWidth)`)
}
