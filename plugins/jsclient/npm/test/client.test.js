import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../index.js";
import { World, message, ok, problem, settle, sync } from "./world.js";

function begin(options, base = "http://shop.test/") {
  const world = new World();
  return { world, client: connect(base, world.options(options)) };
}

const ids = (c) => [...c].map((r) => r.id);

test("URLs are relative to the base", () => {
  for (const [base, options, url] of [
    ["http://shop.test", {}, "ws://shop.test/ws"],
    ["https://shop.test/live/?x=1#y", {}, "wss://shop.test/live/ws"],
    ["https://shop.test/live", { websocket: "/socket" }, "wss://shop.test/socket"],
    ["https://shop.test/", { websocket: "https://sockets.test/ws" }, "wss://sockets.test/ws"],
  ]) {
    const { world, client } = begin(options, base);
    assert.equal(world.sockets.length, 0, "nothing is opened before it is needed");
    client.collection("products");
    assert.equal(world.socket.url, url);
  }
});

test("several bindings and members share one socket", async () => {
  const { world, client } = begin();
  const products = client.collection("products");
  const mine = client.collection("orders", { params: { user: 42 } });
  const theirs = client.collection("orders", { params: { user: 7 } });
  world.socket.open();
  const late = client.collection("cheapest");
  assert.equal(world.sockets.length, 1);
  assert.deepEqual(world.socket.take(), [
    { event: "products" }, { event: "orders", params: { user: 42 } }, { event: "orders", params: { user: 7 } }, { event: "cheapest" },
  ]);
  world.socket.receive(
    sync("orders", "o1", [{ id: 1 }], { params: { user: "7" } }), // the server may spell it otherwise
    sync("products", "p1", [{ id: 1 }, { id: 2 }], { pages: 2, more: true }),
    sync("orders", "o2", [{ id: 8 }, { id: 9 }], { params: { user: 42 } }),
    sync("products", "p1", [{ id: 3 }], { page: 2, pages: 2 }),
    sync("cheapest", "c1", []),
  );
  assert.deepEqual([products, mine, theirs, late].map(ids), [[1, 2, 3], [8, 9], [1], []]);

  world.socket.fail();
  await world.run(500);
  world.socket.open();
  assert.deepEqual(world.socket.take(), [
    { event: "products", version: "p1" }, { event: "orders", params: { user: 42 }, version: "o2" },
    { event: "orders", params: { user: 7 }, version: "o1" }, { event: "cheapest", version: "c1" },
  ]);
});

test("the ancestor's API", async () => {
  const { world, client: io } = begin();
  const seen = [];
  const off = io.on("products", (m) => seen.push([m.action, m.payload]));
  io.emit("products");
  world.socket.open();
  assert.deepEqual(world.socket.take(), [{ event: "products" }]);
  world.socket.receive(sync("products", "v1", [{ id: 1 }], { more: true, pages: 2 }));
  assert.deepEqual(seen, [], "a batch is told when it is complete");
  world.socket.receive(sync("products", "v1", [{ id: 2 }], { page: 2, pages: 2 }), message("create", "products", "v2", [{ id: 3 }]));
  assert.deepEqual(seen.splice(0), [["sync", [{ id: 1 }]], ["sync", [{ id: 2 }]], ["create", [{ id: 3 }]]]);

  world.socket.fail();
  await world.run(500);
  world.socket.open();
  assert.deepEqual(world.socket.take(), [{ event: "products", version: "v2" }]);

  io.emit("products", { page: 2 });
  world.socket.receive({ event: "products", action: "page", payload: [{ id: 2 }], page: 2, pages: 2, version: "v2" });
  assert.deepEqual(world.socket.take(), [{ event: "products", page: 2 }]);
  assert.deepEqual(seen.splice(0), [["page", [{ id: 2 }]]]);

  io.emit("products", { disconnect: true });
  world.socket.receive(message("create", "products", "v3", [{ id: 4 }])); // was under way
  world.socket.receive({ event: "products", action: "leave" });
  assert.deepEqual(world.socket.take(), [{ event: "products", disconnect: true }]);
  assert.deepEqual(seen.splice(0), [["leave", undefined]]);

  io.emit("products", { version: "v3" });
  assert.deepEqual(world.socket.take(), [{ event: "products", version: "v3" }]);
  world.socket.receive(ok("products", "v3"));
  assert.deepEqual(seen.splice(0), [["sync", "ok"]]);
  off();
  world.socket.receive(message("create", "products", "v4", [{ id: 5 }]));
  assert.deepEqual(seen, []);
  assert.throws(() => io.emit("products", { page: 0 }), RangeError);
  assert.throws(() => io.emit(""), TypeError);
});

