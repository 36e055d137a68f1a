package jsclient_test

import (
	"fmt"
	"testing"
)

// TestTanStack has the real TanStack DB follow and write bindings of a real server.
func TestTanStack(t *testing.T) {
	packages(t, "ws", "@tanstack/db")
	s := openShop(t)
	s.start()
	defer func() { s.kill() }()
	price := 1.5
	s.put(product{ID: 1, Name: "one", Price: &price}, product{ID: 2, Name: "two"})
	s.report(s.tracks.Put(track{1, 1, "a"}, track{1, 2, "b"}, track{2, 1, "c"}))
	node := startNode(t)
	node.run(t, fmt.Sprintf(`
		const { createCollection, createLiveQueryCollection, eq } = await importFrom("@tanstack/db");
		const { bindingCollectionOptions } = await import(new URL("../npm/tanstack.js", "file://" + process.argv[1]));
		globalThis.client = bindery.connect("http://%s/", { WebSocket: requireFrom("ws"), backoff: 20, maxBackoff: 200 });
		globalThis.products = createCollection(bindingCollectionOptions({ client, binding: "products" }));
		globalThis.list = createCollection(bindingCollectionOptions({ client, binding: "list", params: { list: 1 }, key: ["list", "track"] }));
		globalThis.refused = createCollection(bindingCollectionOptions({ client, binding: "no-such-thing" }));
		globalThis.cheap = createLiveQueryCollection((q) => q.from({ p: products }).where(({ p }) => eq(p.price, 1.5)).select(({ p }) => ({ id: p.id, name: p.name })));
		await Promise.all([products.preload(), list.preload(), cheap.preload()]);
		globalThis.names = (c) => [...c.values()].sort((a, b) => a.id - b.id).map((r) => r.name ?? r.title).join();`, s.addr))
	if got := node.run(t, `return [names(products), names(list), names(cheap), [...list.keys()].join(" ")].join(" | ")`); got != `one,two | a,b | one | [1,1] [1,2]` {
		t.Errorf("at first: %s", got)
	}
	if got := node.run(t, `return await refused.preload().then(() => "ready", (e) => "" + (e.status ?? e.message))`); got != "404" {
		t.Errorf("a refused binding: %s", got)
	}

	s.put(product{ID: 3, Name: "three", Price: &price}, product{ID: 1, Name: "eins", Price: &price})
	node.shows(t, "the changes, in a live query too", `names(products) === "eins,two,three" && names(cheap) === "eins,three"`)
	s.remove(2)
	node.shows(t, "the removal", `names(products) === "eins,three"`)

	got := node.run(t, `
		const inserted = products.insert({ id: 7, name: "sieben", price: 1.5, seen: "2026-01-01T00:00:00Z" });
		const at = names(products) + " " + names(cheap);
		await inserted.isPersisted.promise;
		const updated = products.update(3, (row) => { row.name = "drei"; });
		await updated.isPersisted.promise;
		await products.delete(1).isPersisted.promise;
		return [at, names(products), names(cheap), products.utils.live().pending].join(" | ");`)
	if want := "eins,three,sieben eins,three,sieben | drei,sieben | drei,sieben | 0"; got != want {
		t.Errorf("writes: %s, want %s", got, want)
	}
	rows, version := s.now("products")
	node.shows(t, "the server's version", fmt.Sprintf(`products.utils.live().version === %q`, version))
	if got := node.run(t, `return JSON.stringify(products.utils.live().rows)`); !sameJSON(t, got, rows) {
		t.Errorf("it has %s, the server %s", got, rows)
	}

	got = node.run(t, `
		const refused = products.update(3, (row) => { row.seen = "no time at all"; });
		const at = products.get(3).seen;
		const err = await refused.isPersisted.promise.catch((e) => e);
		return [at, err.status, products.get(3).seen !== at].join();`)
	if got != "no time at all,422,true" {
		t.Errorf("a refused write: %s", got)
	}

	// The server restarts; what is written meanwhile is there when it is back.
	s.kill()
	s.put(product{ID: 9, Name: "neun"})
	s.start()
	node.shows(t, "what was missed", `names(products) === "drei,sieben,neun"`)
	got = node.run(t, `
		await Promise.all([cheap.cleanup(), products.cleanup(), list.cleanup()]);
		const after = products.utils.live();
		await products.preload();
		return [after, names(products)].join();`)
	if got != ",drei,sieben,neun" {
		t.Errorf("cleaned up and started again: %s", got)
	}
	node.run(t, `await products.cleanup(); client.close()`)
}
