package jsclient_test

import (
	"fmt"
	"testing"
)

// TestTokens follows a binding with tokens that expire, in a browser, over each
// transport: the token goes along, and another one is asked for when the server
// refuses it.
func TestTokens(t *testing.T) {
	newTab := newBrowser(t)
	for _, kind := range []struct{ name, options string }{
		{"websocket", `{ sse: false }`},
		{"sse", `{ websocket: false }`},
		{"poll", `{ transport: "poll", pollWait: 0, pollInterval: 30 }`},
	} {
		t.Run(kind.name, func(t *testing.T) {
			s := openShop(t)
			token := "first/+" // no characters of a subprotocol
			s.token.Store(&token)
			s.start()
			defer func() { s.kill() }()
			s.put(product{ID: 1, Name: "one"})
			tab := newTab(t)
			visit(t, s, tab)
			run(t, tab, `
				const { connect } = await import("/bindery/bindery.js");
				window.asked = []; window.token = "expired"; window.fresh = "first/+";
				window.client = connect("/", { backoff: 20, maxBackoff: 200, renewals: 8, ...`+kind.options+`,
					token: ({ status }) => { asked.push(status); if (status === 401) token = fresh; return token; } });
				window.shown = { products: client.collection("products") };`)
			shows(t, tab, "the row", `shown.products.size === 1`)
			if got := run(t, tab, `return asked.join()`); got != "0,401" {
				t.Errorf("the token was asked for with %s", got)
			}
			if got := run(t, tab, `return client.transport`); got != kind.name {
				t.Errorf("transport %s", got)
			}
			for round := range 3 {
				next := fmt.Sprintf("token-%d", round)
				s.token.Store(&next)
				run(t, tab, fmt.Sprintf(`fresh = %q`, next))
				s.link.each((*conn).cut)
				s.put(product{ID: 1, Name: next})
				shows(t, tab, "the row", fmt.Sprintf(`shown.products.get(1)?.name === %q && shown.products.status === "live"`, next))
			}
			never := "no token of the page's"
			s.token.Store(&never)
			s.link.each((*conn).cut)
			shows(t, tab, "the refusal", `shown.products.status === "closed" && shown.products.error.status === 401`)
			run(t, tab, `client.close()`)
		})
	}
}
