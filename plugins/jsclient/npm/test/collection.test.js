import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../index.js";
import { World, message, ok, settle, sync } from "./world.js";

const create = (...args) => message("create", ...args);
const update = (...args) => message("update", ...args);
const remove = (...args) => message("delete", ...args);

// begin opens a collection and its socket.
function begin(options, connectOptions) {
  const world = new World();
  const client = connect("http://shop.test/", world.options(connectOptions));
  const products = client.collection("products", options);
  world.socket.open();
  world.socket.take();
  return { world, client, products };
}

const ids = (c) => [...c].map((r) => r.id);

test("rows come, change and go", async () => {
  const { world, products } = begin();
  const changes = [];
  products.on("change", (e) => changes.push(e));
  assert.equal(products.status, "connecting");
  assert.equal(products.size, 0);

  world.socket.receive(sync("products", "v1", [{ id: 1, name: "a" }, { id: 3, name: "c" }]));
  assert.equal(await products.ready, products);
  assert.equal(products.status, "live");
  assert.equal(products.version, "v1");
  assert.deepEqual(ids(products), [1, 3]);
  assert.deepEqual(products.get(3), { id: 3, name: "c" });
  assert.deepEqual(products.get({ id: 3 }), { id: 3, name: "c" });
  assert.equal(products.get(2), undefined);

  const before = products.rows;
  world.socket.receive(create("products", "v2", [{ id: 2, name: "b" }]));
  world.socket.receive(update("products", "v3", [{ id: 1, name: "A" }]));
  world.socket.receive(remove("products", "v4", [{ id: 3 }]));
  assert.deepEqual([...products], [{ id: 1, name: "A" }, { id: 2, name: "b" }]);
  assert.equal(products.version, "v4");
  assert.equal(before.length, 2, "what was handed out does not change");
  assert.ok(Object.isFrozen(products.rows));
  assert.ok(!products.has(3));

  assert.deepEqual(changes.map((e) => [e.version, e.created.length, e.updated.length, e.deleted.length]),
    [["v1", 2, 0, 0], ["v2", 1, 0, 0], ["v3", 0, 1, 0], ["v4", 0, 0, 1]]);
  assert.deepEqual(changes[2].previous, [{ id: 1, name: "a" }]);
  assert.deepEqual(changes[3].deleted, [{ id: 3, name: "c" }], "a deleted row is shown as it was");
});

test("a batch is applied at its last message, and only then is its version remembered", async () => {
  const { world, products } = begin();
  const versions = [];
  products.on("version", () => versions.push(products.version));
  world.socket.receive(
    sync("products", "v1", [{ id: 1 }], { pages: 3, more: true }),
    sync("products", "v1", [{ id: 2 }], { page: 2, pages: 3, more: true, order: undefined }),
  );
  assert.equal(products.size, 0);
  assert.equal(products.status, "connecting");
  world.socket.receive(sync("products", "v1", [{ id: 3 }], { page: 3, pages: 3, order: undefined }));
  assert.deepEqual(ids(products), [1, 2, 3]);

  world.socket.receive(create("products", "v2", [{ id: 4 }], { more: true }), update("products", "v2", [{ id: 2, x: 1 }], { more: true }));
  assert.deepEqual(ids(products), [1, 2, 3]);
  assert.equal(products.version, "v1");
  world.socket.fail();
  assert.deepEqual(ids(products), [1, 2, 3], "half a batch leaves nothing");
  assert.equal(products.status, "stale");

  await world.run(1000);
  world.socket.open();
  assert.deepEqual(world.socket.take(), [{ event: "products", version: "v1" }]);
  world.socket.receive(create("products", "v2", [{ id: 4 }], { more: true }), remove("products", "v2", [{ id: 1 }]));
  assert.deepEqual(ids(products), [2, 3, 4]);
  assert.equal(products.status, "live");
  assert.deepEqual(versions, ["v1", "v2"]);
});

test("an ok makes stale rows live again, without a change", async () => {
  const { world, products } = begin();
  world.socket.receive(sync("products", "v1", [{ id: 1 }]));
  const seen = [];
  products.on("change", () => seen.push("change"));
  products.on("status", () => seen.push(products.status));
  world.socket.fail();
  await world.run(1000);
  world.socket.open();
  world.socket.receive(ok("products", "v1"));
  assert.deepEqual(seen, ["stale", "live"]);
});

test("an ok for another version than the one held is not believed", () => {
  const { world, products } = begin();
  world.socket.receive(sync("products", "v1", [{ id: 1 }]), ok("products", "v9"));
  assert.deepEqual(world.socket.take(), [{ event: "products" }]);
  world.socket.receive(create("products", "v10", [{ id: 5 }])); // was under way
  assert.deepEqual(ids(products), [1]);
  world.socket.receive(sync("products", "v9", [{ id: 2 }]));
  assert.deepEqual(ids(products), [2]);
});