test("leaving is always confirmed", async () => {
  const { world, client: io } = begin();
  const seen = [];
  io.on("products", (m) => seen.push(m.action));
  io.emit("products", { disconnect: true }); // never joined
  await settle();
  assert.deepEqual(seen.splice(0), ["leave"]);
  io.emit("products");
  world.socket.open();
  io.emit("products", { disconnect: true });
  world.socket.fail(); // before the server confirms
  assert.deepEqual(seen.splice(0), ["leave"]);
  await world.run(500);
  world.socket.open();
  assert.deepEqual(world.socket.take(), [], "what was left is not joined again");
  // While a collection needs the binding, the server is not left.
  const products = io.collection("products");
  io.emit("products").emit("products", { disconnect: true });
  await settle();
  assert.deepEqual(seen.splice(0), ["leave"]);
  world.socket.receive(sync("products", "v1", [{ id: 1 }]));
  assert.equal(products.size, 1);
});

test("joined again before the leave is confirmed, what belonged to the old join is dropped", () => {
  const { world, client: io } = begin();
  const seen = [];
  io.on("products", (m) => seen.push(m.version ?? m.action));
  io.emit("products");
  world.socket.open();
  io.emit("products", { disconnect: true }).emit("products").emit("products", { disconnect: true }).emit("products");
  world.socket.receive(sync("products", "old", []), { event: "products", action: "leave" }, sync("products", "older", []),
    { event: "products", action: "leave" }, sync("products", "new", []));
  assert.deepEqual(seen, ["leave", "leave", "new"]);
});

test("a collection of what was joined by emit fetches the rows, and the other way round", () => {
  const { world, client: io } = begin();
  io.emit("products");
  world.socket.open();
  world.socket.receive(sync("products", "v1", [{ id: 1 }]));
  world.socket.take();
  const products = io.collection("products");
  assert.deepEqual(world.socket.take(), [{ event: "products" }]);
  world.socket.receive(message("create", "products", "v2", [{ id: 2 }])); // of the join before
  assert.equal(products.size, 0);
  world.socket.receive(sync("products", "v2", [{ id: 1 }, { id: 2 }]));
  assert.equal(products.size, 2);
  io.emit("products", { version: "v0" });
  assert.deepEqual(world.socket.take(), [{ event: "products" }], "a version that the rows do not have is of no use");
});

test("a refusal closes its own collection only", async () => {
  const { world, client } = begin();
  const products = client.collection("products");
  const secret = client.collection("secret");
  const seen = [];
  client.on("secret", (m) => seen.push(m.payload.status));
  const errors = [];
  secret.on("error", (e) => errors.push(e.error.status));
  world.socket.open();
  world.socket.receive(problem("secret", 403, "Forbidden", {}), sync("products", "v1", [{ id: 1 }]));
  await assert.rejects(secret.ready, { name: "BinderyError", status: 403, title: "Forbidden" });
  assert.equal(secret.status, "closed");
  assert.equal(secret.error.status, 403);
  assert.deepEqual([seen, errors], [[403], [403]]);
  assert.equal(products.status, "live");
  world.socket.fail();
  await world.run(500);
  world.socket.open();
  assert.deepEqual(world.socket.take(), [{ event: "products", version: "v1" }], "what was refused is not asked for again");
  assert.notEqual(client.collection("secret"), secret);
  assert.deepEqual(world.socket.take(), [{ event: "secret" }], "until somebody does");
});

test("a problem that may pass is tried again", async () => {
  const { world, client } = begin();
  const products = client.collection("products");
  const errors = [];
  products.on("error", (e) => errors.push(e.error.status));
  world.socket.open();
  world.socket.take();
  world.socket.receive(problem("products", 503, "Not loaded yet"));
  assert.deepEqual(errors, [503]);
  assert.equal(products.status, "connecting");
  await world.run(2000);
  assert.deepEqual(world.socket.take(), [{ event: "products" }]);
  world.socket.receive(sync("products", "v1", []));
  await products.ready;
});

