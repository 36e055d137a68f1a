package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/binderyhq/bindery/transports/transporttest/browsertest"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// newBrowser starts a headless Chromium. Each call of the function that it
// returns opens a window with cookies of its own, as another person's browser
// has.
func newBrowser(t *testing.T) (newWindow func() window) {
	t.Helper()
	b := browsertest.New(t, 1440, 900)
	return func() window {
		t.Helper()
		w := window{t: t, person: b.NewPerson(t)}
		w.tab = w.person.NewTab(t, true)
		return w
	}
}

// window is somebody's browser.
type window struct {
	t      *testing.T
	person *browsertest.Person
	tab    context.Context
}

func (w window) do(actions ...chromedp.Action) {
	w.t.Helper()
	browsertest.Do(w.t, w.tab, actions...)
}

// shows waits until a JavaScript expression is true.
func (w window) shows(what, expression string) {
	w.t.Helper()
	browsertest.Shows(w.t, w.tab, what, expression)
}

func (w window) click(selector string) {
	w.t.Helper()
	browsertest.Press(w.t, w.tab, fmt.Sprintf("document.querySelector(%q)", selector))
}

// enter signs somebody in by a click at the list of people.
func (w window) enter(name string) {
	w.t.Helper()
	w.shows("the door", `document.body.dataset.view === "door"`)
	w.click(`#demo [data-name="` + name + `"]`)
	w.shows(name+"'s board", `document.body.dataset.view === "board" && document.querySelector("#connection").dataset.state === "live" && document.querySelectorAll(".card").length > 0`)
}

func says(text string) string {
	return fmt.Sprintf(`document.body.innerText.includes(%q)`, text)
}

