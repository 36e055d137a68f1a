// Random interleavings of what the server commits, what it answers, what its stream
// brings, lost connections and local writes, against a plain model of the server.
//
// Each row has the number of the commit that made it. After every step:
//   - while no write is under way, the collection shows exactly the rows of the
//     version that it names;
//   - a write shows from the call on: its values, or its row's absence;
//   - a write that was answered is never undone: the row that shows is of its commit
//     or of a later one, or gone by a later one;
//   - no row shows twice, and rows are in order; those that have no key yet stand
//     where the greatest key would.
// In the end everything has settled and the collection shows what the server has.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../index.js";
import { World, message, refusal, settle, sync } from "./world.js";

// A server with one binding, whose every step is taken by the test.
class Model {
  rows = new Map(); // id → {id, name, n, seq}
  seq = 0;
  nextID = 100;
  deleted = new Map(); // id → the commit that deleted it last
  log = [{ version: "s0", rows: new Map() }];
  stream = []; // what is to be delivered: {to: position in log} or {mark}
  sent = 0; // position in the log that the stream has come to
  requests = []; // {method, id, body, run, answer, resolve, reject}

  constructor(marks) {
    this.marks = marks;
  }

  commit(change) {
    change();
    this.log.push({ version: `s${this.log.length}`, rows: new Map(this.rows) });
  }

  put(id, values) {
    this.rows.set(id, { id, ...this.rows.get(id), ...values, seq: ++this.seq });
  }

  remove(id) {
    this.rows.delete(id);
    this.deleted.set(id, ++this.seq);
  }

  // gone reports whether the row with that name was created and deleted.
  gone(name) {
    return this.log.some((l) => [...l.rows.values()].some((r) => r.name === name)) && ![...this.rows.values()].some((r) => r.name === name);
  }

  // handle does what a request asks for, and returns the answer.
  handle({ method, id, body }) {
    const headers = this.marks ? { "bindery-mark": `m${this.log.length}` } : {};
    const answer = (row, status) => new Response(row && JSON.stringify(row), { status, headers });
    if (method === "HEAD") return new Response(null, { headers: { etag: `"${this.log.at(-1).version}"` } });
    if (method === "POST") {
      const key = body.id ?? this.nextID++;
      if (this.rows.has(key)) return refusal(409, "Conflict");
      this.commit(() => this.put(key, { name: null, n: 0, ...body }));
      headers["bindery-mark"] &&= `m${this.log.length}`;
      return answer(this.rows.get(key), 201);
    }
    if (!this.rows.has(id)) return refusal(404, "Not found");
    this.commit(() => (method === "PATCH" ? this.put(id, body) : this.remove(id)));
    headers["bindery-mark"] &&= `m${this.log.length}`;
    return method === "PATCH" ? answer(this.rows.get(id), 200) : answer(null, 204);
  }

  // batch returns the messages that lead from one position in the log to another.
  batch(from, to) {
    const [a, b] = [this.log[from].rows, this.log[to].rows];
    const by = { create: [], update: [], delete: [] };
    for (const [id, row] of b) {
      if (!a.has(id)) by.create.push(row);
      else if (a.get(id) !== row) by.update.push(row);
    }
    for (const id of a.keys()) if (!b.has(id)) by.delete.push({ id });
    const list = Object.entries(by).filter(([, rows]) => rows.length).map(([action, rows]) => message(action, "products", this.log[to].version, rows, { more: true }));
    if (list.length) delete list.at(-1).more;
    return list;
  }

  sync(at) {
    const rows = [...this.log[at].rows.values()].sort(compare);
    return [sync("products", this.log[at].version, rows, { order })];
  }
}

const order = ["n", "id"];
const compare = (a, b) => a.n - b.n || a.id - b.id;