test("an error of no binding is the client's", () => {
  const { world, client } = begin();
  client.collection("products");
  let error;
  client.addEventListener("error", (e) => (error = e.error));
  world.socket.open();
  world.socket.receive({ action: "error", payload: { title: "Malformed message", status: 400 } });
  assert.equal(error.status, 400);
  world.socket.onmessage({ data: "{" });
  assert.match(error.message, /no JSON/);
  assert.equal(client.status, "waiting");
});

test("back-off doubles, is bounded, has full jitter, and begins anew after a connection that lasted", async () => {
  const world = new World();
  const random = { value: 1 };
  const options = world.options({ sse: false });
  options.clock.random = () => random.value;
  const client = connect("http://shop.test/", options);
  client.collection("products");
  const delays = [];
  for (let i = 0; i < 8; i++) {
    const from = world.time;
    const n = world.sockets.length;
    world.socket.fail();
    assert.equal(client.status, "waiting");
    while (world.sockets.length === n) await world.run(50);
    delays.push(Math.round((world.time - from) / 100) * 100);
  }
  assert.deepEqual(delays, [500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]);
  random.value = 0.1;
  world.socket.fail();
  await world.run(1500);
  assert.equal(world.sockets.length, 10, "a tenth of the bound");
  random.value = 1;
  world.socket.open();
  await world.run(6000);
  world.socket.fail();
  await world.run(500);
  assert.equal(world.sockets.length, 11);
  // A server that accepts and ends connections at once is not hammered.
  world.socket.open();
  world.socket.fail();
  await world.run(999);
  assert.equal(world.sockets.length, 11);
  await world.run(1);
  assert.equal(world.sockets.length, 12);
});

test("sleep is noticed, and the connection asked for a sign of life", async () => {
  const { world, client } = begin({ quietTimeout: 1e9 });
  const products = client.collection("products");
  world.socket.open();
  world.socket.receive(sync("products", "v1", [{ id: 1 }]));
  await world.run(20_000);
  world.socket.take();
  const [asleep] = world.sockets;

  await world.sleep(3_600_000);
  assert.deepEqual(asleep.take(), [{ event: "bindery:ping", disconnect: true }]);
  asleep.receive({ event: "bindery:ping", action: "leave" });
  await world.run(6000);
  assert.equal(client.status, "live", "the connection survived");

  await world.sleep(3_600_000);
  assert.equal(asleep.take().length, 1);
  await world.run(5500); // no answer
  assert.equal(world.sockets.length, 2);
  assert.equal(products.status, "stale");
  world.socket.open();
  assert.deepEqual(world.socket.take(), [{ event: "products", version: "v1" }]);
  world.socket.receive(ok("products", "v1"));
  assert.equal(products.status, "live");
});

test("a network that went silent is noticed", async () => {
  const { world, client } = begin();
  client.collection("products");
  world.socket.open();
  world.socket.take();
  await world.run(31_000);
  assert.deepEqual(world.socket.take(), [{ event: "bindery:ping", disconnect: true }]);
  await world.run(5_000);
  assert.equal(world.sockets.length, 2);
});

test("a page that shows again, and a network that is back, end the wait", async () => {
  const { world, client } = begin({ sse: false });
  client.collection("products");
  for (let i = 0; i < 10; i++) {
    world.socket.fail();
    await world.run(i < 9 ? 15_000 : 0);
  }
  const n = world.sockets.length;
  world.window.dispatchEvent(new Event("online"));
  assert.equal(world.sockets.length, n + 1);
  world.socket.open();
  world.socket.take();
  world.document.visibilityState = "hidden";
  world.document.dispatchEvent(new Event("visibilitychange"));
  assert.deepEqual(world.socket.take(), []);
  world.document.visibilityState = "visible";
  world.document.dispatchEvent(new Event("visibilitychange"));
  assert.deepEqual(world.socket.take(), [{ event: "bindery:ping", disconnect: true }]);
});

test("a page in the back-forward cache holds no connection", async () => {
  const { world, client } = begin();
  const products = client.collection("products");
  world.socket.open();
  world.socket.receive(sync("products", "v1", []));
  world.window.dispatchEvent(new Event("pagehide"));
  assert.equal(world.socket.readyState, 3);
  assert.equal(products.status, "stale");
  await world.run(100_000);
  assert.equal(world.sockets.length, 1);
  world.window.dispatchEvent(new Event("pageshow"));
  world.socket.open();
  assert.deepEqual(world.socket.take(), [{ event: "products", version: "v1" }]);
});

