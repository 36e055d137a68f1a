// Package browsertest drives a headless Chromium, for tests of pages. Exceptions
// that a page throws fail the test.
package browsertest

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/binderyhq/bindery/core/coretest/installed"
)

// patience bounds each step in a tab, and lifetime the whole browser. Both have wide
// margins, because a machine that runs many tests is slow.
const (
	patience = 60 * time.Second
	lifetime = 5 * time.Minute
)

// Browser is a running Chromium. It ends with the test that started it.
type Browser struct {
	ctx           context.Context
	width, height int64
}

// New starts a browser with windows of this size, in CSS pixels. Without Chromium it
// ends the test, see package installed.
func New(t *testing.T, width, height int) *Browser {
	t.Helper()
	path := installed.Program(t, "apt-get install chromium", "chromium", "chromium-browser", "google-chrome")
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(width, height),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WSURLReadTimeout(2*time.Minute))
	ctx, cancel := context.WithTimeout(context.Background(), lifetime)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(stop)
	browser, end := chromedp.NewContext(ctx)
	t.Cleanup(end)
	t.Cleanup(func() { _ = chromedp.Cancel(browser) }) // waits for the process
	if err := chromedp.Run(browser); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	return &Browser{ctx: browser, width: int64(width), height: int64(height)}
}

// Person is a user with separate cookies.
type Person struct {
	b  *Browser
	id cdp.BrowserContextID
}

// NewPerson returns a person without cookies.
func (b *Browser) NewPerson(t *testing.T) *Person {
	t.Helper()
	id, err := target.CreateBrowserContext().Do(b.executor())
	if err != nil {
		t.Fatalf("making a browser context: %v", err)
	}
	return &Person{b: b, id: id}
}

// NewTab opens a tab. All tabs made this way share their cookies.
func (b *Browser) NewTab(t *testing.T) context.Context {
	t.Helper()
	tab, end := chromedp.NewContext(b.ctx)
	t.Cleanup(end)
	return b.open(t, tab)
}

// NewTab opens a tab of the person; the first one is a window.
func (p *Person) NewTab(t *testing.T, first bool) context.Context {
	t.Helper()
	id, err := target.CreateTarget("about:blank").WithBrowserContextID(p.id).WithNewWindow(first).Do(p.b.executor())
	if err != nil {
		t.Fatalf("opening a tab: %v", err)
	}
	tab, end := chromedp.NewContext(p.b.ctx, chromedp.WithTargetID(id))
	t.Cleanup(end)
	return p.b.open(t, tab)
}

func (b *Browser) executor() context.Context {
	return cdp.WithExecutor(b.ctx, chromedp.FromContext(b.ctx).Browser)
}

func (b *Browser) open(t *testing.T, tab context.Context) context.Context {
	t.Helper()
	chromedp.ListenTarget(tab, func(ev any) {
		if e, ok := ev.(*runtime.EventExceptionThrown); ok {
			t.Errorf("the page threw: %s", e.ExceptionDetails.Error())
		}
	})
	// The tab must start with a context that does not end here.
	if err := chromedp.Run(tab, chromedp.EmulateViewport(b.width, b.height), page.BringToFront()); err != nil {
		t.Fatalf("opening a tab: %v", err)
	}
	return tab
}

// Do runs actions in a tab. It first brings the tab to the front, because a tab in the
// background draws nothing.
func Do(t *testing.T, tab context.Context, actions ...chromedp.Action) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	if err := chromedp.Run(ctx, append(chromedp.Tasks{page.BringToFront()}, actions...)); err != nil {
		t.Fatalf("in the browser: %v", err)
	}
}

// Press clicks the element that a JavaScript expression returns, as soon as it exists,
// is visible and enabled. [chromedp.Click] clicks at a position, where a page that
// moves may have another element by then.
func Press(t *testing.T, tab context.Context, element string) {
	t.Helper()
	Shows(t, tab, element, `(e => e && !e.disabled && e.checkVisibility())(`+element+`)`)
	Do(t, tab, chromedp.Evaluate(element+`.click()`, nil))
}

// Shows waits until a JavaScript expression is true in the tab. what describes it in
// the failure, which quotes the page.
func Shows(t *testing.T, tab context.Context, what, expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	if err := chromedp.Run(ctx, page.BringToFront(), chromedp.Poll(expression, nil, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(patience))); err != nil {
		var text string
		_ = chromedp.Run(tab, chromedp.Evaluate(`document.body.innerText.slice(0, 1500)`, &text))
		t.Fatalf("never: %s: %v\nthe page says:\n%s", what, err, text)
	}
}
