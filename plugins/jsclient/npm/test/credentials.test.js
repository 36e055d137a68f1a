import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../index.js";
import { Parser } from "../lib/eventstream.js";
import { FetchedStream, World, message, problem, refusal, settle, sync } from "./world.js";

function begin(options) {
  const world = new World();
  return { world, client: connect("http://shop.test/", world.options(options)) };
}

const bearer = (token) => ["bindery", `bindery.bearer.${Buffer.from(token).toString("base64url")}`];

test("a token goes with a WebSocket as a subprotocol, and is asked for at each connection", async () => {
  let n = 0;
  const asked = [];
  const { world, client } = begin({ token: async (why) => (asked.push(why.status), `t/${++n}é==`) });
  client.collection("products");
  assert.equal(client.status, "connecting");
  await settle();
  assert.deepEqual(world.socket.protocols, bearer("t/1é=="));
  world.socket.open();
  world.socket.fail();
  await world.run(500);
  assert.deepEqual(world.socket.protocols, bearer("t/2é=="));
  assert.deepEqual(asked, [0, 0]);
});

test("without a token no subprotocol is offered", async () => {
  for (const token of [undefined, () => "", () => null]) {
    const { world, client } = begin({ token });
    client.collection("products");
    await settle();
    assert.equal(world.socket.protocols, undefined);
  }
});

test("a handshake that is refused has the token renewed, and the rows resume", async () => {
  let token = "old";
  const asked = [];
  const { world, client } = begin({ token: ({ status }) => {
    asked.push(status);
    if (status === 401) token = "new";
    return token;
  } });
  world.serve = (url, init) => {
    assert.equal(String(url), "http://shop.test/ws");
    return init.headers.authorization === "Bearer new" ? new Response(null, { status: 426 }) : refusal(401, "Unauthorized");
  };
  const products = client.collection("products");
  await settle();
  world.socket.fail(); // as browsers say it: nothing
  await world.run(500);
  assert.deepEqual(world.socket.protocols, bearer("new"));
  assert.deepEqual(asked, [0, 401]);
  world.socket.open();
  world.socket.receive(sync("products", "v1", [{ id: 1 }]));
  assert.equal(products.status, "live");
  assert.equal(world.sockets.length, 2);
});

test("a refused handshake without better credentials ends in the collections' errors", async () => {
  let asked = 0;
  const { world, client } = begin({ token: () => (asked++, "worthless"), renewals: 3 });
  world.serve = () => refusal(401, "Unauthorized");
  const products = client.collection("products");
  const others = client.collection("others");
  await settle();
  world.socket.fail();
  await world.run(60_000);
  await assert.rejects(products.ready, { status: 401 });
  assert.equal(others.error.status, 401);
  assert.equal(asked, 4);
  assert.equal(world.sockets.length, 1, "the same token is not tried again");
  assert.equal(client.status, "idle");
  client.collection("products");
  await settle();
  assert.equal(world.sockets.length, 2, "somebody asks again");
});

test("while the server is away nobody asks for a better token", async () => {
  const asked = [];
  const { world, client } = begin({ token: ({ status }) => (asked.push(status), "t"), sse: false });
  world.serve = () => { throw new TypeError("refused"); };
  client.collection("products");
  await settle();
  for (let i = 0; i < 4; i++) {
    world.socket.fail();
    await world.run(15_000);
  }
  assert.ok(world.sockets.length > 4);
  assert.deepEqual(asked, world.sockets.map(() => 0));
});

