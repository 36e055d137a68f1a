package main

import (
	"strings"
	"testing"
)

// TestNPMSocketIO: the npm client socket.io-client holds at every version what the
// list says, on every transport, also after a restart of the shop: the versions are
// those of REST.
func TestNPMSocketIO(t *testing.T) {
	for _, transports := range [][]string{{"polling"}, {"websocket"}, {"polling", "websocket"}} {
		t.Run(strings.Join(transports, ","), func(t *testing.T) {
			shop := openNodeShop(t, 2500)
			client := startScript(t, "socketio.mjs", "socket.io-client")
			defer client.end()
			client.tell(map[string]any{"open": strings.TrimSuffix(shop.url, "/"), "transports": transports})
			client.next("open")
			emit := func(event string, argument map[string]any) {
				t.Helper()
				client.do("emit", []any{event, argument})
			}

			emit("products", nil)
			batch := client.next("batch")
			batch.acts(t, "sync", "sync", "sync")
			shop.holds(batch)
			shop.reprice(5, "0.25")
			batch = client.next("batch")
			batch.acts(t, "update")
			shop.holds(batch)
			shop.swap()
			batch = client.next("batch")
			batch.acts(t, "create", "delete")
			shop.holds(batch)
			emit("cheapest", nil)
			shop.holds(client.next("batch"))
			emit("cheapest", map[string]any{"disconnect": true})
			client.next("leave")

			// The shop comes back on unchanged data, and then on others.
			shop.stop()
			client.next("close")
			shop.again()
			client.next("open")
			emit("products", map[string]any{"version": batch.Version})
			if same := client.next("batch"); !same.Current || same.Version != batch.Version {
				t.Errorf("after a restart: %q at %s, was %s", same.Actions, same.Version, batch.Version)
			}
			shop.stop()
			client.next("close")
			shop.swap()
			shop.again()
			client.next("open")
			emit("products", map[string]any{"version": batch.Version})
			batch = client.next("batch")
			batch.acts(t, "sync", "sync", "sync")
			shop.holds(batch)
		})
	}
}
