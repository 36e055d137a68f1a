package jsclient_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/binderyhq/bindery/transports/clienttest"
)

// TestConformance holds the client to the suite for clients, in Node: with the key's
// columns named, and inferred; and with an EventSource as browsers have it, which hides
// why it was refused.
func TestConformance(t *testing.T) {
	packages(t, "ws", "eventsource")
	all := []clienttest.Transport{clienttest.WebSocket, clienttest.SSE, clienttest.Poll}
	for _, c := range []struct {
		name       string
		declared   bool
		options    string
		transports []clienttest.Transport
	}{
		{"declared key", true, ``, all},
		{"inferred key", false, ``, all},
		{"EventSource", true, `EventSource: requireFrom("eventsource").EventSource`, all[1:2]},
	} {
		t.Run(c.name, func(t *testing.T) {
			node := startNode(t)
			clienttest.Run(t, clienttest.Harness{
				Transports: c.transports,
				Open: func(_ context.Context, f clienttest.Follow, show func(clienttest.State)) (clienttest.Client, error) {
					if !c.declared {
						f.Key = nil
					}
					return node.follow(f, c.options, show)
				},
			})
		})
	}
}

// followed is one client in Node, for the suite.
type followed struct {
	node *nodePage
	name string
}

var follows atomic.Int64

func (p *nodePage) follow(f clienttest.Follow, options string, show func(clienttest.State)) (clienttest.Client, error) {
	c := &followed{p, fmt.Sprint("client-", follows.Add(1))}
	p.on(c.name, func(value json.RawMessage) {
		var s clienttest.State
		if err := json.Unmarshal(value, &s); err != nil {
			s.Version = "no state: " + string(value)
		}
		show(s)
	})
	given, err := json.Marshal(map[string]any{"name": c.name, "base": f.Base, "transport": f.Transport, "binding": f.Binding, "params": f.Params, "key": f.Key})
	if err != nil {
		return nil, err
	}
	_, err = p.try(`
		const { name, base, transport, binding, params, key } = ` + string(given) + `;
		const client = bindery.connect(base, { transport, WebSocket: requireFrom("ws"), backoff: 5, maxBackoff: 30, pollInterval: 5, ` + options + ` });
		(globalThis.clients ??= {})[name] = client;
		client.collection(binding, { params: params ?? undefined, key: key ?? undefined }).subscribe(({ status, version, rows, error }) =>
			report(name, { status, version, rows, problem: error?.status ?? 0 }));`)
	return c, err
}

func (c *followed) Close() error {
	_, err := c.node.try(`clients["` + c.name + `"].close(); delete clients["` + c.name + `"];`)
	c.node.on(c.name, nil)
	return err
}