test("close ends everything, for good", async () => {
  const { world, client } = begin();
  const products = client.collection("products");
  world.socket.open();
  client.close();
  client.close();
  assert.equal(client.status, "closed");
  assert.equal(products.status, "closed");
  await assert.rejects(products.ready, /closed/);
  assert.throws(() => client.collection("products"), /closed/);
  world.window.dispatchEvent(new Event("online"));
  await world.run(100_000);
  assert.equal(world.sockets.length, 1);
  assert.equal(world.timers.size, 0, "no timer is left");
});

test("a listener may close the client in the middle of anything", async () => {
  for (const breakIt of [(w) => w.socket.fail(), (w) => w.socket.receive(sync("products", "v2", []))]) {
    const { world, client } = begin();
    const products = client.collection("products");
    world.socket.open();
    world.socket.receive(sync("products", "v1", []));
    products.on("status", () => client.close());
    products.on("version", () => client.close());
    breakIt(world);
    await world.run(100_000);
    assert.equal(client.status, "closed");
    assert.equal(world.sockets.length, 1);
    assert.equal(world.timers.size, 0);
  }
});

test("without any transport there is an error that says so", () => {
  const { client } = begin({ WebSocket: undefined, EventSource: undefined, fetch: undefined });
  assert.throws(() => client.collection("products"), /pass a constructor/);
  assert.throws(() => client.emit("products"), /pass a constructor/);
  assert.equal(client.status, "idle");
  const nowhere = connect(undefined, new World().options()); // a server that renders has no page
  assert.throws(() => nowhere.collection("products"), TypeError);
});

// --- Server-Sent Events -----------------------------------------------------

test("SSE is used when there is no WebSocket", async () => {
  const { world, client } = begin({ WebSocket: undefined });
  const products = client.collection("products");
  const cheapest = client.collection("cheapest");
  const mine = client.collection("orders", { params: { user: 42 } });
  await world.run(0);
  assert.deepEqual(world.streams.map((s) => String(s.url)), ["http://shop.test/events?event=products&event=cheapest&event=orders%3Fuser%3D42"]);
  const [first] = world.streams;
  first.open();
  assert.equal(client.transport, "sse");
  assert.equal(client.status, "live");
  first.receive(sync("products", "p1", [{ id: 1 }]), sync("cheapest", "c1", [{ id: 1 }]), sync("orders", "o1", [{ id: 7 }], { params: { user: "42" } }));
  assert.deepEqual([products, cheapest, mine].map(ids), [[1], [1], [7]]);

  // A binding more: the stream is opened anew, each binding at its version.
  client.collection("everything");
  await world.run(0);
  assert.equal(first.readyState, 2);
  const names = "event=products&event=cheapest&event=orders%3Fuser%3D42&event=everything";
  assert.equal(String(world.stream.url), `http://shop.test/events?${names}&version=p1.c1.o1.`);
  world.stream.open();
  world.stream.receive(ok("products", "p1"), ok("cheapest", "c1"), ok("orders", "o1", { params: { user: 42 } }), sync("everything", "e1", []));
  cheapest.close();
  products.close();
  await world.run(0);
  assert.equal(String(world.stream.url), "http://shop.test/events?event=orders%3Fuser%3D42&event=everything&version=o1.e1");

  world.stream.open();
  world.stream.fail();
  assert.equal(mine.status, "stale");
  await world.run(500);
  assert.equal(world.stream.url.searchParams.get("version"), "o1.e1");
});

test("a member alone has a stream of its own path, and many have several streams", async () => {
  const { world, client } = begin({ WebSocket: undefined });
  client.collection("orders", { params: { user: "a&b", open: true } });
  await world.run(0);
  assert.equal(String(world.stream.url), "http://shop.test/events/orders?user=a%26b&open=true");
  for (let i = 0; i < 10; i++) client.collection("orders", { params: { user: `${i}`.repeat(500) } });
  await world.run(0);
  const open = world.streams.filter((s) => s.readyState === 0);
  assert.ok(open.length > 1);
  assert.equal(open.reduce((sum, s) => sum + (s.url.searchParams.getAll("event").length || 1), 0), 11);
  assert.ok(open.every((s) => String(s.url).length < 4_000));
});

