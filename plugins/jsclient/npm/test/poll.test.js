import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../index.js";
import { World, message, ok, refusal, settle, sync } from "./world.js";

// begin opens a client whose polls wait for the test to answer them.
function begin(options) {
  const world = new World();
  const polls = [];
  world.serve = (url, init) => new Promise((resolve, reject) => {
    const poll = { url, name: url.pathname.split("/").pop(), since: url.searchParams.get("since"), wait: url.searchParams.get("wait"), init };
    poll.answer = (...messages) => (polls.splice(polls.indexOf(poll), 1), resolve(Response.json(messages, { headers: poll.headers })), settle());
    poll.refuse = (...args) => (polls.splice(polls.indexOf(poll), 1), resolve(refusal(...args)), settle());
    poll.fail = () => (polls.splice(polls.indexOf(poll), 1), reject(new TypeError("network error")), settle());
    init.signal.addEventListener("abort", () => {
      if (polls.includes(poll)) polls.splice(polls.indexOf(poll), 1);
      reject(init.signal.reason);
    });
    polls.push(poll);
  });
  const client = connect("http://shop.test/", world.options({ transport: "poll", ...options }));
  return { world, client, polls };
}

const ids = (c) => [...c].map((r) => r.id);

test("polls: from nothing, then from version to version", async () => {
  const { world, client, polls } = begin();
  const products = client.collection("products");
  const shelf = client.collection("shelf", { params: { venue: "store" } });
  await settle();
  assert.deepEqual(polls.map((p) => p.url.href), ["http://shop.test/api/products?since=0", "http://shop.test/api/shelf?venue=store&since=0"]);
  await polls[0].answer(sync("products", "p1", [{ id: 1 }], { pages: 2, more: true }), sync("products", "p1", [{ id: 2 }], { page: 2, pages: 2 }));
  assert.equal(client.transport, "poll");
  assert.equal(client.status, "live");
  assert.deepEqual(ids(products), [1, 2]);
  assert.equal(products.status, "live");
  assert.deepEqual(polls.map((p) => p.wait), [null, "20"], "only the first is not held");
  assert.equal(shelf.status, "connecting");
  await polls[0].answer(sync("shelf", "s1", [], { params: { venue: "store" } }));
  assert.deepEqual(polls.map((p) => `${p.name} ${p.since}`), ["products p1", "shelf s1"]);
  world.time += 20_000;
  await polls[0].answer(ok("products", "p1"));
  assert.deepEqual(polls.map((p) => `${p.name} ${p.since}`), ["shelf s1", "products p1"]);
  await polls[1].answer(message("create", "products", "p2", [{ id: 3 }], { more: true }), message("delete", "products", "p2", [{ id: 1 }]));
  assert.deepEqual(ids(products), [2, 3]);
  shelf.close();
  await settle();
  assert.deepEqual(polls.map((p) => `${p.name} ${p.since}`), ["products p2"]);
  client.close();
  await settle();
  assert.equal(polls.length, 0);
  assert.equal(world.timers.size, 0);
});

test("polls: a failure makes the rows stale, and the version goes on", async () => {
  const { world, client, polls } = begin();
  const products = client.collection("products");
  await settle();
  await polls[0].answer(sync("products", "p1", [{ id: 1 }]));
  await polls[0].fail();
  assert.equal(products.status, "stale");
  assert.equal(client.status, "waiting");
  await world.run(500);
  assert.deepEqual(polls.map((p) => [p.since, p.wait]), [["p1", null]], "whether it is current is asked at once");
  await polls[0].answer(ok("products", "p1"));
  assert.equal(products.status, "live");
  assert.deepEqual(polls.map((p) => [p.since, p.wait]), [["p1", "20"]]);
  await world.run(50_001); // no answer, and tabs may have waited for one another
  assert.equal(products.status, "stale");
});

test("polls: a server that does not hold them is not hammered", async () => {
  for (const options of [{}, { pollWait: 0 }]) {
    const { world, client, polls } = begin(options);
    client.collection("products");
    await settle();
    await polls[0].answer(sync("products", "p1", []));
    assert.equal(polls[0]?.wait, options.pollWait === 0 ? undefined : "20");
    if (options.pollWait === 0) await world.run(2_000);
    await polls[0].answer(ok("products", "p1"));
    assert.equal(polls.length, 0);
    await world.run(1_999);
    assert.equal(polls.length, 0);
    await world.run(1);
    assert.equal(polls.length, 1);
  }
});

