import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../index.js";
import { World, message, ok, refusal, settle, sync } from "./world.js";

// begin opens a collection, and collects the requests that it makes. Each is
// answered by the test.
function begin(options, more) {
  const world = new World();
  const requests = [];
  world.serve = (url, init) => new Promise((resolve, reject) => {
    requests.push({ method: init.method, path: url.pathname + url.search, body: init.body && JSON.parse(init.body), headers: init.headers, signal: init.signal, resolve, reject });
    init.signal?.addEventListener("abort", () => reject(init.signal.reason));
  });
  const client = connect("http://shop.test/", world.options(more));
  const products = client.collection("products", options);
  world.socket?.open();
  world.socket?.take();
  return { world, client, products, requests };
}

const row = (body, status = 200, headers = {}) => new Response(body === null ? null : JSON.stringify(body), { status, headers });
const three = [{ id: 1, name: "a" }, { id: 2, name: "b" }, { id: 3, name: "c" }];
const ids = (c) => [...c].map((r) => r.id);

test("an update shows at once, then as the server has it, then as its rows tell", async () => {
  const { world, products, requests } = begin();
  world.socket.receive(sync("products", "v1", three));
  const changes = [];
  products.on("change", (e) => changes.push([e.created.length, e.updated.map((r) => r.name), e.deleted.length]));
  const written = products.update(2, { name: "B" });
  assert.deepEqual(products.get(2), { id: 2, name: "B" });
  assert.deepEqual(products.rows.map((r) => r.name), ["a", "B", "c"]);
  assert.equal(products.pending, 1);
  assert.equal(products.state.pending, 1);
  await settle();
  const [{ method, path, body, headers }] = requests;
  assert.deepEqual([method, path, body, headers["content-type"]], ["PATCH", "/api/products/2", { name: "B" }, "application/merge-patch+json"]);

  world.socket.receive(message("update", "products", "v2", [{ id: 2, name: "b", stock: 5 }])); // somebody else's
  assert.deepEqual(products.get(2), { id: 2, name: "B", stock: 5 }, "the update lies over what comes");
  requests[0].resolve(row({ id: 2, name: "B", stock: 4 }));
  assert.deepEqual(await written, { id: 2, name: "B", stock: 4 });
  assert.deepEqual(products.get(2), { id: 2, name: "B", stock: 4 });
  assert.equal(products.pending, 1, "the rows have not told it yet");
  world.socket.receive(message("update", "products", "v3", [{ id: 2, name: "B", stock: 4 }]));
  await written.settled;
  assert.equal(products.pending, 0);
  assert.equal(requests.length, 1, "nothing else was asked");
});

test("a refusal takes the row back, and brings the problem", async () => {
  const { world, products, requests } = begin();
  world.socket.receive(sync("products", "v1", three));
  const before = products.rows;
  const updated = products.update(1, { name: "" });
  const removed = products.remove(3, { ifMatch: '"tag"' });
  const created = products.create({ name: "d" });
  assert.deepEqual(products.rows.map((r) => r.name), ["", "b", "d"]);
  await settle();
  const sent = (method) => requests.find((r) => r.method === method);
  assert.equal(sent("DELETE").headers["If-Match"], '"tag"');
  sent("PATCH").resolve(refusal(422, "Invalid", { errors: [{ field: "name", detail: "is empty" }] }));
  sent("DELETE").resolve(refusal(412, "Precondition failed"));
  sent("POST").reject(new TypeError("network error"));
  await assert.rejects(updated, (err) => err.name === "BinderyError" && err.status === 422 && err.problem.errors[0].field === "name");
  await assert.rejects(removed, { status: 412 });
  await assert.rejects(created, { status: 0, title: "The server was not reached" });
  await Promise.all([updated.settled, removed.settled, created.settled]);
  assert.deepEqual(products.rows, before);
  assert.equal(products.pending, 0);
  assert.equal(world.timers.size > 0, true);
});