test("the server may spell parameters otherwise", () => {
  const { world, client: io } = begin();
  const at = "2026-01-02T03:04:05.5+01:00";
  const cheap = io.collection("below", { params: { price: "1.50", since: at } });
  const dear = io.collection("below", { params: { price: 15n, since: at } });
  const plain = io.collection("products", { params: {} });
  world.socket.open();
  assert.deepEqual(world.socket.take(), [
    { event: "below", params: { price: "1.50", since: at } }, { event: "below", params: { price: "15", since: at } }, { event: "products" },
  ]);
  const params = { price: 1.5, since: "2026-01-02T02:04:05.5Z" };
  world.socket.receive(
    sync("below", "b1", [{ id: 1 }], { params }), sync("below", "b2", [{ id: 2 }], { params: { ...params, price: 15 } }),
    sync("below", "b3", [{ id: 3 }], { params: { ...params, price: 3 } }), sync("products", "p1", [{ id: 4 }]),
  );
  assert.deepEqual([cheap, dear, plain].map(ids), [[1], [2], [4]]);
  cheap.close();
});

test("parameters may be lists, and need not be given", async () => {
  const { world, client: io } = begin();
  const both = io.collection("shelf", { params: { status: ["paid", "open", "paid"], q: "", venue: null, top: undefined } });
  const same = io.collection("shelf", { params: { status: ["open", "paid"], q: "" } });
  const one = io.collection("shelf", { params: { status: "open" } });
  const all = io.collection("shelf", { params: { status: [] } });
  const empty = io.collection("rest", { params: { q: "" } });
  world.socket.open();
  assert.deepEqual(world.socket.take(), [
    { event: "shelf", params: { status: ["paid", "open", "paid"], q: "" } }, { event: "shelf", params: { status: "open" } },
    { event: "shelf" }, { event: "rest", params: { q: "" } },
  ]);
  world.socket.receive(
    sync("shelf", "s1", [{ id: 1 }], { params: { status: ["open", "paid"] } }), // what is empty counts as not given
    sync("shelf", "s2", [{ id: 2 }], { params: { status: ["open"] } }), sync("shelf", "s3", [{ id: 3 }]), sync("rest", "r1", [{ id: 4 }]),
  );
  assert.deepEqual([both, same, one, all, empty].map(ids), [[1], [1], [2], [3], [4]]);
  for (const c of [both, same, one, all, empty]) c.close();

  const { world: without, client } = begin({ WebSocket: undefined });
  client.collection("shelf", { params: { status: ["paid", "open"], top: 3 } });
  await without.run(0);
  assert.equal(without.stream.url.pathname + without.stream.url.search, "/events/shelf?status=open&status=paid&top=3");
});

test("rights that are withdrawn close their collection, and nothing is asked for again", async () => {
  for (const options of [{}, { WebSocket: undefined }]) {
    const { world, client } = begin(options);
    const params = { user: 42 };
    const mine = client.collection("orders", { params });
    const products = client.collection("products");
    const errors = [];
    mine.on("error", ({ error }) => errors.push(error.status));
    await world.run(0);
    const server = () => world.socket ?? world.stream;
    server().open();
    server().receive(sync("orders", "o1", [{ id: 7 }], { params }), sync("products", "p1", [{ id: 1 }]));
    server().receive(problem("orders", 403, "Forbidden", { params }));
    assert.equal(mine.status, "closed");
    assert.equal(mine.error.status, 403);
    assert.deepEqual(errors, [403]);
    assert.deepEqual(world.socket?.take().slice(2) ?? [], [], "the server is not asked");
    await world.run(60_000);
    assert.equal(products.status === "closed", false);
    assert.ok(world.streams.slice(1).every((s) => s.url.search.startsWith("?event=products")), "it is not asked for again");
  }
});

test("members that are refused together and not alone are asked for alone", async () => {
  const { world, client } = begin({ WebSocket: undefined });
  client.collection("orders", { params: { user: 1 } });
  client.collection("orders", { params: { user: "01" } });
  await world.run(0);
  world.stream.refuse();
  await world.run(1);
  assert.deepEqual(world.streams.slice(-2).map((s) => s.url.pathname + s.url.search), ["/events/orders?user=1", "/events/orders?user=01"]);
});