test("polls: a refusal concerns its binding; what may pass is asked for again", async () => {
  const { world, client, polls } = begin();
  const products = client.collection("products");
  const secret = client.collection("secret");
  await settle();
  await polls[0].answer(sync("products", "p1", []));
  await polls[0].refuse(403, "Forbidden");
  await assert.rejects(secret.ready, { status: 403 });
  assert.equal(products.status, "live");
  await polls[0].refuse(503, "Not loaded");
  assert.equal(products.status, "stale");
  await world.run(1_000);
  assert.equal(polls[0].since, "p1");
  await polls[0].answer(message("create", "products", "p2", [{ id: 1 }]));
  assert.equal(products.status, "live");
});

test("polls: many bindings take turns on few connections", async () => {
  const { client, polls } = begin();
  const all = Array.from({ length: 10 }, (_, i) => client.collection(`b${i}`));
  await settle();
  assert.equal(polls.length, 4);
  for (let i = 0; i < 10; i++) await polls[0].answer(sync(polls[0].name, `${polls[0].name}-1`, [{ id: i }]));
  assert.ok(all.every((c) => c.status === "live"));
  assert.equal(polls.length, 4);
  assert.deepEqual([...new Set(polls.map((p) => p.wait))], ["8"]);
});

test("polls: headers go along, and are renewed", async () => {
  let key = "old";
  const { world, client, polls } = begin({ token: ({ status }) => (status ? (key = "new") : key) });
  const products = client.collection("products");
  await settle();
  assert.equal(polls[0].init.headers.authorization, "Bearer old");
  await polls[0].refuse(401, "Unauthorized");
  await world.run(500);
  assert.equal(polls[0].init.headers.authorization, "Bearer new");
  await polls[0].answer(sync("products", "p1", []));
  assert.equal(products.status, "live");
});

test("polls: nonsense is asked for anew, from nothing", async () => {
  const { world, client, polls } = begin();
  const products = client.collection("products");
  await settle();
  await polls[0].answer(sync("products", "p1", [{ id: 1 }]));
  await polls[0].answer({ event: "products", action: "create", payload: 7, version: "p2" });
  assert.equal(polls[0].since, "0");
  await polls[0].answer(sync("products", "p2", [{ id: 2 }]));
  assert.deepEqual(ids(products), [2]);
  for (const answer of [[null], ["x"], [[]]]) {
    await polls[0]?.answer(...answer);
    await world.run(15_000);
  }
  assert.deepEqual(ids(products), [2]);
});

test("a transport can be named", () => {
  for (const [transport, sockets] of [["websocket", 1], ["sse", 0]]) {
    const world = new World();
    connect("http://shop.test/", world.options({ transport })).collection("products");
    assert.equal(world.sockets.length, sockets);
  }
  assert.throws(() => connect("http://shop.test/", { transport: "carrier pigeon" }), /no transport/);
  assert.throws(() => connect("http://shop.test/", { transport: "poll", rest: false }).collection("x"), /polls need/);
});

test("polls: rows that become what they were do not lead round in a circle", async () => {
  const { world, client, polls } = begin();
  const products = client.collection("products");
  const update = (to) => message("update", "products", to, [{ id: 1, price: to }]);
  // cache answers as a cache that clients share: by the address.
  const stored = new Map();
  const origin = []; // addresses that the cache did not have
  const answer = async (to) => {
    const poll = polls[0];
    poll.headers = { "cache-control": "public, max-age=30" };
    if (!stored.has(poll.url.href)) {
      if (!to) return false;
      origin.push(poll.url.search);
      stored.set(poll.url.href, to);
    }
    await poll.answer(update(stored.get(poll.url.href)));
    return true;
  };
  await settle();
  await polls[0].answer(sync("products", "a", [{ id: 1, price: "a" }]));
  for (const to of ["b", "a", "b", "a"]) assert.ok(await answer(to));
  for (let n = 0; await answer(null); n++) assert.ok(n < 10, "the client goes round in a circle");
  assert.equal(products.get(1).price, "a");
  assert.deepEqual(origin, ["?since=a&wait=20", "?since=b&wait=20", "?since=a&wait=21", "?since=b&wait=21"]);
  assert.equal(polls[0].url.search, "?since=a&wait=22");

  // Whoever comes later goes the same way, by what the cache has.
  const late = begin();
  late.client.collection("products");
  await settle();
  await late.polls[0].answer(sync("products", "a", [{ id: 1, price: "a" }]));
  for (let n = 0; stored.has(late.polls[0].url.href); n++) {
    assert.ok(n < 10, "the client goes round in a circle");
    const poll = late.polls[0];
    poll.headers = { "cache-control": "public, max-age=30" };
    await poll.answer(update(stored.get(poll.url.href)));
  }
  assert.equal(late.polls[0].url.search, "?since=a&wait=22");
  late.client.close();

  // When caches keep nothing of it any more the address is the usual one.
  world.time += 30_000;
  await polls[0].answer(ok("products", "a"));
  assert.equal(polls[0].url.search, "?since=a&wait=20");
  client.close();
});