test("a batch that is none is fetched anew", () => {
  const { world, products } = begin();
  world.socket.receive(sync("products", "v1", [{ id: 1 }]));
  world.socket.receive(create("products", "v2", [{ id: 2 }], { more: true }), create("products", "v3", [{ id: 3 }]));
  assert.deepEqual(world.socket.take(), [{ event: "products" }]);
  world.socket.receive(sync("products", "v3", [{ id: 1 }, { id: 2 }, { id: 3 }], { more: true, pages: 3 }), sync("products", "v3", [], { page: 3, pages: 3 }));
  assert.deepEqual(world.socket.take(), [{ event: "products" }]);
  assert.deepEqual(ids(products), [1]);
});

test("a sync keeps the objects of rows that are equal, and tells what differs", () => {
  const { world, products } = begin();
  world.socket.receive(sync("products", "v1", [{ id: 1, n: "a" }, { id: 2, n: "b" }, { id: 3, n: "c" }]));
  const [one] = products.rows;
  let change;
  products.on("change", (e) => (change = e));
  world.socket.receive(sync("products", "v2", [{ id: 1, n: "a" }, { id: 2, n: "B" }, { id: 4, n: "d" }]));
  assert.equal(products.rows[0], one);
  assert.deepEqual(change.created, [{ id: 4, n: "d" }]);
  assert.deepEqual(change.updated, [{ id: 2, n: "B" }]);
  assert.deepEqual(change.deleted, [{ id: 3, n: "c" }]);
});

// Orders, each with rows as the server sorts them.
const orders = [
  ["numbers by size", ["n", "id"], [{ n: -1.5 }, { n: 0 }, { n: 2 }, { n: 10 }, { n: 1e10 }]],
  ["descending", ["-n", "id"], [{ n: 10 }, { n: 2 }, { n: null }]],
  ["null below everything", ["n", "id"], [{ n: null }, { n: -5 }, { n: 0 }]],
  ["false below true", ["n", "id"], [{ n: false }, { n: true }]],
  ["text by code points", ["n", "id"], [{ n: "" }, { n: "Z" }, { n: "a" }, { n: "ab" }, { n: "é" }, { n: "\uff5e" }, { n: "\u{1f600}" }]],
  ["times by instant", ["n", "id"], [{ n: "2026-01-01T00:00:00Z" }, { n: "2026-01-01T00:00:00.000001Z" }, { n: "2026-01-01T00:00:00.5Z" },
    { n: "2026-01-01T02:00:01+02:00" }, { n: "2026-01-01T00:00:02Z" }]],
  ["decimals as text, once a sync shows that they are", ["n", "id"], [{ n: "-3" }, { n: "9.50" }, { n: "10.00" }, { n: "10.000000000000000000001" }, { n: "100" }]],
  ["NULLs last, once a sync shows it", ["n", "id"], [{ n: 1 }, { n: 2 }, { n: null }]],
  ["several columns", ["a", "-b", "id"], [{ a: 1, b: "y" }, { a: 1, b: "x" }, { a: 2, b: "z" }]],
  ["the key where all else is equal", ["n", "id"], [{ n: 1 }, { n: 1 }, { n: 1 }]],
];

for (const [name, order, values] of orders) {
  test(`order: ${name}`, () => {
    const rows = values.map((r, i) => ({ id: i + 1, ...r }));
    const { world, products } = begin();
    world.socket.receive(sync("products", "v0", rows, { order }));
    let version = 0;
    // Take each out and put it back; then two at a time, in the wrong order.
    for (let i = 0; i < rows.length; i++) {
      for (let j = i; j < rows.length; j++) {
        const some = i === j ? [rows[i]] : [rows[j], rows[i]];
        world.socket.receive(remove("products", `v${++version}`, some.map(({ id }) => ({ id }))));
        assert.equal(products.size, rows.length - some.length);
        world.socket.receive(create("products", `v${++version}`, some));
        assert.deepEqual([...products], rows);
      }
    }
  });
}

test("an update moves a row to its place", () => {
  const { world, products } = begin();
  world.socket.receive(sync("products", "v1", [{ id: 1, n: 1 }, { id: 2, n: 2 }, { id: 3, n: 3 }], { order: ["n", "id"] }));
  world.socket.receive(update("products", "v2", [{ id: 1, n: 9 }, { id: 3, n: 0 }]));
  assert.deepEqual(ids(products), [3, 2, 1]);
});