test("a created row gets its key with the answer, and shows once though its batch comes first", async () => {
  const { world, products, requests } = begin();
  world.socket.receive(sync("products", "v1", three));
  const written = products.create({ name: "d" });
  assert.equal(products.size, 4);
  await settle();
  world.socket.receive(message("create", "products", "v2", [{ id: 4, name: "d", stock: 0 }]));
  assert.deepEqual(ids(products), [1, 2, 3, 4], "not twice");
  requests[0].resolve(row({ id: 4, name: "d", stock: 0 }, 201));
  assert.equal((await written).id, 4);
  await written.settled;
  assert.equal(products.pending, 0);
  assert.deepEqual(products.get(4), { id: 4, name: "d", stock: 0 });
  // A row that only looked like it is no reason to hide ours.
  const other = products.create({ name: "e" });
  await settle();
  world.socket.receive(message("create", "products", "v3", [{ id: 9, name: "e", stock: 0 }]));
  requests[1].resolve(row({ id: 5, name: "e", stock: 0 }, 201));
  await other;
  assert.deepEqual(ids(products), [1, 2, 3, 4, 5, 9]);
  world.socket.receive(message("create", "products", "v4", [{ id: 5, name: "e", stock: 0 }]));
  await other.settled;
  assert.deepEqual(ids(products), [1, 2, 3, 4, 5, 9]);
});

test("a row that left the binding by the write goes when the rows tell", async () => {
  const { world, products, requests } = begin();
  world.socket.receive(sync("products", "v1", three));
  const written = products.update(2, { active: false });
  await settle();
  world.socket.receive(message("delete", "products", "v2", [{ id: 2 }]));
  requests[0].resolve(row({ id: 2, name: "b", active: false }));
  await written;
  await written.settled;
  assert.deepEqual(ids(products), [1, 3]);
});

test("a write that changes nothing settles by the version that the binding had after it", async () => {
  const { world, products, requests } = begin();
  world.socket.receive(sync("products", "v1", three));
  const written = products.update(2, { name: "b" });
  await settle();
  requests[0].resolve(row({ id: 2, name: "b" }));
  await written;
  assert.equal(products.pending, 1);
  await world.run(250);
  assert.deepEqual([requests[1].method, requests[1].path], ["HEAD", "/api/products"]);
  requests[1].resolve(row(null, 200, { etag: '"v2-gzip"' })); // further than the stream is
  await settle();
  assert.equal(products.pending, 1);
  world.socket.receive(message("create", "products", "v2", [{ id: 4, name: "d" }]));
  await written.settled;
  assert.equal(products.pending, 0);
  assert.equal(requests.length, 2);
});

test("a version that went by unseen is asked for again, and in the end time settles", async () => {
  const { world, products, requests } = begin({}, { settleTimeout: 3_000 });
  world.socket.receive(sync("products", "v1", three));
  const written = products.update(2, { name: "b" });
  await settle();
  requests[0].resolve(row({ id: 2, name: "b" }));
  await written;
  await world.run(250);
  requests[1].resolve(row(null, 200, { etag: '"v2"' }));
  await settle();
  world.socket.receive(message("create", "products", "v3", [{ id: 4, name: "d" }]));
  await world.run(250);
  assert.equal(requests.length, 3);
  requests[2].reject(new TypeError("network error"));
  await world.run(3_000);
  await written.settled;
  assert.equal(products.pending, 0);
  await world.run(10_000);
  assert.ok(requests.length < 6, "nothing is asked any more");
});

test("a mark settles exactly: when the stream has passed it", async () => {
  const { world, products, requests } = begin();
  world.socket.receive(sync("products", "v1", three));
  const written = products.update(2, { name: "B" });
  await settle();
  requests[0].resolve(row({ id: 2, name: "B" }, 200, { "bindery-mark": "m7" }));
  await written;
  assert.deepEqual(world.socket.take(), [{ event: "products", mark: "m7" }]);
  world.socket.receive(message("update", "products", "v2", [{ id: 2, name: "B" }]));
  assert.equal(products.pending, 1, "the mark decides");
  world.socket.receive({ event: "products", action: "mark", mark: "m7", version: "v2" });
  await written.settled;
  assert.equal(products.pending, 0);
  await world.run(20_000);
  assert.equal(requests.length, 1);
});