test("SSE is used when WebSockets do not open, and left when they do", async () => {
  const { world, client } = begin({ quietTimeout: 1_000_000 });
  const products = client.collection("products");
  world.socket.fail();
  await world.run(500);
  world.socket.fail();
  await world.run(1000);
  assert.equal(world.sockets.length, 2);
  world.stream.open();
  world.stream.receive(sync("products", "v1", [{ id: 1 }]));
  assert.equal(products.status, "live");
  assert.equal(client.transport, "sse");

  // Now that something answers, a WebSocket is tried beside the stream, then ever more seldom.
  await world.run(0);
  for (const [wait, sockets] of [[5_000, 3], [10_000, 4], [20_000, 5], [40_000, 6]]) {
    assert.equal(world.sockets.length, sockets);
    world.socket.fail();
    assert.equal(client.status, "live");
    await world.run(wait - 1);
    assert.equal(world.sockets.length, sockets);
    await world.run(1);
  }
  world.stream.receive(message("create", "products", "v2", [{ id: 2 }], { more: true }));
  world.socket.open();
  assert.equal(client.transport, "websocket");
  assert.ok(world.streams.every((s) => s.readyState === 2));
  assert.deepEqual(world.socket.take(), [{ event: "products", version: "v1" }], "half a batch does not count");
  world.socket.receive(message("create", "products", "v2", [{ id: 2 }]));
  assert.deepEqual(ids(products), [1, 2]);
  assert.equal(products.status, "live");
});

test("where neither opens, they take turns; where SSE worked, it is tried again first", async () => {
  const { world, client } = begin({ maxBackoff: 1 });
  client.collection("products");
  const kinds = [];
  for (let i = 0; i < 6; i++) {
    kinds.push(client.transport);
    if (client.transport === "sse") world.stream.fail();
    else world.socket.fail();
    await world.run(2);
  }
  assert.deepEqual(kinds, ["websocket", "websocket", "sse", "websocket", "sse", "websocket"]);
  world.stream.open();
  world.stream.fail();
  await world.run(2);
  assert.equal(client.transport, "sse");
});

test("a stream that is refused: the binding to blame is found, the others go on", async () => {
  const { world, client } = begin({ WebSocket: undefined });
  const products = client.collection("products");
  const nothing = client.collection("nothing");
  await world.run(0);
  world.answers.set("http://shop.test/events?event=nothing", { status: 404, body: { title: "Unknown binding", status: 404 } });
  world.stream.refuse();
  await assert.rejects(nothing.ready, { status: 404, title: "Unknown binding" });
  await world.run(0);
  assert.equal(String(world.stream.url), "http://shop.test/events?event=products");
  world.stream.open();
  world.stream.receive(sync("products", "v1", []));
  await products.ready;
});

test("a stream that is refused by a server that is busy is tried again", async () => {
  const { world, client } = begin({ WebSocket: undefined });
  const products = client.collection("products");
  await world.run(0);
  world.answers.set("http://shop.test/events?event=products", { status: 503 });
  world.stream.refuse();
  await settle();
  assert.equal(client.status, "waiting");
  await world.run(500);
  assert.equal(world.streams.length, 2);
  world.stream.open();
  world.stream.receive(problem("products", 404, "Unknown binding")); // removed while running
  await assert.rejects(products.ready, { status: 404 });
});

test("many bindings spread over several streams", async () => {
  const { world, client } = begin({ WebSocket: undefined });
  for (let i = 0; i < 120; i++) client.collection(`b${i}`);
  await world.run(0);
  assert.deepEqual(world.streams.map((s) => s.url.searchParams.getAll("event").length), [50, 50, 20]);
});

test("over SSE a quiet stream is opened again, and so it is after sleep", async () => {
  const { world, client } = begin({ WebSocket: undefined });
  const products = client.collection("products");
  await world.run(0);
  world.stream.open();
  world.stream.receive(sync("products", "v1", []));
  await world.run(60_001);
  assert.equal(world.streams.length, 2);
  assert.equal(products.status, "live");
  world.stream.open();
  await world.run(20_000);
  await world.sleep(600_000);
  await world.run(1);
  assert.equal(world.streams.at(-1).url.searchParams.get("version"), "v1");
  assert.equal(world.streams.at(-1).readyState, 0);
  await world.run(10_001); // nobody there
  assert.equal(products.status, "stale");
});
