package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/binderyhq/bindery/sources/natssource"
)

// changesSubject is where the nodes of the shop tell each other of their writes.
const changesSubject = "storefront.changes"

// nodes is this node's connection to the others.
type nodes struct {
	conn  *nats.Conn
	relay *natssource.Relay
}

// joinNodes joins the nodes that use the NATS server at the URL. A server that is
// away is tried again and again; until it answers the bindings are stale.
func joinNodes(url string) (*nodes, error) {
	for one := range strings.SplitSeq(url, ",") {
		// The client takes any address for one that is away.
		if scheme, _, ok := strings.Cut(one, "://"); ok && !slices.Contains([]string{"nats", "tls", "ws", "wss"}, scheme) {
			return nil, fmt.Errorf("storefront: -nats %q: want nats://HOST:PORT, or tls://, ws:// or wss://", url)
		}
	}
	conn, err := nats.Connect(url, nats.Name("bindery storefront"), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))
	if err != nil {
		return nil, fmt.Errorf("storefront: -nats %q: %w", url, err)
	}
	return &nodes{conn: conn, relay: natssource.New(conn, changesSubject, natssource.Config{
		// What other sources see, every node sees by itself.
		Relays: func(source string) bool { return source == "bunsource" },
	})}, nil
}

// close closes the connection, when the registry has been shut down.
func (n *nodes) close() {
	if n != nil {
		n.conn.Close()
	}
}