test("a right that ends is renewed: the others go on, and nothing is lost", async () => {
  let token = 1;
  const { world, client } = begin({ token: ({ status }) => (status === 403 ? `t${++token}` : `t${token}`) });
  const products = client.collection("products");
  const orders = client.collection("orders");
  await settle();
  world.socket.open();
  world.socket.receive(sync("products", "p1", [{ id: 1 }]), sync("orders", "o1", [{ id: 5 }]));
  const first = world.socket;
  first.receive(problem("orders", 403, "Forbidden"));
  assert.equal(orders.status, "stale");
  assert.equal(orders.error, null);
  first.receive(message("create", "products", "p2", [{ id: 2 }]));
  assert.equal(products.size, 2);
  await world.run(500);
  assert.equal(first.readyState, 3);
  assert.deepEqual(world.socket.protocols, bearer("t2"));
  world.socket.open();
  assert.deepEqual(world.socket.take(), [{ event: "products", version: "p2" }, { event: "orders", version: "o1" }]);
  world.socket.receive({ ...sync("products", "p2", "ok"), payload: "ok" }, message("create", "orders", "o2", [{ id: 6 }]));
  assert.deepEqual([products.status, orders.status, orders.size], ["live", "live", 2]);
});

test("asking anew is bounded, however many new tokens there are", async () => {
  let n = 0;
  const { world, client } = begin({ token: () => `t${++n}`, renewals: 4, sse: false });
  const products = client.collection("products");
  const secret = client.collection("secret");
  let refusals = 0;
  for (let i = 0; i < 200; i++) {
    await world.run(500);
    if (world.socket.readyState !== 0) continue;
    world.socket.open();
    if (world.socket.take().some((m) => m.event === "secret")) {
      refusals++;
      world.socket.receive(problem("secret", 403, "Forbidden"));
    }
    world.socket.receive(sync("products", `p${i}`, []));
  }
  assert.equal(refusals, 5);
  assert.equal(secret.error?.status, 403);
  assert.equal(products.status, "live");
  assert.equal(secret.status, "closed");
  assert.ok(!world.sockets.at(-1).sent.slice(2).some((m) => m.event === "secret"));
});

test("a function that throws or never answers is the client's error, and is asked again", async () => {
  let n = 0;
  const { world, client } = begin({ token: () => {
    n++;
    if (n === 1) throw new Error("no network");
    if (n === 2) return new Promise(() => {});
    return "t";
  } });
  const errors = [];
  client.addEventListener("error", (e) => errors.push(e.error.message));
  const products = client.collection("products");
  await settle();
  assert.equal(client.status, "waiting");
  await world.run(500 + 10_000 + 1_000);
  assert.deepEqual(errors, ["no network", "bindery: no credentials came in time"]);
  assert.deepEqual(world.socket.protocols, bearer("t"));
  assert.equal(products.status, "connecting");
  client.close();
  assert.equal(world.timers.size, 0);
});

test("headers go with event streams over fetch; a WebSocket cannot bear them", async () => {
  const { world, client } = begin({ headers: () => ({ "X-Tenant": "acme" }) });
  const streams = [];
  world.serve = (url, init) => {
    streams.push({ url, init, stream: new FetchedStream(init.signal) });
    return streams.at(-1).stream.answer;
  };
  const products = client.collection("products");
  await world.run(0);
  assert.equal(world.sockets.length, 0);
  assert.equal(world.streams.length, 0);
  assert.equal(streams[0].init.headers["x-tenant"], "acme");
  assert.equal(client.transport, "sse");
  const { stream } = streams[0];
  stream.write("retry: 1000\n: heartbeat\n\n");
  const m = sync("products", "v1", [{ id: 1, name: "ж" }]);
  const text = `event: sync\r\nid: v1\r\ndata: ${JSON.stringify(m)}\r\n\r\n`;
  for (const byte of new TextEncoder().encode(text)) stream.controller.enqueue(Uint8Array.of(byte));
  await settle();
  assert.deepEqual(products.rows, [{ id: 1, name: "ж" }]);
  stream.fail();
  await settle();
  assert.equal(products.status, "stale");
  await world.run(500);
  assert.equal(streams[1].url.searchParams.get("version"), "v1");
  streams[1].stream.receive(message("create", "products", "v2", [{ id: 2, name: "b" }]));
  await settle();
  assert.equal(products.size, 2);
  // Heartbeats are seen: a stream is given up when even they stay away.
  for (let i = 0; i < 20; i++) {
    await world.run(15_000);
    streams[1].stream.write(": heartbeat\n\n");
    await settle();
  }
  assert.equal(streams.length, 2);
  await world.run(60_001);
  assert.equal(streams.length, 3);
});