test("without an order rows stay where they are", () => {
  const { world, products } = begin();
  world.socket.receive(sync("products", "v1", [{ id: 9 }, { id: 2 }, { id: 5 }], { order: undefined }));
  world.socket.receive(update("products", "v2", [{ id: 2, x: 1 }], { more: true }), create("products", "v2", [{ id: 1 }], { more: true }), remove("products", "v2", [{ id: 9 }]));
  assert.deepEqual(ids(products), [2, 5, 1]);
});

test("the key is told by a delete, and guessed until then", () => {
  const { world, products } = begin();
  const order = ["list", "track"];
  world.socket.receive(sync("products", "v1", [{ list: 1, track: 5 }, { list: 2, track: 6 }], { order }));
  // Tracks told the rows apart; now they do not.
  world.socket.receive(create("products", "v2", [{ list: 3, track: 5 }]));
  assert.equal(products.size, 2, "a batch that contradicts the guess is not applied");
  assert.deepEqual(world.socket.take(), [{ event: "products" }]);
  world.socket.receive(sync("products", "v2", [{ list: 1, track: 5 }, { list: 2, track: 6 }, { list: 3, track: 5 }], { order }));
  assert.deepEqual(products.get([3, 5]), { list: 3, track: 5 });
  assert.deepEqual(products.get({ track: 5, list: 3 }), { list: 3, track: 5 });
  world.socket.receive(remove("products", "v3", [{ list: 1, track: 5 }]));
  assert.equal(products.size, 2);
  assert.deepEqual(world.socket.take(), []);
});

test("a guessed key that is too long is found out by an update", () => {
  const { world, products } = begin();
  const order = ["name", "code"];
  // Two rows of one code cannot be, so the guess is the code; a refuted guess is not made again.
  world.socket.receive(sync("products", "v1", [{ name: "a", code: 1 }, { name: "b", code: 2 }], { order }));
  world.socket.receive(update("products", "v2", [{ name: "z", code: 1 }]));
  assert.deepEqual(products.rows, [{ name: "b", code: 2 }, { name: "z", code: 1 }]);
});

test("a key that cannot be told closes the collection and says what to do", async () => {
  const { world, products } = begin();
  world.socket.receive(sync("products", "v1", [{ n: 1 }, { n: 1 }], { order: undefined }));
  assert.equal(products.status, "closed");
  assert.match(products.error.message, /option key/);
  await assert.rejects(products.ready, /option key/);
  assert.deepEqual(world.socket.take(), [{ event: "products", disconnect: true }]);
});

test("a declared key is used as it is", () => {
  const { world, client, products } = begin({ key: ["a", "b"] });
  world.socket.receive(sync("products", "v1", [{ a: 1, b: 1 }, { a: 1, b: 2 }], { order: undefined }));
  world.socket.receive(update("products", "v2", [{ a: 1, b: 2, x: 1 }]));
  assert.deepEqual(products.get([1, 2]), { a: 1, b: 2, x: 1 });
  assert.throws(() => client.collection("products", { key: ["a"] }), /the key of "products"/);
  assert.equal(client.collection("products", { key: ["a", "b"] }).size, 2);
});

test("a listener may close its own collection, and another's", () => {
  const { world, client, products } = begin();
  const other = client.collection("products");
  const seen = [];
  for (const type of ["change", "version", "status"]) {
    products.on(type, () => seen.push(`products ${type}`));
    other.on(type, () => seen.push(`other ${type}`));
  }
  products.on("change", () => {
    other.close();
    products.close();
  });
  world.socket.receive(sync("products", "v1", [{ id: 1 }]));
  assert.deepEqual(seen, ["products change", "other status", "products status"]);
  assert.deepEqual([products.status, products.size, other.status, other.size], ["closed", 1, "closed", 0]);
});

test("subscribe is a store's: the state now, and each new one", async () => {
  const { world, products } = begin();
  const states = [];
  const stop = products.subscribe((s) => states.push([s.status, s.version, s.rows.length]));
  world.socket.receive(sync("products", "v1", [{ id: 1 }]));
  world.socket.receive(create("products", "v2", [{ id: 2 }]));
  world.socket.fail();
  stop();
  await world.run(1000);
  world.socket.open();
  world.socket.receive(ok("products", "v2"));
  assert.deepEqual(states, [["connecting", "", 0], ["live", "v1", 1], ["live", "v2", 2], ["stale", "v2", 2]]);
});

test("closing leaves, with the last collection", async () => {
  const { world, client, products } = begin();
  const second = client.collection("products");
  world.socket.receive(sync("products", "v1", [{ id: 1 }]));
  await second.ready;
  assert.deepEqual(world.socket.take(), []);
  products.close();
  products.close();
  await settle();
  assert.deepEqual(world.socket.take(), []);
  world.socket.receive(create("products", "v2", [{ id: 2 }]));
  assert.equal(products.size, 1, "a closed collection keeps what it had");
  assert.deepEqual(products.get(1), { id: 1 });
  assert.equal(products.get(2), undefined);
  assert.equal(products.status, "closed");
  assert.equal(second.size, 2);
  second.close();
  await settle();
  assert.deepEqual(world.socket.take(), [{ event: "products", disconnect: true }]);
});

