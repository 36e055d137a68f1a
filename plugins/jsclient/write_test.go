package jsclient_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestWrites writes from a browser, over REST, while others write too: what the page
// shows settles on what the server has.
func TestWrites(t *testing.T) {
	newTab := newBrowser(t)
	for _, kind := range []struct{ name, options string }{
		{"websocket", `{ sse: false }`},
		{"sse", `{ websocket: false }`},
		{"poll", `{ transport: "poll" }`},
	} {
		t.Run(kind.name, func(t *testing.T) {
			s := openShop(t)
			s.start()
			defer func() { s.kill() }()
			price := 1.5
			s.put(product{ID: 1, Name: "one", Price: &price}, product{ID: 2, Name: "two", Price: &price})
			tab := newTab(t)
			visit(t, s, tab)
			connect(t, tab, kind.options, "products")
			agrees(t, s, tab, "products")

			got := run(t, tab, `
				const { products } = shown;
				const written = products.update(1, { name: "eins" });
				const at = products.get(1).name + " " + products.pending;
				const row = await written;
				await written.settled;
				return [at, row.name, products.get(1).name, products.pending].join();`)
			if got != "eins 1,eins,eins,0" {
				t.Errorf("an update: %s", got)
			}
			agrees(t, s, tab, "products")
			got = run(t, tab, `
				const { products } = shown;
				const made = products.create({ id: 7, name: "sieben", price: null, seen: "2026-01-01T00:00:00Z" });
				const size = products.size;
				await made;
				const gone = products.remove(2, { ifMatch: true });
				const without = products.size;
				await gone;
				await Promise.all([made.settled, gone.settled]);
				return [size, without, products.size, products.pending].join();`)
			if got != "3,2,2,0" {
				t.Errorf("a create and a remove: %s", got)
			}
			agrees(t, s, tab, "products")
			got = run(t, tab, `
				const { products } = shown;
				const said = [];
				const tell = (e) => said.push(e.status + " " + (e.problem.errors?.[0].field ?? ""));
				await products.update(1, { nonsense: 1 }).catch(tell);
				await products.remove(1, { ifMatch: '"another"' }).catch(tell);
				await products.update(99, { name: "x" }).catch(tell);
				await products.update(1, { name: "eins" }).then((r) => r.settled); // changes nothing
				await products.waitFor((c) => c.pending === 0);
				return said.join() + " " + products.get(1).name;`)
			if got != "422 nonsense,412 ,404  eins" {
				t.Errorf("refusals: %s", got)
			}
			agrees(t, s, tab, "products")

			// Somebody else's write, whose mark the page has come by.
			got = run(t, tab, `
				const { products } = shown;
				const answer = await fetch("/api/products/1", {
					method: "PATCH", headers: { "content-type": "application/json" }, body: JSON.stringify({ name: "marked" }),
				});
				const mark = answer.headers.get("bindery-mark");
				await products.waitFor({ mark }, { timeout: 9000 });
				return answer.status + " " + products.get(1).name;`)
			if got != "200 marked" {
				t.Errorf("a mark: %s", got)
			}

			rnd := rand.New(rand.NewPCG(9, 9))
			for round := range 4 {
				run(t, tab, fmt.Sprintf(`
					const { products } = shown;
					window.busy = [];
					for (let i = 0; i < 20; i++) {
						const id = 1 + (i * 7 + %d) %% 40;
						const go = products.has(id) ? (i %% 3 ? products.update(id, { name: "page " + i }) : products.remove(id))
							: products.create({ id, name: "page " + i, price: i, seen: "2026-01-01T00:00:00Z" });
						busy.push(go.catch((e) => { if (![404, 409, 422].includes(e.status)) throw e; }), go.settled);
					}`, round))
				for range 5 {
					s.change(rnd)
				}
				if round%2 == 1 {
					run(t, tab, `await Promise.all(busy)`)
					s.link.each((*conn).cut)
				}
				run(t, tab, `await Promise.all(busy)`)
				shows(t, tab, "that every write has settled", `shown.products.pending === 0`)
				agrees(t, s, tab, "products")
			}
			run(t, tab, `client.close()`)
		})
	}
}