test("a stream that is refused has its headers renewed", async () => {
  let key = "old";
  const { world, client } = begin({ headers: ({ status }) => ({ "x-key": status === 401 ? (key = "new") : key }) });
  const streams = [];
  world.serve = (url, init) => {
    if (init.headers["x-key"] !== "new") return refusal(401, "Unauthorized");
    streams.push(new FetchedStream(init.signal));
    return streams.at(-1).answer;
  };
  const products = client.collection("products");
  const others = client.collection("others");
  await world.run(1_000);
  assert.equal(streams.length, 1);
  streams[0].receive(sync("products", "v1", []), sync("others", "o1", []));
  await settle();
  assert.deepEqual([products.status, others.status], ["live", "live"]);
});

test("Node without EventSource streams over fetch", async () => {
  const { world, client } = begin({ WebSocket: undefined, EventSource: undefined });
  let stream;
  world.serve = (url, init) => (stream = new FetchedStream(init.signal)).answer;
  const products = client.collection("products");
  await world.run(0);
  stream.receive(sync("products", "v1", [{ id: 1 }]));
  await settle();
  assert.equal(products.size, 1);
  client.close();
  assert.ok(stream.closed);
});

test("a stream refused with a problem tells it without a second request", async () => {
  const { world, client } = begin({ WebSocket: undefined, EventSource: undefined });
  let requests = 0;
  world.serve = () => (requests++, refusal(404, "Unknown binding"));
  const products = client.collection("products");
  await world.run(0);
  await assert.rejects(products.ready, { status: 404, title: "Unknown binding" });
  assert.equal(requests, 1);
});

test("an answer that is no event stream is no stream", async () => {
  const { world, client } = begin({ WebSocket: undefined, EventSource: undefined });
  world.serve = () => new Response("<html>", { headers: { "content-type": "text/html" } });
  const products = client.collection("products");
  await world.run(0);
  assert.notEqual(client.status, "live");
  assert.equal(products.size, 0);
});

// The parser against a plain one, with the text cut anywhere.
test("event streams are parsed wherever they are cut", () => {
  let seed = 7;
  const pick = (n) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * n);
  };
  const pieces = ["event: sync", "event:create", "event", "data: {}", "data:a", "data:  b", "data", ": comment", "id: 7", "retry: 5", "bogus: x", ""];
  const plain = (text) => {
    const out = [];
    const lines = text.replace(/^\ufeff/, "").replace(/\r\n|\r/g, "\n").split("\n");
    lines.pop();
    let [type, data] = ["", null];
    for (const line of lines) {
      if (line === "") {
        if (data) out.push([type || "message", data.join("\n")]);
        [type, data] = ["", null];
        continue;
      }
      const m = /^([^:]*):? ?(.*)$/.exec(line);
      if (line.startsWith(":")) continue;
      const value = line.includes(":") ? m[2] : "";
      if (m[1] === "event") type = value;
      if (m[1] === "data") (data ??= []).push(value);
    }
    return out;
  };
  for (let round = 0; round < 2_000; round++) {
    let text = pick(4) ? "" : "\ufeff";
    for (let i = pick(12); i >= 0; i--) text += pieces[pick(pieces.length)] + ["\n", "\r\n", "\r", "\n\n"][pick(4)];
    const got = [];
    const parser = new Parser((type, data) => got.push([type, data]));
    for (let from = 0; from < text.length; ) {
      const n = 1 + pick(5);
      parser.feed(text.slice(from, from + n));
      from += n;
    }
    assert.deepEqual(got, plain(text), JSON.stringify(text));
  }
});

test("reconnect opens another connection, and resumes", async () => {
  const { world, client } = begin();
  client.reconnect(); // nothing to do yet
  const products = client.collection("products");
  world.socket.open();
  world.socket.receive(sync("products", "v1", []));
  client.reconnect();
  assert.equal(world.sockets.length, 2);
  assert.equal(products.status, "stale");
  world.socket.open();
  assert.deepEqual(world.socket.take(), [{ event: "products", version: "v1" }]);
});