test("closing and opening at once keeps the place", async () => {
  const { world, client, products } = begin();
  world.socket.receive(sync("products", "v1", [{ id: 1 }]));
  products.close();
  const again = client.collection("products");
  await settle();
  assert.deepEqual(world.socket.take(), []);
  assert.equal(again.size, 1);
  assert.equal(again.status, "live");
  await again.ready;
});

test("an AbortSignal closes", async () => {
  const aborter = new AbortController();
  const { world, client, products } = begin({ signal: aborter.signal });
  aborter.abort(new Error("enough"));
  await assert.rejects(products.ready, /enough/);
  assert.equal(products.status, "closed");
  assert.equal(products.error, null, "it is no error");
  await settle();
  assert.deepEqual(world.socket.take(), [{ event: "products", disconnect: true }]);
  const dead = client.collection("products", { signal: AbortSignal.abort() });
  await assert.rejects(dead.ready, { name: "AbortError" });
  await settle();
  assert.deepEqual(world.socket.take(), [{ event: "products" }, { event: "products", disconnect: true }]);
});

test("a listener that throws harms nobody else", async () => {
  const reported = [];
  globalThis.reportError = (err) => reported.push(err.message);
  try {
    const { world, client, products } = begin();
    client.on("products", () => { throw new Error("mine"); });
    products.subscribe((s) => { if (s.version) throw new Error("also mine"); });
    let last;
    products.subscribe((s) => (last = s));
    world.socket.receive(sync("products", "v1", [{ id: 1 }]));
    assert.equal(last.version, "v1");
    assert.deepEqual(reported, ["also mine", "mine"]);
  } finally {
    delete globalThis.reportError;
  }
});

// Any sequence of batches, whole or cut short by a lost connection, leaves what a
// plain model of the server has at the version that the client shows.
test("random batches and drops", async () => {
  let seed = 42;
  const pick = (n) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * n);
  };
  const compare = (a, b) => a.n - b.n || b.id - a.id;
  for (let round = 0; round < 30; round++) {
    const { world, products } = begin({}, { maxBackoff: 1 });
    const log = [{ version: "s0", rows: new Map(), batch: null }];
    const sorted = (rows) => [...rows.values()].sort(compare);
    const order = ["n", "-id"];
    const syncOf = (at) => {
      const rows = sorted(at.rows);
      const size = 1 + pick(4);
      const pages = Math.max(1, Math.ceil(rows.length / size));
      return Array.from({ length: pages }, (_, i) => sync("products", at.version, rows.slice(i * size, (i + 1) * size),
        { page: i + 1, pages, order: i === 0 ? order : undefined, more: i + 1 < pages || undefined }));
    };
    const write = () => {
      const last = log.at(-1);
      const rows = new Map(last.rows);
      const by = { create: [], update: [], delete: [] };
      for (const id of new Set(Array.from({ length: 1 + pick(5) }, () => pick(12)))) {
        const row = { id, n: pick(4), v: log.length };
        if (!rows.has(id)) by.create.push(row);
        else if (pick(3) === 0) by.delete.push({ id });
        else by.update.push(row);
        if (by.delete.some((r) => r.id === id)) rows.delete(id);
        else rows.set(id, row);
      }
      const batch = Object.entries(by).flatMap(([action, list]) => list.map((r) => message(action, "products", `s${log.length}`, [r], { more: true })));
      delete batch.at(-1).more;
      log.push({ version: `s${log.length}`, rows, batch });
    };
    let at = 0; // what the server has sent
    world.socket.receive(...syncOf(log[0]));
    for (let step = 0; step < 40; step++) {
      write();
      if (pick(3) > 0) {
        while (at < log.length - 1) world.socket.receive(...log[++at].batch);
      } else {
        const next = log[at + 1].batch;
        world.socket.receive(...next.slice(0, pick(next.length)));
        world.socket.fail();
        await world.run(2);
        world.socket.open();
        const asked = world.socket.take();
        const held = log.findIndex((l) => l.version === asked[0].version);
        assert.equal(held, at, "it resumes from what it applied");
        at = log.length - 1;
        if (pick(2)) world.socket.receive(...syncOf(log[at]));
        else for (const l of log.slice(held + 1)) world.socket.receive(...l.batch);
      }
      const now = log.find((l) => l.version === products.version);
      assert.deepEqual([...products], sorted(now.rows));
    }
    assert.equal(products.version, log[at].version);
  }
});