test("where the stream cannot tell a mark, HEAD does", async () => {
  for (const lose of [
    ({ world }) => world.socket.fail(),
    ({ world }) => world.socket.receive({ event: "products", action: "error", payload: { type: "urn:bindery:problem:foreign-mark", title: "Foreign mark", status: 400 } }),
    ({ world }) => world.socket.receive({ event: "products", action: "error", mark: "m7", payload: { type: "urn:bindery:problem:not-reached", title: "Not reached", status: 503 } }),
    ({ world }) => world.socket.receive({ event: "products", action: "error", mark: "m7", payload: { type: "urn:bindery:problem:too-many", title: "Too many", status: 429 } }),
  ]) {
    const at = begin();
    const { world, products, requests } = at;
    world.socket.receive(sync("products", "v1", three));
    const written = products.remove(2);
    await settle();
    requests[0].resolve(row(null, 204, { "bindery-mark": "m7" }));
    assert.equal(await written, null);
    lose(at);
    await settle();
    assert.equal(requests[1].method, "HEAD");
    assert.equal(requests[1].path, "/api/products?mark=m7");
    assert.equal(products.error, null);
    requests[1].resolve(row(null, 200, { etag: '"v2"' }));
    await world.run(600);
    if (world.sockets.length > 1) world.socket.open();
    world.socket.receive(message("delete", "products", "v2", [{ id: 2 }]));
    await world.run(600);
    for (const r of requests.slice(2)) r.resolve(row(null, 200, { etag: '"v2"' }));
    await written.settled;
    assert.deepEqual(ids(products), [1, 3]);
  }
});

test("writes of one row are sent in their order, those of others at once", async () => {
  const { world, products, requests } = begin();
  world.socket.receive(sync("products", "v1", three));
  const first = products.update(2, { name: "B" });
  const second = products.update(2, { size: 5 });
  const other = products.update(3, { name: "C" });
  assert.deepEqual(products.get(2), { id: 2, name: "B", size: 5 });
  await settle();
  assert.deepEqual(requests.map((r) => r.path), ["/api/products/2", "/api/products/3"]);
  requests[0].resolve(refusal(422, "Invalid"));
  await assert.rejects(first, { status: 422 });
  assert.deepEqual(products.get(2), { id: 2, name: "b", size: 5 }, "the second stays");
  await settle();
  assert.deepEqual(requests.map((r) => r.path), ["/api/products/2", "/api/products/3", "/api/products/2"]);
  requests[2].resolve(row({ id: 2, name: "b", size: 5 }));
  requests[1].resolve(row({ id: 3, name: "C" }));
  await Promise.all([second, other]);
  world.socket.receive(message("update", "products", "v2", [{ id: 2, name: "b", size: 5 }, { id: 3, name: "C" }]));
  await Promise.all([second.settled, other.settled]);
});

test("ifMatch: true writes only what is as it was shown", async () => {
  const { world, products, requests } = begin();
  world.socket.receive(sync("products", "v1", three));
  const good = products.update(2, { name: "B" }, { ifMatch: true });
  await settle();
  assert.deepEqual([requests[0].method, requests[0].path], ["GET", "/api/products/2"]);
  requests[0].resolve(row({ id: 2, name: "b" }, 200, { etag: 'W/"r2"' })); // weakened by a proxy that compresses
  await settle();
  assert.equal(requests[1].headers["If-Match"], '"r2"');
  requests[1].resolve(row({ id: 2, name: "B" }));
  await good;
  const bad = products.remove(1, { ifMatch: true });
  assert.equal(products.has(1), false);
  await settle();
  requests[2].resolve(row({ id: 1, name: "changed" }, 200, { etag: '"r1"' }));
  await assert.rejects(bad, { status: 412 });
  assert.equal(products.has(1), true);
});

