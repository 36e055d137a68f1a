// A world for the client: a clock that moves when told, sockets and streams whose
// other end is the test.

export class World {
  time = 1_000_000;
  timers = new Map();
  sockets = [];
  streams = [];
  answers = new Map(); // URL → {status, body} for fetch
  serve = null; // answers fetch instead, where it is set
  lastTimer = 0;
  window = new EventTarget();
  document = Object.assign(new EventTarget(), { visibilityState: "visible" });

  options(more = {}) {
    const world = this;
    return {
      WebSocket: class extends FakeSocket {
        constructor(url, protocols) {
          super(url, protocols);
          world.sockets.push(this);
        }
      },
      EventSource: class extends FakeStream {
        constructor(url, init) {
          super(url, init);
          world.streams.push(this);
        }
      },
      fetch: async (url, init) => {
        if (world.serve) return world.serve(new URL(url), init ?? {});
        const answer = world.answers.get(String(url)) ?? { status: 200 };
        if (answer.error) throw answer.error;
        return new Response(init?.method === "HEAD" ? null : JSON.stringify(answer.body ?? {}), { status: answer.status });
      },
      window: this.window,
      document: this.document,
      clock: {
        now: () => this.time,
        random: () => 1,
        setTimeout: (fn, delay) => {
          this.timers.set(++this.lastTimer, { at: this.time + delay, fn });
          return this.lastTimer;
        },
        clearTimeout: (id) => this.timers.delete(id),
      },
      ...more,
    };
  }

  get socket() {
    return this.sockets.at(-1);
  }

  get stream() {
    return this.streams.at(-1);
  }

  // run lets time pass, timer by timer.
  async run(ms) {
    const end = this.time + ms;
    for (;;) {
      await settle();
      const due = [...this.timers].filter(([, t]) => t.at <= end).sort(([i, a], [j, b]) => a.at - b.at || i - j)[0];
      if (!due) break;
      this.timers.delete(due[0]);
      this.time = Math.max(this.time, due[1].at);
      due[1].fn();
    }
    this.time = end;
    await settle();
  }

  // sleep lets time pass as for a machine that is asleep: timers come late.
  async sleep(ms) {
    this.time += ms;
    await this.run(0);
  }
}

export async function settle() {
  for (let i = 0; i < 20; i++) await null;
  await new Promise((resolve) => setImmediate(resolve));
}

class FakeSocket {
  readyState = 0;
  sent = [];

  constructor(url, protocols) {
    this.url = url;
    this.protocols = protocols;
  }

  send(text) {
    if (this.readyState !== 1) throw new Error("not open");
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 3;
  }

  // The server's side.

  open() {
    this.readyState = 1;
    this.onopen?.({});
  }

  receive(...messages) {
    for (const m of messages) this.onmessage?.({ data: JSON.stringify(m) });
  }

  fail() {
    this.readyState = 3;
    this.onclose?.({});
  }

  take() {
    return this.sent.splice(0);
  }
}

class FakeStream extends EventTarget {
  readyState = 0;

  constructor(url, init) {
    super();
    this.url = new URL(url);
    this.init = init;
  }

  close() {
    this.readyState = 2;
  }

  open() {
    this.readyState = 1;
    this.onopen?.({});
  }

  receive(...messages) {
    for (const m of messages) this.dispatchEvent(new MessageEvent(m.action, { data: JSON.stringify(m) }));
  }

  // fail is a connection that breaks; refuse, an answer that is no stream.
  fail() {
    this.readyState = 0;
    this.dispatchEvent(new Event("error"));
  }

  refuse() {
    this.readyState = 2;
    this.dispatchEvent(new Event("error"));
  }
}

// FetchedStream is the server's side of an event stream over fetch.
export class FetchedStream {
  constructor(signal) {
    this.body = new ReadableStream({ start: (controller) => { this.controller = controller; } });
    signal?.addEventListener("abort", () => {
      this.closed = true;
      try {
        this.controller.error(signal.reason);
      } catch {
        // It has ended already.
      }
    });
  }

  get answer() {
    return new Response(this.body, { headers: { "content-type": "text/event-stream; charset=utf-8" } });
  }

  write(text) {
    this.controller.enqueue(new TextEncoder().encode(text));
  }

  receive(...messages) {
    for (const m of messages) this.write(`event: ${m.action}\nid: ${m.version}\ndata: ${JSON.stringify(m)}\n\n`);
  }

  fail() {
    this.controller.error(new TypeError("network error"));
  }
}

export function refusal(status, title, more = {}) {
  return new Response(JSON.stringify({ type: "urn:test", title, status, ...more }), { status, headers: { "content-type": "application/problem+json" } });
}

// Messages as the server sends them.

const time = "2026-11-23T12:00:00.123456Z";

export function sync(event, version, rows, more = {}) {
  return { event, action: "sync", payload: rows, page: 1, pages: 1, order: ["id"], version, last_modified: time, ...more };
}

export function ok(event, version, more = {}) {
  return { event, action: "sync", payload: "ok", version, last_modified: time, ...more };
}

export function message(action, event, version, rows, more = {}) {
  return { event, action, payload: rows, version, last_modified: time, ...more };
}

export function problem(event, status, title, more = {}) {
  return { event, action: "error", payload: { type: "urn:test", title, status }, ...more };
}