// column is true when the task is in the column.
func column(title, state string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('.column[data-state="%s"] .card')].some(c => c.textContent.includes(%q))`, state, title)
}

// picture keeps what the window shows, for people to look at: in the directory
// that WORKBOARD_PICTURES names.
func (w window) picture(name string) {
	w.t.Helper()
	dir := os.Getenv("WORKBOARD_PICTURES")
	if dir == "" {
		return
	}
	var png []byte
	w.do(chromedp.CaptureScreenshot(&png))
	if err := os.WriteFile(dir+"/"+name+".png", png, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// TestPage: an admin, a reader and somebody of the other company look at their
// boards; the admin's changes show to the reader alone; and the reader's page
// ends when the admin suspends him.
func TestPage(t *testing.T) {
	newWindow := newBrowser(t)
	r := open(t)
	ada, ravi, bea := newWindow(), newWindow(), newWindow()
	for _, w := range []window{ada, ravi, bea} {
		w.do(chromedp.Navigate(r.url))
	}
	ada.shows("the door", `document.body.dataset.view === "door"`)
	ada.picture("door")
	ada.do(chromedp.SendKeys("#name", "ada", chromedp.ByQuery), chromedp.SendKeys("#password", "guess\r", chromedp.ByQuery))
	ada.shows("that the password is wrong", says("The name or the password is wrong"))
	ada.enter("ada")
	ravi.enter("ravi")
	bea.enter("bea")
	for _, w := range []window{ada, ravi} {
		w.shows("the company", `document.querySelector("#tenant").textContent === "Alder Joinery"`)
		w.shows("nothing of the others", `!`+says("Rye with caraway")+` && !`+says("Winter menu"))
	}
	bea.shows("the company", `document.querySelector("#tenant").textContent === "Brook Bakery"`)
	bea.shows("nothing of the others", `!`+says("Cut the uprights")+` && !`+says("Library shelving"))

	// Who may write is offered it, and what they write shows where it may.
	ravi.shows("a page to read", says("change nothing")+` && !document.querySelector(".adding, .acts, #people li")`)
	ada.shows("people", `document.querySelectorAll("#people li").length === 2`)
	ada.do(chromedp.SendKeys("#new-task", "Varnish <b>twice</b>\r", chromedp.ByQuery))
	for _, w := range []window{ada, ravi} {
		w.shows("the new task", column("Varnish <b>twice</b>", "todo"))
		w.shows("it among what changed last", `document.querySelector("#recent li").textContent.includes("Varnish")`)
		w.shows("it in the count", `document.querySelector('[data-project="1"] small').textContent === "2 of 7"`)
	}
	ada.click(`.card[data-id="3"] .on`)
	ravi.shows("the task that was moved", column("Cut the uprights", "done"))
	ada.click(`.card[data-id="4"] .remove`)
	ravi.shows("that a task is gone", `!`+says("Test the hidden brackets"))
	bea.shows("nothing of it", `!`+says("Varnish"))
	ravi.click(`[data-project="2"]`)
	ravi.shows("another project", column("Steam the handrail", "doing"))
	ada.picture("admin")
	ravi.picture("reader")

	// What the page does not offer, and is asked for all the same.
	ravi.do(chromedp.Evaluate(`fetch("/api/tasks/1", {method: "DELETE"}).then(a => { document.body.dataset.tried = a.status; })`, nil))
	ravi.shows("that it is forbidden", `document.body.dataset.tried === "403"`)

	ada.click(`#people [data-person="ravi"] button`)
	ravi.shows("that his access is withdrawn", `document.body.dataset.view === "withdrawn" && !document.querySelector(".card")`)
	ravi.picture("withdrawn")
	ada.shows("who is suspended", `document.querySelector('#people [data-person="ravi"]').dataset.suspended === "true"`)
	ravi.click("#check-again")
	ravi.shows("that it still is", says("still withdrawn"))
	ada.click(`#people [data-person="ravi"] button`)
	ada.shows("that he is back", `document.querySelector('#people [data-person="ravi"]').dataset.suspended === "false"`)
	ravi.click("#check-again")
	ravi.shows("his board", `document.body.dataset.view === "board" && document.querySelectorAll(".card").length > 0`)

	// Signing out in one tab ends the other.
	second := ravi
	second.tab = ravi.person.NewTab(t, false)
	second.do(chromedp.Navigate(r.url))
	second.shows("the same session", `document.body.dataset.view === "board" && document.querySelectorAll(".card").length > 0`)
	ravi.click("#sign-out")
	ravi.shows("the door", `document.body.dataset.view === "door" && `+says("You are signed out"))
	second.shows("the door in the other tab", `document.body.dataset.view === "door" && `+says("was closed at the same moment"))
	second.shows("nothing of the board", `!document.querySelector(".card")`)

	// The server goes, and with it the sessions.
	addr := strings.TrimSuffix(strings.TrimPrefix(r.url, "http://"), "/")
	r.stop()
	bea.shows("that it is disconnected", `document.querySelector("#connection").dataset.state !== "live"`)
	r.start(addr)
	bea.shows("the door again", `document.body.dataset.view === "door"`)
	bea.enter("olga")
	bea.shows("all companies", `document.querySelectorAll("#projects button").length === 4 && `+says("All companies"))
	bea.picture("operator")
	bea.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}))
	bea.shows("dark paper", `getComputedStyle(document.body).backgroundColor.match(/\d+/g).every(c => c < 60)`)
	bea.picture("dark")
	bea.do(chromedp.EmulateViewport(390, 844))
	bea.shows("all of it on a telephone", `innerWidth === 390 && document.documentElement.scrollWidth <= innerWidth`)
	bea.picture("narrow")
}

// TestPageFiles: what the page is made of, its policy, and nothing else.
func TestPageFiles(t *testing.T) {
	r := open(t)
	for _, path := range []string{"", "app.js", "view.js", "style.css", "client/bindery.js"} {
		a := r.nobody().want(http.StatusOK, "GET", path, "")
		if a.header.Get("Content-Security-Policy") != policy || a.header.Get("X-Content-Type-Options") != "nosniff" || len(a.body) == 0 {
			t.Errorf("/%s: %v", path, a.header)
		}
	}
	for _, path := range []string{"web/app.js", "app.go", "../app.go"} {
		r.nobody().want(http.StatusNotFound, "GET", path, "")
	}
	for _, bad := range []string{"<script>", "<style", " style=", " onclick="} {
		if strings.Contains(string(r.nobody().do("GET", "", "").body), bad) {
			t.Errorf("the policy would refuse %q", bad)
		}
	}
}