test("keys make URLs: several columns, characters, members", async () => {
  const { world, client, requests } = begin();
  const list = client.collection("list", { params: { list: 1, who: "a&b" }, key: ["list", "name"] });
  world.socket.receive(sync("list", "l1", [{ list: 1, name: "a,b/é" }], { params: { list: 1, who: "a&b" }, order: undefined }));
  list.update([1, "a,b/é"], { n: 1 }).catch(() => {});
  list.remove({ list: 1, name: "a,b/é" }).catch(() => {});
  list.create({ list: 2, name: "x", big: 2n ** 60n }).catch(() => {});
  await settle();
  assert.deepEqual(requests.map((r) => `${r.method} ${r.path}`).sort(), [
    "PATCH /api/list/1,a%2Cb%2F%C3%A9?list=1&who=a%26b", "POST /api/list?list=1&who=a%26b",
  ]);
  assert.equal(requests.find((r) => r.method === "POST").body.big, "1152921504606846976");
  const guessed = client.collection("guessed");
  world.socket.receive(sync("guessed", "g1", [{ a: 1, b: 1 }, { a: 1, b: 2 }, { a: 2, b: 1 }], { order: ["a", "b"] }));
  assert.throws(() => guessed.update({ a: 1, b: 2 }, { n: 1 }), /option key/, "mixed up, its columns name another row");
  assert.throws(() => guessed.update({ c: 1 }, { n: 1 }), TypeError);
  assert.throws(() => list.create(null), TypeError);
});

test("without optimism the rows change when the server's do", async () => {
  const { world, products, requests } = begin();
  world.socket.receive(sync("products", "v1", three));
  const before = products.rows;
  const written = products.update(2, { name: "B" }, { optimistic: false });
  assert.equal(products.rows, before);
  await settle();
  requests[0].resolve(row({ id: 2, name: "B" }));
  await written;
  assert.equal(products.rows, before);
  world.socket.receive(message("update", "products", "v2", [{ id: 2, name: "B" }]));
  await written.settled;
  assert.equal(products.get(2).name, "B");
});

test("a write refused for want of credentials is tried once more with others", async () => {
  let token = "old";
  const { world, products, requests } = begin({}, { WebSocket: undefined, token: ({ status }) => (status ? (token = "new") : token) });
  void world;
  const written = products.create({ id: 1 });
  await settle();
  const post = () => requests.filter((r) => r.method === "POST");
  post()[0].resolve(refusal(401, "Unauthorized"));
  await settle();
  assert.deepEqual(post().map((r) => r.headers.authorization), ["Bearer old", "Bearer new"]);
  post()[1].resolve(refusal(401, "Unauthorized"));
  await assert.rejects(written, { status: 401 });
});

test("an aborted write is taken back; one without an answer too, in time", async () => {
  const { world, products, requests } = begin();
  world.socket.receive(sync("products", "v1", three));
  const aborter = new AbortController();
  const aborted = products.remove(1, { signal: aborter.signal });
  const silent = products.remove(2);
  await settle();
  aborter.abort(new Error("enough"));
  await assert.rejects(aborted, /enough/);
  assert.deepEqual(ids(products), [1, 3]);
  const rejected = assert.rejects(silent, /no answer in time/);
  await world.run(30_000);
  await rejected;
  assert.deepEqual(ids(products), [1, 2, 3]);
  assert.equal(requests.length, 2);
});

test("writes under way are bounded", () => {
  const { world, products } = begin();
  world.socket.receive(sync("products", "v1", []));
  for (let i = 0; i < 1_000; i++) products.create({ id: i }).catch(() => {});
  assert.throws(() => products.create({ id: 1_000 }), RangeError);
});

