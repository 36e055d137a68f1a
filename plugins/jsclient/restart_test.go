package jsclient_test

import (
	"context"
	"fmt"
	"testing"
)

// attempts makes the page count the WebSockets that it opens, and connect.
const attempts = `
	globalThis.sockets = 0;
	const Counted = class extends Socket { constructor(...args) { super(...args); sockets++; } };
	globalThis.client = connect(base, { WebSocket: Counted, maxBackoff: 400, ...options });
	globalThis.shown = { products: client.collection("products") };`

// TestRestartInNode restarts a real server after WebSockets have failed often
// enough for event streams to be tried: the client comes back over a WebSocket.
func TestRestartInNode(t *testing.T) {
	packages(t, "ws")
	s := openShop(t)
	s.start()
	defer func() { s.kill() }()
	s.put(product{ID: 1, Name: "one"})
	node := startNode(t)
	node.run(t, fmt.Sprintf(`const { connect } = bindery, Socket = requireFrom("ws"), base = "http://%s/", options = {};`, s.addr)+attempts)
	node.shows(t, "the row", `shown.products.size === 1 && client.transport === "websocket"`)
	for round := range 3 {
		node.run(t, `sockets = 0`)
		s.kill()
		node.shows(t, "WebSockets that fail", fmt.Sprintf(`sockets >= %d`, 2+round))
		s.start()
		s.put(product{ID: 1, Name: fmt.Sprint(round)})
		node.shows(t, "the row, over a WebSocket", fmt.Sprintf(`shown.products.get(1)?.name === "%d" && client.transport === "websocket"`, round))
	}

	// Where WebSockets really fail, streams are used, and left when they do not.
	s.noSocket.Store(true)
	s.link.each((*conn).cut)
	node.shows(t, "a stream", `client.transport === "sse" && client.status === "live"`)
	s.put(product{ID: 2, Name: "two"})
	node.shows(t, "the row, over a stream", `shown.products.get(2)?.name === "two"`)
	s.kill()
	node.shows(t, "that it is away", `client.status !== "live"`)
	s.noSocket.Store(false)
	s.start()
	node.shows(t, "a WebSocket again", `client.transport === "websocket" && client.status === "live"`)
	node.run(t, `client.close()`)
}

// TestRestartWithTenTabs does the same with more tabs than a browser has
// connections for event streams (six to a host): none is left on a stream.
func TestRestartWithTenTabs(t *testing.T) {
	newTab := newBrowser(t)
	s := openShop(t)
	s.start()
	defer func() { s.kill() }()
	s.put(product{ID: 1, Name: "one"})
	var tabs []context.Context
	for range 10 {
		tab := newTab(t)
		visit(t, s, tab)
		run(t, tab, `const { connect } = await import("/bindery/bindery.js"), Socket = WebSocket, base = "/", options = {};`+attempts)
		tabs = append(tabs, tab)
	}
	each := func(what, expression string) {
		t.Helper()
		for _, tab := range tabs {
			shows(t, tab, what, expression)
		}
	}
	each("the row", `shown.products.size === 1 && client.transport === "websocket"`)
	for round := range 2 {
		for _, tab := range tabs {
			run(t, tab, `sockets = 0`)
		}
		s.kill()
		each("WebSockets that fail", `sockets >= 2`)
		s.start()
		s.put(product{ID: 1, Name: fmt.Sprint(round)})
		each("the row, over a WebSocket", fmt.Sprintf(`shown.products.get(1)?.name === "%d" && client.transport === "websocket"`, round))
	}
	for _, tab := range tabs {
		run(t, tab, `client.close()`)
	}
}