async function play(seed, steps, marks) {
  const pick = (n) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * n);
  };
  const model = new Model(marks);
  model.commit(() => [1, 2, 3, 4].forEach((id) => model.put(id, { name: `r${id}`, n: pick(3) })));
  model.sent = 1;
  const world = new World();
  world.serve = (url, init) => new Promise((resolve, reject) => {
    const id = Number(url.pathname.split("/")[3]) || null;
    const request = { method: init.method, id, body: init.body && JSON.parse(init.body), resolve, reject, answer: null };
    model.requests.push(request);
    init.signal?.addEventListener("abort", () => reject(init.signal.reason));
  });
  const client = connect("http://shop.test/", world.options({ maxBackoff: 1, sse: false, quietTimeout: 1e9, settleTimeout: 1e9, requestTimeout: 1e9 }));
  const products = client.collection("products");
  const writes = []; // {kind, id, values, state: "sent" | "answered" | "failed", seq}
  world.socket.open();
  world.socket.receive(...model.sync(1));
  world.socket.take();

  const take = () => {
    for (const m of world.socket.take()) {
      assert.ok(m.mark, "the client asks for the rows anew, though nothing was wrong");
      model.stream.push({ mark: m.mark, at: model.log.length - 1 });
    }
  };

  const write = () => {
    const shown = products.rows.filter((r) => r.id !== undefined);
    const kind = ["create", "create", "update", "update", "update", "remove"][pick(6)];
    const w = { kind, state: "sent", seq: 0, values: {}, id: null };
    let promise;
    if (kind === "create") {
      w.values = { name: `w${writes.length}`, n: pick(3) };
      if (pick(2)) w.values.id = w.id = 1_000 + writes.length;
      promise = products.create(w.values);
    } else {
      if (!shown.length) return;
      w.id = shown[pick(shown.length)].id;
      if (kind === "update") {
        w.values = [{ name: `w${writes.length}` }, { n: pick(3) }][pick(2)];
        promise = products.update(w.id, w.values);
      } else promise = products.remove(w.id);
    }
    writes.push(w);
    promise.then((row) => {
      w.state = "answered";
      if (row) [w.id, w.seq] = [row.id, row.seq];
      else w.seq = w.committed;
    }, (err) => {
      w.state = "failed";
      assert.ok(err.name === "BinderyError", String(err));
    });
    promise.settled.then(() => { w.settled = true; });
  };

  const check = (what) => {
    const rows = products.rows;
    const keyed = rows.filter((r) => r.id !== undefined);
    assert.equal(new Set(keyed.map((r) => r.id)).size, keyed.length, `${what}: a row shows twice`);
    for (let i = 1; i < rows.length; i++) {
      const [a, b] = [rows[i - 1], rows[i]].map((r) => ({ n: r.n, id: r.id ?? Number.MAX_SAFE_INTEGER }));
      assert.ok(compare(a, b) <= 0, `${what}: rows are out of order`);
    }
    if (products.pending === 0 && products.version) {
      const at = model.log.find((l) => l.version === products.version);
      assert.deepEqual(rows, [...at.rows.values()].sort(compare), `${what}: the rows are not those of ${at.version}`);
    }
    for (const w of writes) {
      const shown = w.id === null ? undefined : products.get(w.id);
      const later = writes.slice(writes.indexOf(w) + 1).filter((x) => x.id === w.id && x.state !== "failed");
      if (w.state === "sent" && !later.length) {
        if (w.kind === "remove") assert.equal(shown, undefined, `${what}: a removed row shows`);
        else if (w.kind === "update" && shown) for (const [k, v] of Object.entries(w.values)) assert.equal(shown[k], v, `${what}: an update does not show`);
        else if (w.kind === "create") {
          // Before the answer its row is known by its values alone: somebody else may
          // have changed them, or deleted it, before the stream told of it.
          const told = [...(model.log.find((l) => l.version === products.version)?.rows.values() ?? [])].find((r) => r.name === w.values.name);
          const changed = told && told.n !== w.values.n;
          const times = rows.filter((r) => r.name === w.values.name).length;
          const ours = told && writes.some((x) => x !== w && x.id === told.id); // by a later write of our own
          if (!changed && !ours && !model.gone(w.values.name)) assert.equal(times, 1, `${what}: a created row shows ${times} times`);
        }
      }
      if (w.state === "answered" && !later.some((x) => x.state === "sent")) {
        if (shown) assert.ok(shown.seq >= w.seq, `${what}: ${w.kind} of ${w.id} is undone: commit ${shown.seq} shows after ${w.seq}`);
        else assert.ok((model.deleted.get(w.id) ?? 0) >= w.seq, `${what}: ${w.kind} of ${w.id} is undone: it is gone`);
      }
    }
  };

  const deliver = (all) => {
    if (world.socket.readyState !== 1) return;
    const [mark] = model.stream;
    const last = model.log.length - 1;
    // A mark is answered when everything before it was sent.
    if (mark && model.sent >= mark.at) {
      model.stream.shift();
      world.socket.receive({ event: "products", action: "mark", mark: mark.mark, version: model.log[model.sent].version });
      return;
    }
    if (model.sent === last) return;
    const to = all ? last : model.sent + 1 + pick(last - model.sent);
    const messages = pick(8) === 0 ? model.sync(to) : model.batch(model.sent, to);
    if (messages.length === 0) model.log[to].version = model.log[model.sent].version; // a version is its content
    model.sent = to;
    if (messages.length) world.socket.receive(...messages);
  };

  const lose = async () => {
    world.socket.fail();
    model.stream = [];
    await world.run(2);
    if (world.socket.readyState === 0) world.socket.open();
    const [join] = world.socket.take();
    const from = model.log.findIndex((l) => l.version === join.version);
    model.sent = model.log.length - 1;
    const missed = from >= 0 && (pick(2) || from === model.sent) ? model.batch(from, model.sent) : model.sync(model.sent);
    if (missed.length === 0) model.log[model.sent].version = join.version;
    world.socket.receive(...(missed.length ? missed : [message("sync", "products", join.version, "ok")]));
  };

  const arrive = () => {
    const waiting = model.requests.filter((r) => !r.answer);
    if (!waiting.length) return;
    const r = waiting[pick(waiting.length)];
    if (r.method !== "HEAD" && pick(8) === 0) r.answer = refusal(pick(2) ? 422 : 503, "Refused");
    else r.answer = model.handle(r);
    if (r.method === "DELETE" && r.answer.status === 204) for (const w of writes) if (w.kind === "remove" && w.id === r.id && w.state === "sent" && !w.committed) { w.committed = model.seq; break; }
  };

  const answer = async () => {
    const ready = model.requests.filter((r) => r.answer);
    if (!ready.length) return;
    const r = ready[pick(ready.length)];
    model.requests.splice(model.requests.indexOf(r), 1);
    r.resolve(r.answer);
    await settle();
  };

  const others = () => model.commit(() => {
    const ids = [...model.rows.keys()];
    for (let i = pick(3); i >= 0; i--) {
      const id = ids[pick(ids.length)];
      if (id === undefined || pick(4) === 0) model.put(model.nextID++, { name: "theirs", n: pick(3) });
      else if (!model.rows.has(id)) continue;
      else if (pick(4) === 0) model.remove(id);
      else model.put(id, { n: pick(3) });
    }
  });

  for (let step = 0; step < steps; step++) {
    const what = ["write", "write", "others", "arrive", "arrive", "answer", "answer", "deliver", "deliver", "deliver", "time", "lose"][pick(pick(4) ? 11 : 12)];
    if (what === "write") write();
    else if (what === "others") others();
    else if (what === "arrive") arrive();
    else if (what === "answer") await answer();
    else if (what === "deliver") deliver(false);
    else if (what === "time") await world.run(pick(600));
    else await lose();
    await settle();
    take();
    check(`step ${step}, ${what}`);
  }
  for (let i = 0; i < 500 && (products.pending || model.requests.length || model.sent < model.log.length - 1); i++) {
    arrive();
    await answer();
    deliver(true);
    await world.run(100);
    if (world.socket.readyState === 0) await lose();
    take();
    check("in the end");
  }
  assert.equal(products.pending, 0, "writes do not settle");
  assert.ok(writes.every((w) => w.settled && w.state !== "sent"));
  assert.deepEqual(products.rows, [...model.rows.values()].sort(compare));
  const failed = writes.filter((w) => w.state === "failed").length;
  client.close();
  return { writes: writes.length, failed };
}

for (const marks of [false, true]) {
  test(`local writes among the server's, ${marks ? "with" : "without"} marks`, async () => {
    let all = 0;
    let failed = 0;
    for (let seed = 1; seed <= 80; seed++) {
      try {
        const result = await play(seed, 120, marks);
        all += result.writes;
        failed += result.failed;
      } catch (err) {
        err.message = `seed ${seed}: ${err.message}`;
        throw err;
      }
    }
    assert.ok(all > 1_000 && failed > 50, `${all} writes, ${failed} of them refused: the test tries too little`);
  });
}