test("waitFor: a condition, a version, a mark", async () => {
  const { world, client, products, requests } = begin();
  world.socket.receive(sync("products", "v1", three));
  await products.waitFor((c) => c.size === 3);
  const four = products.waitFor((c) => c.size === 4);
  const v2 = products.waitFor({ version: "v2" });
  const mark = products.waitFor({ mark: "m1" });
  assert.deepEqual(world.socket.take(), [{ event: "products", mark: "m1" }]);
  world.socket.receive(message("create", "products", "v2", [{ id: 4, name: "d" }]), { event: "products", action: "mark", mark: "m1", version: "v2" });
  assert.deepEqual(await Promise.all([four, v2, mark]), [products, products, products]);

  const aborter = new AbortController();
  const aborted = products.waitFor(() => false, { signal: aborter.signal });
  aborter.abort(new Error("enough"));
  await assert.rejects(aborted, /enough/);
  const late = assert.rejects(products.waitFor(() => false, { timeout: 1_000 }), /too long/);
  await world.run(1_000);
  await late;
  await assert.rejects(products.waitFor(() => { throw new Error("mine"); }), /mine/);
  const closed = assert.rejects(products.waitFor(() => false), /closed/);
  client.close();
  await closed;
  assert.throws(() => products.waitFor(null), TypeError);
  assert.throws(() => products.create({}), /closed/);
  assert.equal(requests.length, 0);
  assert.equal(world.timers.size, 0);
});

test("rows that came with the page show at once and resume", async () => {
  const world = new World();
  const client = connect("http://shop.test/", world.options());
  const products = client.collection("products", { initial: { rows: three, version: "v1", order: ["id"] } });
  assert.deepEqual([products.status, products.size, products.version], ["stale", 3, "v1"]);
  await products.ready;
  world.socket.open();
  assert.deepEqual(world.socket.take(), [{ event: "products", version: "v1" }]);
  world.socket.receive(ok("products", "v1"), message("create", "products", "v2", [{ id: 0, name: "z" }]));
  assert.deepEqual(ids(products), [0, 1, 2, 3]);
  assert.equal(client.peek("products"), products.state);
  assert.equal(client.peek("others"), null);
});

test("a binding that lingers is left later, and taken up again as it is", async () => {
  const world = new World();
  const client = connect("http://shop.test/", world.options({ quietTimeout: 1e9 }));
  client.collection("products", { linger: 10_000 }).close();
  world.socket.open();
  world.socket.receive(sync("products", "v1", three));
  world.socket.take();
  await world.run(9_000);
  const again = client.collection("products", { linger: 10_000 });
  assert.equal(again.size, 3);
  await world.run(20_000);
  assert.ok(!world.socket.take().some((m) => m.disconnect && m.event === "products"));
  again.close();
  await world.run(10_000);
  assert.deepEqual(world.socket.take().filter((m) => m.event === "products"), [{ event: "products", disconnect: true }]);
});

test("a row that is being created stands where new rows come", async () => {
  for (const [order, shown] of [
    [["-created_at", "id"], "new b a"],
    [["created_at", "id"], "a b new"],
    [["-id"], "new b a"],
    [["id"], "a b new"],
    [["name", "-id"], "a b new"], // by what it has
  ]) {
    const { world, products, requests } = begin();
    const two = [{ id: 1, name: "a", created_at: "2026-01-01T00:00:00Z" }, { id: 2, name: "b", created_at: "2026-01-02T00:00:00Z" }];
    const server = (rows) => rows.sort((a, b) => (order[0].startsWith("-") ? b.id - a.id : a.id - b.id));
    world.socket.receive(sync("products", "v1", server(two), { order }));
    const names = () => products.rows.map((r) => r.name).join(" ");
    const written = products.create({ name: "new" });
    assert.equal(names(), shown, order.join());
    await settle();
    requests[0].resolve(row({ id: 3, name: "new", created_at: "2026-01-03T00:00:00Z" }, 201));
    await written;
    assert.equal(names(), shown, `${order.join()}, answered: it stays where it was`);
  }
});

test("a value that is left out of a row of the server's is no new one", () => {
  const { world, products } = begin();
  world.socket.receive(sync("products", "v1", [{ id: 2 }, { id: 1, rank: 1 }], { order: ["rank", "id"] }));
  world.socket.receive(message("create", "products", "v2", [{ id: 3 }]));
  assert.deepEqual(ids(products), [2, 3, 1]);
});
