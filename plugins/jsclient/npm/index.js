// Bindery's client: live collections that never lose their place.
//
// From top to bottom: what users hold (Client, Collection), what a collection
// knows of rows (Store, Order, keys), what a client knows of a binding that it
// joined (Join), and the connections (SocketLink, StreamLink).
//
// The promise: a version is shown whole or not at all. The messages of a batch
// are held until its last, applied at once, and only then is the version
// remembered; a connection lost in the middle leaves nothing half done, and the
// next one resumes from the version that is shown.

/** Defaults of the options that are numbers; times are in milliseconds. */
const defaults = {
  backoff: 500, // longest wait before the first reconnect, doubled each time
  maxBackoff: 15_000, // which it does not exceed
  openTimeout: 10_000, // for a connection to open
  quietTimeout: 30_000, // without a message before asking whether anybody is there
  probeTimeout: 5_000, // for the answer to that
  fallbackAfter: 2, // WebSockets in a row that did not open before SSE is tried
  upgradeInterval: 60_000, // before a WebSocket is tried again beside SSE, doubled up to 16 times
};
const stableAfter = 5_000; // a connection that lived as long has proved itself: back-off begins anew
const tick = 5_000; // how often the clock is looked at
const slept = 10_000; // a tick that comes so late means that the machine slept
const maxStreamBindings = 50; // on one event stream; the server's own bound is 64 unless configured
const maxStreamNames = 2_000; // characters that they take in its URL
const pingName = "bindery:ping"; // leaving is always confirmed, also what was never joined

/**
 * A problem that the server reported (RFC 9457), or one of the client itself.
 * `status` is the HTTP status, 0 where there is none.
 */
export class BinderyError extends Error {
  constructor(problem) {
    super(problem.detail ? `${problem.title}: ${problem.detail}` : problem.title);
    this.name = "BinderyError";
    this.type = problem.type ?? "about:blank";
    this.title = problem.title ?? "";
    this.status = problem.status ?? 0;
    this.detail = problem.detail ?? "";
    this.problem = problem;
  }
}

/** What a collection dispatches as "change": how one version became the next. */
export class ChangeEvent extends Event {
  constructor(change) {
    super("change");
    this.created = change.created;
    this.updated = change.updated;
    this.previous = change.previous;
    this.deleted = change.deleted;
    this.version = change.version;
  }
}

/** What clients and collections dispatch as "error". */
export class ProblemEvent extends Event {
  constructor(error) {
    super("error");
    this.error = error;
  }
}

/** Connects to the server at the base URL, at the first collection or join. */
export function connect(base, options) {
  return new Client(base, options);
}

/** One connection to a server, shared by everything that it is asked for. */
export class Client extends EventTarget {
  #options;
  #env;
  #socketURL = null;
  #streamURL = null;
  #joins = new Map(); // identity → Join
  #leaving = new Map(); // identity → {event, params, count}: leaves that are not confirmed
  #handlers = new Map(); // event → Set of functions
  #link = null; // the connection in use or being opened
  #trial = null; // a WebSocket that may replace an event stream
  #status = "idle";
  #attempts = 0; // connections since one proved itself
  #socketFailures = 0; // WebSockets in a row that did not open
  #retryTimer = null;
  #tickTimer = null;
  #upgradeTimer = null;
  #upgrades = 0;
  #hiddenAt = 0;
  #suspended = false; // the page lies in the browser's back-forward cache
  #unlisten = [];

  constructor(base, options = {}) {
    super();
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    this.#options = { ...defaults, websocket: "ws", sse: "events", withCredentials: false, ...Object.fromEntries(given) };
    this.#env = environment(options);
    const here = globalThis.document?.baseURI ?? globalThis.location?.href;
    const root = new URL(base ?? "/", here);
    if (!root.pathname.endsWith("/")) root.pathname += "/";
    root.search = root.hash = "";
    const { websocket, sse } = this.#options;
    if (websocket !== false && this.#env.WebSocket) {
      this.#socketURL = new URL(websocket, root);
      this.#socketURL.protocol = this.#socketURL.protocol.replace(/^http/, "ws");
    }
    if (sse !== false && this.#env.EventSource) this.#streamURL = new URL(sse, root);
    if (!this.#socketURL && !this.#streamURL) {
      throw new TypeError("bindery: there is neither a WebSocket nor an EventSource: pass a constructor as an option");
    }
    this.#listen();
  }

  /** "idle", "connecting", "live", "waiting" (to reconnect) or "closed". */
  get status() {
    return this.#status;
  }

  /** "websocket", "sse", or null while there is no connection. */
  get transport() {
    return this.#link?.kind ?? null;
  }

  /** Opens a live collection of the binding's rows. */
  collection(name, { params: given, key, signal } = {}) {
    this.#check(name);
    const params = sendable(given);
    const id = identity(name, params);
    let join = this.#joins.get(id);
    if (!join) {
      join = this.#admit(id, name, params);
      join.store = new Store(join, key);
      this.#link?.join(join);
      this.#start();
    } else if (!join.store) {
      join.store = new Store(join, key); // it was joined by emit: there are no rows yet
      this.#afresh(join);
    } else if (key && !join.store.declareKey(key)) {
      this.#afresh(join);
    }
    return new Collection(join, () => this.#release(join), signal);
  }

  /** Calls fn with each message of the event. Returns a function that ends it. */
  on(event, fn) {
    if (!this.#handlers.has(event)) this.#handlers.set(event, new Set());
    this.#handlers.get(event).add(fn);
    return () => this.off(event, fn);
  }

  off(event, fn) {
    const set = this.#handlers.get(event);
    set?.delete(fn);
    if (set?.size === 0) this.#handlers.delete(event);
    return this;
  }

  /**
   * Joins a binding, leaves it ({disconnect: true}) or looks at a page
   * ({page: 2}). What it brings goes to the functions given to on.
   */
  emit(event, { params: given, version, page, disconnect } = {}) {
    this.#check(event);
    const params = sendable(given);
    const id = identity(event, params);
    const join = this.#joins.get(id);
    if (disconnect) {
      if (join) join.raw = false;
      if (join && !join.store) this.#leave(join);
      else queueMicrotask(() => this.#tell({ event, action: "leave", ...(params && { params }) }));
    } else if (page !== undefined) {
      if (!Number.isInteger(page) || page < 1) throw new RangeError("bindery: pages are counted from 1");
      this.#start();
      this.#page({ event, params, page });
    } else if (join) {
      join.raw = true;
      this.#afresh(join, join.store ? "" : version);
    } else {
      const added = this.#admit(id, event, params, version);
      added.raw = true;
      this.#link?.join(added);
      this.#start();
    }
    return this;
  }

  /** Reconnects now, if that is being waited for; else asks for a sign of life. */
  wake() {
    if (this.#status === "waiting") {
      this.#attempts = 0;
      this.#connect();
    } else if (this.#status === "live") {
      this.#link.probe();
    }
  }

  /** Ends the connection and every collection. A closed client stays closed. */
  close() {
    if (this.#status === "closed") return;
    this.#drop();
    for (const off of this.#unlisten) off();
    this.#setStatus("closed");
    for (const join of [...this.#joins.values()]) {
      this.#forget(join);
      join.store?.end(new BinderyError({ title: "The client was closed" }), true);
    }
    this.#handlers.clear();
  }

  #check(name) {
    if (this.#status === "closed") throw new Error("bindery: the client is closed");
    if (typeof name !== "string" || name === "") throw new TypeError("bindery: a binding has a name");
  }

  #admit(id, event, params, version = "") {
    const join = new Join(event, params, version, {
      message: (m) => this.#tell(m),
      afresh: () => this.#afresh(join),
      fail: (err) => this.#refuse(join, err),
    });
    this.#joins.set(id, join);
    return join;
  }

  #forget(join) {
    this.#env.clearTimeout(join.retryTimer);
    join.held = [];
    const id = identity(join.event, join.params);
    if (this.#joins.get(id) === join) this.#joins.delete(id);
  }

  // #release is called when a collection was closed. The binding is left a
  // moment later, since who closes one often opens it again at once: React does.
  #release(join) {
    queueMicrotask(() => {
      if (!join.store || join.store.collections.size > 0) return;
      join.store = null;
      if (!join.raw && this.#status !== "closed") this.#leave(join);
    });
  }

  #leave(join) {
    const id = identity(join.event, join.params);
    if (this.#joins.get(id) !== join) return;
    this.#forget(join);
    const known = this.#leaving.get(id);
    if (this.#link?.leave(join)) {
      // Until the server confirms it, what comes still belongs to this join.
      if (known) known.count++;
      else this.#leaving.set(id, { event: join.event, params: join.params, count: 1 });
    } else if (!known) {
      queueMicrotask(() => this.#confirmLeave(join));
    }
  }

  #confirmLeave({ event, params }) {
    this.#tell({ event, action: "leave", ...(params && { params }) });
  }

  #afresh(join, version = "") {
    join.held = [];
    join.version = version;
    this.#link?.join(join);
  }

  #page({ event, params, page }) {
    if (this.#link?.page({ event, params, page })) return;
    const problem = { type: "about:blank", title: "Not now", status: 503, detail: "pages are asked for over an open WebSocket" };
    queueMicrotask(() => this.#tell({ event, action: "error", payload: problem, ...(params && { params }) }));
  }

  #tell(message) {
    for (const fn of [...(this.#handlers.get(message.event) ?? [])]) call(fn, message);
  }

  // --- The connection -------------------------------------------------------

  #start() {
    if (this.#status === "idle" && !this.#suspended) this.#connect();
  }

  #connect() {
    this.#drop();
    if (this.#status === "closed") return;
    const sse = !this.#socketURL || (this.#streamURL && this.#socketFailures >= this.#options.fallbackAfter);
    this.#setStatus("connecting");
    this.#link = sse ? this.#newStream() : this.#newSocket();
    this.#watchClock();
  }

  #newSocket() {
    return new SocketLink(this.#socketURL, this.#options, this.#env, this.#events(), this.#joins);
  }

  #newStream() {
    return new StreamLink(this.#streamURL, this.#options, this.#env, this.#events(), this.#joins);
  }

  #events() {
    return {
      opened: (link) => this.#opened(link),
      lost: (link) => this.#lost(link),
      message: (link, text) => this.#receive(link, text),
      refused: (join, problem) => this.#problem(join, problem),
    };
  }

  #opened(link) {
    if (link.kind === "websocket") this.#socketFailures = 0;
    if (link === this.#trial) {
      // The stream is no longer needed. All that it brought in full counts.
      this.#trial = null;
      this.#link.close();
      for (const join of this.#joins.values()) join.held = [];
      this.#link = link;
      this.#upgrades = 0;
    }
    if (link !== this.#link) return;
    this.#setStatus("live", true);
    if (link.kind === "sse" && this.#socketURL) this.#planUpgrade();
  }

  #lost(link) {
    if (link === this.#trial) {
      this.#trial = null;
      this.#planUpgrade();
      return;
    }
    if (link !== this.#link) return;
    if (!link.openedAt) {
      // Where neither opens, they take turns.
      if (link.kind === "sse") this.#socketFailures = this.#options.fallbackAfter - 1;
      else this.#socketFailures++;
    }
    if (link.openedAt && this.#env.now() - link.openedAt >= stableAfter) this.#attempts = 0;
    this.#drop();
    if (this.#status === "closed") return; // by a listener that was just told
    // Full jitter: the clients of a server that restarts come back spread out.
    const { backoff, maxBackoff } = this.#options;
    const delay = this.#env.random() * Math.min(maxBackoff, backoff * 2 ** Math.min(this.#attempts++, 30));
    this.#retryTimer = this.#env.setTimeout(() => this.#connect(), delay);
    this.#setStatus("waiting");
  }

  // #drop ends whatever there is of a connection.
  #drop() {
    const { clearTimeout } = this.#env;
    for (const timer of [this.#retryTimer, this.#tickTimer, this.#upgradeTimer]) clearTimeout(timer);
    this.#link?.close();
    this.#trial?.close();
    this.#link = this.#trial = null;
    for (const join of this.#joins.values()) {
      clearTimeout(join.retryTimer); // it is joined anew with all the others
      join.lost();
    }
    const leaving = [...this.#leaving.values()];
    this.#leaving.clear();
    for (const l of leaving) this.#confirmLeave(l); // the server has forgotten the whole connection
  }

  #planUpgrade() {
    const delay = this.#options.upgradeInterval * 2 ** Math.min(this.#upgrades++, 4);
    this.#env.clearTimeout(this.#upgradeTimer);
    this.#upgradeTimer = this.#env.setTimeout(() => {
      if (this.#link?.kind === "sse") this.#trial = this.#newSocket();
    }, delay);
  }

  #receive(link, text) {
    if (link !== this.#link) return;
    let message;
    try {
      message = JSON.parse(text);
    } catch (cause) {
      this.dispatchEvent(new ProblemEvent(new Error("bindery: a message that is no JSON", { cause })));
      link.fail();
      return;
    }
    const id = this.#identify(message);
    const leaving = this.#leaving.get(id);
    if (message.action === "leave") {
      if (message.event === pingName) return;
      if (leaving && --leaving.count === 0) this.#leaving.delete(id);
      this.#tell(message);
      return;
    }
    if (leaving) return; // of a join that is over
    const join = this.#joins.get(id);
    switch (message.action) {
      case "sync":
      case "create":
      case "update":
      case "delete":
        join?.receive(message);
        break;
      case "page":
        this.#tell(message);
        break;
      case "error":
        if (join) this.#problem(join, message.payload);
        else {
          this.dispatchEvent(new ProblemEvent(new BinderyError(message.payload)));
          this.#tell(message);
        }
    }
    // What later protocols add is none of our business.
  }

  // #identify returns the identity of the join that a message is for. The server
  // spells parameters in its own way: 1.50 and 1.5 may be the same to it.
  #identify({ event, params }) {
    const id = identity(event, params);
    if (!params || this.#joins.has(id) || this.#leaving.has(id)) return id;
    for (const known of [this.#leaving, this.#joins]) {
      for (const [other, join] of known) {
        if (join.event === event && join.params && alike(join.params, params)) return other;
      }
    }
    return id;
  }

  // #problem handles what the server says instead of serving the join.
  #problem(join, problem) {
    const err = new BinderyError(problem);
    if (err.status < 500 && err.status !== 429) {
      this.#refuse(join, err);
      return;
    }
    // It may go better later.
    join.lost();
    join.store?.report(err);
    this.#tellProblem(join, err);
    const { backoff, maxBackoff } = this.#options;
    const delay = backoff + this.#env.random() * Math.min(maxBackoff, backoff * 2 ** Math.min(join.refusals++, 30));
    this.#env.clearTimeout(join.retryTimer);
    join.retryTimer = this.#env.setTimeout(() => this.#link?.join(join), delay);
  }

  #refuse(join, err) {
    if (this.#joins.get(identity(join.event, join.params)) !== join) return;
    if (err.status) {
      this.#forget(join);
      this.#link?.refused(join);
    } else {
      this.#leave(join); // the client gives up, the server does not know
    }
    this.#tellProblem(join, err);
    join.store?.end(err);
  }

  #tellProblem({ event, params }, err) {
    this.#tell({ event, action: "error", payload: err.problem, ...(params && { params }) });
  }

  #setStatus(status, force) {
    if (this.#status === status && !force) return;
    this.#status = status;
    this.dispatchEvent(new Event("status"));
  }

  // --- Sleep and the network ------------------------------------------------

  // A machine that slept finds its connections dead and is not told: timers
  // that come late are how it shows.
  #watchClock() {
    const { now, setTimeout, clearTimeout } = this.#env;
    clearTimeout(this.#tickTimer);
    const due = now() + tick;
    this.#tickTimer = setTimeout(() => {
      const late = now() - due;
      this.#watchClock();
      if (late > slept) this.wake();
    }, tick);
  }

  #listen() {
    const { window, document, now } = this.#env;
    const on = (target, type, fn) => {
      if (!target?.addEventListener) return;
      target.addEventListener(type, fn);
      this.#unlisten.push(() => target.removeEventListener(type, fn));
    };
    on(window, "online", () => this.wake());
    on(document, "visibilitychange", () => {
      if (document.visibilityState === "hidden") this.#hiddenAt = now();
      // A stream cannot be probed, only opened again: not for each change of tabs.
      else if (this.transport !== "sse" || now() - this.#hiddenAt > this.#options.quietTimeout) this.wake();
    });
    // A page with open connections may not lie in the back-forward cache.
    on(window, "pagehide", () => {
      this.#suspended = true;
      if (this.#status === "idle") return;
      this.#drop();
      this.#setStatus("idle");
    });
    on(window, "pageshow", () => {
      if (!this.#suspended) return;
      this.#suspended = false;
      if (this.#joins.size > 0) this.#start();
    });
  }
}

/** The rows of a binding, in its order, always current. */
export class Collection extends EventTarget {
  #join;
  #store; // null once closed
  #state;
  #index = null; // rows by key once closed
  #detach;
  #becomeReady;

  constructor(join, released, signal) {
    super();
    this.#join = join;
    this.#store = join.store;
    this.#state = this.#store.state;
    this.ready = new Promise((resolve, reject) => {
      this.#detach = (err) => {
        this.#store.collections.delete(this);
        signal?.removeEventListener("abort", abort);
        reject(err); // without effect once it was ready
        released();
      };
      this.#becomeReady = () => resolve(this);
      if (this.#state.version) resolve(this);
    });
    this.ready.catch(() => {}); // who does not wait for it need not handle it
    const abort = () => this.#end(signal.reason);
    this.#store.collections.set(this, {
      update: (state, change, became) => this.#update(state, change, became),
      report: (err) => this.#store && this.dispatchEvent(new ProblemEvent(err)),
      end: (err, quiet) => this.#end(err, err, quiet),
    });
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  }

  get name() {
    return this.#join.event;
  }

  get params() {
    return this.#join.params;
  }

  /** Rows, status, version and error in one frozen object, a new one for each change. */
  get state() {
    return this.#state;
  }

  /** The rows as a frozen array, a new one for each version. */
  get rows() {
    return this.#state.rows;
  }

  get size() {
    return this.#state.rows.length;
  }

  /** The version's token, "" before the first. */
  get version() {
    return this.#state.version;
  }

  /** When the rows changed last, RFC 3339; "" before the first version. */
  get lastModified() {
    return this.#state.lastModified;
  }

  /** "connecting" (no rows yet), "live", "stale" (rows that may be old) or "closed". */
  get status() {
    return this.#state.status;
  }

  /** Why the collection was closed by the server, or null. */
  get error() {
    return this.#state.error;
  }

  [Symbol.iterator]() {
    return this.#state.rows[Symbol.iterator]();
  }

  /** The row of the key: a value, an array for a key of several columns, or an object that has them. */
  get(key) {
    return this.#store ? this.#store.get(key) : this.#index(key);
  }

  has(key) {
    return this.get(key) !== undefined;
  }

  /** Calls fn for events of the type ("change", "status", "error"). Returns a function that ends it. */
  on(type, fn) {
    this.addEventListener(type, fn);
    return () => this.removeEventListener(type, fn);
  }

  /** The contract of Svelte's stores: calls fn with the state now and whenever it changes. */
  subscribe(fn) {
    let last = this.#state;
    const tell = () => {
      if (this.#state === last) return;
      last = this.#state;
      call(fn, last);
    };
    const types = ["change", "status", "version"];
    for (const type of types) this.addEventListener(type, tell);
    call(fn, last);
    return () => {
      for (const type of types) this.removeEventListener(type, tell);
    };
  }

  /** Lets the rows go stale for good. The binding is left with its last collection. */
  close() {
    this.#end(new BinderyError({ title: "The collection was closed" }));
  }

  [Symbol.dispose ?? Symbol.for("Symbol.dispose")]() {
    this.close();
  }

  // #update may find the collection closed, before or between events: by a
  // listener, of this collection or of another one of the binding.
  #update(state, change, became) {
    if (!this.#store) return;
    const before = this.#state;
    this.#state = state;
    if (state.version) this.#becomeReady();
    if (change) this.dispatchEvent(new ChangeEvent(change));
    if (this.#store && before.version !== state.version) this.dispatchEvent(new Event("version"));
    if (this.#store && became) this.dispatchEvent(new Event("status"));
  }

  #end(reason, error = null, quiet = false) {
    if (!this.#store) return;
    const store = this.#store;
    this.#index = store.frozenIndex();
    this.#detach(reason ?? new BinderyError({ title: "The collection was aborted" }));
    this.#store = null;
    this.#state = Object.freeze({ ...this.#state, status: "closed", error: quiet ? null : error });
    if (error && !quiet) this.dispatchEvent(new ProblemEvent(error));
    this.dispatchEvent(new Event("status"));
  }
}

// Store holds the rows of a join for its collections.
class Store {
  collections = new Map(); // Collection → {update, report, end}
  state = Object.freeze({ rows: Object.freeze([]), status: "connecting", version: "", lastModified: "", error: null });
  #join;
  #key; // columns, null until known
  #declared; // #key was declared or told by the server, not guessed
  #refuted = new Set(); // keys that were guessed wrong
  #rows = new Map(); // encoded key → row
  #order = null;

  constructor(join, key) {
    this.#join = join;
    this.#key = key ? [...key] : null;
    this.#declared = Boolean(key);
  }

  // declareKey returns false when the rows that are held contradict it, so that
  // they have to be fetched anew.
  declareKey(key) {
    if (this.#declared && this.#key.join() !== [...key].join()) {
      throw new TypeError(`bindery: the key of ${JSON.stringify(this.#join.event)} is ${this.#key}, not ${key}`);
    }
    return this.#rekey([...key]);
  }

  get(key) {
    return this.#key ? this.#rows.get(encodeKey(this.#key, key)) : undefined;
  }

  // frozenIndex returns a get for the rows as they are now.
  frozenIndex() {
    const columns = this.#key;
    const rows = new Map(this.#rows);
    return (key) => (columns ? rows.get(encodeKey(columns, key)) : undefined);
  }

  // apply applies a batch, whole or not at all. It returns false when the rows
  // have to be fetched anew, because the key had been guessed wrong.
  apply(batch) {
    const first = batch[0];
    const last = batch[batch.length - 1];
    let change = null;
    if (first.action === "sync") {
      if (Array.isArray(first.payload)) change = this.#replace(batch);
    } else {
      change = this.#modify(batch);
      if (!change) return false;
    }
    const rows = change?.rows ?? this.state.rows;
    const changed = change && change.created.length + change.updated.length + change.deleted.length > 0;
    const became = this.state.status !== "live";
    this.#set({ rows, status: "live", version: last.version, lastModified: last.last_modified ?? "", error: null },
      changed ? { ...change, version: last.version } : null, became);
    return true;
  }

  stale() {
    if (this.state.status === "live") this.#set({ ...this.state, status: "stale" }, null, true);
  }

  report(err) {
    for (const c of [...this.collections.values()]) c.report(err);
  }

  end(err, quiet) {
    for (const c of [...this.collections.values()]) c.end(err, quiet);
  }

  #set(state, change, became) {
    this.state = Object.freeze(state);
    for (const c of [...this.collections.values()]) c.update(this.state, change, became);
  }

  #replace(batch) {
    const list = batch.flatMap((m) => m.payload);
    const order = batch[0].order ?? null;
    if (!this.#declared) this.#key = guessKey(order, list, this.#refuted);
    const key = this.#key;
    if (!key) throw this.#ambiguous("no columns of its order tell rows apart");
    const rows = new Map();
    const change = { created: [], updated: [], previous: [], deleted: [] };
    const inOrder = list.map((row) => {
      const id = encodeKey(key, row);
      const old = this.#rows.get(id);
      if (rows.has(id)) {
        throw this.#ambiguous(`several rows have the same ${key}`);
      }
      let now = row;
      if (!old) change.created.push(row);
      // An equal row stays the same object, so that nothing is drawn again.
      else if (JSON.stringify(old) === JSON.stringify(row)) now = old;
      else {
        change.updated.push(row);
        change.previous.push(old);
      }
      rows.set(id, now);
      return now;
    });
    for (const [id, row] of this.#rows) if (!rows.has(id)) change.deleted.push(row);
    this.#rows = rows;
    this.#order = order ? new Order(order) : null;
    this.#order?.learn(inOrder);
    change.rows = Object.freeze(inOrder);
    return change;
  }

  #modify(batch) {
    for (const m of batch) {
      // A delete shows the key columns alone: who has seen one need not guess.
      if (m.action === "delete" && !this.#declared && m.payload.length > 0 && !this.#rekey(Object.keys(m.payload[0]))) return null;
    }
    const key = this.#key;
    const change = { created: [], updated: [], previous: [], deleted: [] };
    const writes = new Map(); // encoded key → row, or undefined
    for (const m of batch) {
      for (const row of m.payload) {
        const id = encodeKey(key, row);
        const old = this.#rows.get(id);
        const fits = !writes.has(id) && (m.action === "create") === (old === undefined);
        if (!fits && !this.#declared) {
          this.#refuted.add(key.join());
          return null;
        }
        if (m.action === "delete") {
          if (old) change.deleted.push(old);
          writes.set(id, undefined);
          continue;
        }
        if (old) {
          change.updated.push(row);
          change.previous.push(old);
        } else change.created.push(row);
        writes.set(id, row);
      }
    }
    for (const [id, row] of writes) {
      if (row) this.#rows.set(id, row);
      else this.#rows.delete(id);
    }
    change.rows = Object.freeze(this.#arrange(change));
    return change;
  }

  #ambiguous(why) {
    const detail = `${JSON.stringify(this.#join.event)}: ${why}: name the key's columns with the option key`;
    return new BinderyError({ title: "Ambiguous key", detail });
  }

  // #arrange returns the rows in order after the change: the untouched ones are
  // in order already, the others go where binary search finds their place.
  #arrange({ created, updated, previous, deleted }) {
    if (!this.#order) {
      const now = new Map(previous.map((row, i) => [row, updated[i]]));
      const gone = new Set(deleted);
      return [...this.state.rows.filter((r) => !gone.has(r)).map((r) => now.get(r) ?? r), ...created];
    }
    const touched = new Set([...previous, ...deleted]);
    const kept = touched.size ? this.state.rows.filter((r) => !touched.has(r)) : this.state.rows;
    const compare = this.#order.compare;
    const fresh = [...created, ...updated].sort(compare);
    const rows = [];
    let from = 0;
    for (const row of fresh) {
      let low = from;
      for (let high = kept.length; low < high; ) {
        const mid = (low + high) >>> 1;
        if (compare(kept[mid], row) < 0) low = mid + 1;
        else high = mid;
      }
      for (; from < low; from++) rows.push(kept[from]);
      rows.push(row);
    }
    for (; from < kept.length; from++) rows.push(kept[from]);
    return rows;
  }

  // #rekey makes the columns the key for good. It returns false when rows that
  // are held have not all of them, or share them.
  #rekey(key) {
    this.#declared = true;
    if (this.#key && this.#key.length === key.length && key.every((c) => this.#key.includes(c))) return true;
    const rows = new Map();
    for (const row of this.#rows.values()) rows.set(encodeKey(key, row), row);
    this.#key = key;
    if (rows.size !== this.#rows.size) return false;
    this.#rows = rows;
    return true;
  }
}

// guessKey returns the columns that tell the rows apart, if any do. The
// columns of a total order contain the key, at its end unless they were ordered
// by anyway. A wrong guess does no harm: sooner or later a batch contradicts it,
// and before it is applied the rows are fetched anew.
function guessKey(order, rows, refuted) {
  const columns = order ? order.map(columnOf) : ["id"];
  const tails = columns.map((_, i) => columns.slice(columns.length - 1 - i));
  const candidates = columns.includes("id") ? [["id"], ...tails] : tails;
  return candidates.find((key) => !refuted.has(key.join()) && new Set(rows.map((r) => encodeKey(key, r))).size === rows.length);
}

function encodeKey(columns, key) {
  if (Array.isArray(key)) return JSON.stringify(key);
  if (key !== null && typeof key === "object") return JSON.stringify(columns.map((c) => key[c] ?? null));
  return JSON.stringify([key]);
}

const columnOf = (term) => (term.startsWith("-") ? term.slice(1) : term);

const decimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const instant = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/;

// Order compares rows as the server does: null below everything, numbers by
// size, text by code points (which is the order of its UTF-8 bytes), RFC 3339
// times by instant. JSON does not tell decimals that are sent as text from other
// text, nor where NULLs were placed: that is learned from the rows of a sync,
// which come in order.
class Order {
  #columns;

  constructor(terms) {
    this.#columns = terms.map((t) => ({ name: columnOf(t), sign: t.startsWith("-") ? -1 : 1, numeric: false, nulls: -1 }));
    this.compare = (a, b) => {
      for (const c of this.#columns) {
        const d = compareIn(c, a[c.name], b[c.name]);
        if (d !== 0) return d;
      }
      return 0;
    };
  }

  learn(rows) {
    for (let i = 1; i < rows.length; i++) {
      for (const c of this.#columns) {
        const a = rows[i - 1][c.name];
        const b = rows[i][c.name];
        let d = compareIn(c, a, b);
        if (d > 0) {
          if ((a ?? null) === null || (b ?? null) === null) c.nulls = -c.nulls;
          else if (isDecimal(a) && isDecimal(b)) c.numeric = true;
          d = compareIn(c, a, b);
        }
        if (d !== 0) break;
      }
    }
  }
}

function compareIn(column, a, b) {
  const noA = (a ?? null) === null;
  const noB = (b ?? null) === null;
  if (noA || noB) return noA && noB ? 0 : (noA ? column.nulls : -column.nulls) * column.sign;
  return column.sign * (column.numeric && isDecimal(a) && isDecimal(b) ? compareDecimals(a, b) : compareValues(a, b));
}

const isDecimal = (v) => typeof v === "string" && decimal.test(v);

const ranks = { boolean: 0, number: 1, bigint: 1, string: 2, object: 3 };

function compareValues(a, b) {
  if (typeof a !== typeof b) return ranks[typeof a] - ranks[typeof b] || (a < b ? -1 : a > b ? 1 : 0);
  if (typeof a === "string") return compareTexts(a, b);
  if (typeof a === "object") return compareTexts(JSON.stringify(a), JSON.stringify(b));
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareTexts(a, b) {
  if (a === b) return 0;
  const ta = instant.exec(a);
  const tb = ta && instant.exec(b);
  if (tb) {
    const d = Date.parse(ta[1] + ta[3]) - Date.parse(tb[1] + tb[3]);
    if (d !== 0) return d;
    // A Date has milliseconds, the server more.
    const digits = Math.max(ta[2]?.length ?? 0, tb[2]?.length ?? 0);
    const fa = (ta[2] ?? "").padEnd(digits, "0");
    const fb = (tb[2] ?? "").padEnd(digits, "0");
    if (fa !== fb) return fa < fb ? -1 : 1;
  }
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return codePointRank(x) - codePointRank(y);
  }
  return a.length - b.length;
}

// Surrogates stand for code points above all others, but not as UTF-16 units.
const codePointRank = (unit) => (unit >= 0xe000 ? unit - 0x800 : unit >= 0xd800 ? unit + 0x2000 : unit);

// compareDecimals compares exactly where floats would round.
function compareDecimals(a, b) {
  const d = Number(a) - Number(b);
  if (d !== 0 && !Number.isNaN(d)) return d;
  const [x, y] = [parts(a), parts(b)];
  if (!x || !y) return 0;
  const scale = Math.max(x.fraction.length, y.fraction.length);
  const int = (p) => BigInt((p.whole || "0") + p.fraction.padEnd(scale, "0")) * p.sign;
  const [m, n] = [int(x), int(y)];
  return m < n ? -1 : m > n ? 1 : 0;
}

function parts(text) {
  const m = /^([+-]?)(\d*)\.?(\d*)$/.exec(text); // exponents are left to floats
  return m && { sign: m[1] === "-" ? -1n : 1n, whole: m[2], fraction: m[3] };
}

// Join is a binding, or a member of a family, that the client follows.
class Join {
  held = []; // messages of a batch that is not complete
  store = null; // for collections
  raw = false; // joined by emit
  refusals = 0; // in a row, that may go better later
  retryTimer = null;
  #events;

  constructor(event, params, version, events) {
    this.event = event;
    this.params = params;
    this.version = version;
    this.#events = events;
  }

  receive(message) {
    // The first page of a sync begins anew whatever was under way.
    const whole = message.action === "sync" && Array.isArray(message.payload);
    if (message.action === "sync" && (message.page ?? 1) === 1) this.held = [];
    const previous = this.held[this.held.length - 1];
    if (previous && (previous.version !== message.version || (whole && message.page !== previous.page + 1))) {
      this.#events.afresh(); // not a batch as the protocol has them
      return;
    }
    if (!previous && this.version === "" && !whole) return; // of before this join
    if (!previous && whole && (message.page ?? 1) !== 1) return;
    this.held.push(message);
    if (message.more) return;
    const batch = this.held;
    this.held = [];
    if (this.store && message.payload === "ok" && message.version !== this.version) {
      this.#events.afresh();
      return;
    }
    try {
      if (this.store && !this.store.apply(batch)) {
        this.#events.afresh();
        return;
      }
    } catch (err) {
      this.#events.fail(err instanceof BinderyError ? err : new BinderyError({ title: "A batch could not be applied", detail: String(err) }));
      return;
    }
    this.refusals = 0;
    this.version = message.version;
    for (const m of batch) this.#events.message(m);
  }

  // lost notes that nothing keeps the rows current any more.
  lost() {
    this.held = [];
    this.store?.stale();
  }

  request() {
    return { event: this.event, ...(this.params && { params: this.params }), ...(this.version && { version: this.version }) };
  }
}

// A link is one connection. It calls opened once, lost at most once and never
// after close, and reads the joins when it opens. join, leave and page return
// whether the server was asked; leave, whether it will confirm.

class SocketLink {
  kind = "websocket";
  openedAt = 0;
  #socket = null;
  #options;
  #env;
  #events;
  #timer = null; // for opening, then for quiet, then for the answer to a probe
  #probing = false;
  #over = false;

  constructor(url, options, env, events, joins) {
    this.#options = options;
    this.#env = env;
    this.#events = events;
    this.#wait(options.openTimeout, () => this.fail());
    try {
      this.#socket = new env.WebSocket(String(url));
    } catch {
      this.#wait(0, () => this.fail()); // the page's policy forbids it
      return;
    }
    this.#socket.onopen = () => {
      this.openedAt = env.now();
      for (const join of joins.values()) this.join(join);
      this.#events.opened(this);
      this.#listen();
    };
    this.#socket.onmessage = (e) => {
      this.#listen();
      this.#events.message(this, e.data);
    };
    this.#socket.onclose = () => this.fail();
    this.#socket.onerror = () => {}; // a close follows
  }

  join(join) {
    return this.#send(join.request());
  }

  leave({ event, params }) {
    return this.#send({ event, ...(params && { params }), disconnect: true });
  }

  refused() {}

  page({ event, params, page }) {
    return this.#send({ event, ...(params && { params }), page });
  }

  // probe asks for a sign of life: a browser is not told of a network that
  // went silent.
  probe() {
    if (this.#probing || !this.openedAt) return;
    this.#probing = true;
    this.#wait(this.#options.probeTimeout, () => this.fail());
    this.#send({ event: pingName, disconnect: true });
  }

  fail() {
    if (this.#over) return;
    this.close();
    this.#events.lost(this);
  }

  close() {
    this.#over = true;
    this.#env.clearTimeout(this.#timer);
    const socket = this.#socket;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #send(message) {
    if (this.#over || this.#socket?.readyState !== 1) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #listen() {
    this.#probing = false;
    this.#wait(this.#options.quietTimeout, () => this.probe());
  }

  #wait(delay, fn) {
    if (this.#over) return;
    this.#env.clearTimeout(this.#timer);
    this.#timer = this.#env.setTimeout(fn, delay);
  }
}

// StreamLink carries bindings together on one event stream, since browsers allow
// six to a server over HTTP/1.
//
// EventSource would reconnect by itself, but not with jitter, not to another
// transport, and not from the version that was applied: so the first break
// ends it, and the client opens the next.
class StreamLink {
  kind = "sse";
  openedAt = 0;
  #url;
  #options;
  #env;
  #events;
  #groups = new Set(); // of {joins, alone, source, timer}
  #over = false;
  #aborter = new AbortController();

  constructor(url, options, env, events, joins) {
    this.#url = url;
    this.#options = options;
    this.#env = env;
    this.#events = events;
    for (const join of joins.values()) this.join(join);
  }

  // join opens the stream of the join's group anew, so that it names the
  // version held by each.
  join(join) {
    const group = this.#groupOf(join) ?? [...this.#groups].find((g) => this.#hasRoom(g, join)) ?? this.#newGroup();
    group.joins.add(join);
    this.#reopen(group);
    return true;
  }

  #newGroup(alone = false) {
    const group = { joins: new Set(), alone, source: null, timer: null };
    this.#groups.add(group);
    return group;
  }

  #hasRoom(group, join) {
    if (group.alone || group.joins.size >= maxStreamBindings) return false;
    return [...group.joins, join].reduce((sum, j) => sum + encodeURIComponent(nameOf(j)).length, 0) <= maxStreamNames;
  }

  leave(join) {
    const group = this.#groupOf(join);
    if (group) {
      group.joins.delete(join);
      this.#reopen(group);
    }
    return false;
  }

  // refused is called for a join that the server has dropped, but whose name
  // would be asked for again with the others.
  refused(join) {
    this.leave(join);
  }

  page() {
    return false;
  }

  // probe opens the streams again: there is nothing to ask over them.
  probe() {
    for (const group of this.#groups) this.#reopen(group);
  }

  fail() {
    if (this.#over) return;
    this.close();
    this.#events.lost(this);
  }

  close() {
    this.#over = true;
    this.#aborter.abort();
    for (const group of this.#groups) this.#shut(group);
  }

  #groupOf(join) {
    return [...this.#groups].find((g) => g.joins.has(join));
  }

  #shut(group) {
    this.#env.clearTimeout(group.timer);
    group.source?.close();
    group.source = null;
    for (const join of group.joins) join.held = [];
  }

  // #reopen waits for whatever else is joined or left in the same breath.
  #reopen(group) {
    if (this.#over) return;
    this.#shut(group);
    if (group.joins.size === 0) {
      this.#groups.delete(group);
      return;
    }
    group.timer = this.#env.setTimeout(() => this.#open(group), 0);
  }

  #open(group) {
    let source;
    try {
      source = new this.#env.EventSource(this.#urlOf([...group.joins]), { withCredentials: this.#options.withCredentials });
    } catch {
      this.fail();
      return;
    }
    group.source = source;
    let opened = false;
    const wait = (delay, fn) => {
      this.#env.clearTimeout(group.timer);
      group.timer = this.#env.setTimeout(fn, delay);
    };
    // Heartbeats are comments, which an EventSource does not show: on a stream
    // that is quiet for long only a new one tells whether the server is there.
    const listen = () => wait(2 * this.#options.quietTimeout, () => this.#reopen(group));
    wait(this.#options.openTimeout, () => this.fail());
    source.onopen = () => {
      if (group.source !== source) return;
      opened = true;
      listen();
      if (this.openedAt) return;
      this.openedAt = this.#env.now();
      this.#events.opened(this);
    };
    const receive = (e) => {
      if (group.source !== source) return;
      listen();
      this.#events.message(this, e.data);
    };
    for (const action of ["sync", "create", "update", "delete"]) source.addEventListener(action, receive);
    source.addEventListener("error", (e) => {
      if (group.source !== source) return;
      // A message of the type "error" has data, a broken stream has not.
      if (typeof e.data === "string") receive(e);
      else if (!opened && source.readyState === 2) this.#diagnose(group);
      else this.fail();
    });
  }

  #urlOf(joins) {
    const url = new URL(this.#url);
    const versions = joins.map((j) => j.version);
    if (joins.length === 1 && joins[0].params) {
      url.pathname += `/${encodeURIComponent(joins[0].event)}`;
      for (const [name, value] of Object.entries(joins[0].params)) url.searchParams.append(name, String(value));
    } else {
      for (const join of joins) url.searchParams.append("event", nameOf(join));
    }
    if (versions.some(Boolean)) url.searchParams.set("version", versions.join("."));
    return String(url);
  }

  // #diagnose finds out why a stream was refused, which an EventSource does
  // not say: which of its bindings is to blame, if it is one of them.
  async #diagnose(group) {
    this.#shut(group);
    const { fetch } = this.#env;
    group.timer = this.#env.setTimeout(() => this.fail(), this.#options.openTimeout);
    const refused = [];
    let failing = false;
    try {
      const init = { signal: this.#aborter.signal, credentials: this.#options.withCredentials ? "include" : "same-origin" };
      for (const join of [...group.joins]) {
        const url = this.#urlOf([join]);
        const head = await fetch(url, { ...init, method: "HEAD" });
        failing ||= head.status >= 500 || head.status === 429;
        if (head.status < 400 || head.status >= 500 || head.status === 429) continue;
        const answer = await fetch(url, init);
        if (answer.ok) {
          await answer.body?.cancel(); // it has come to life
          continue;
        }
        refused.push([join, await problemOf(answer, head.status)]);
      }
    } catch {
      failing = true; // as when the server is away
    }
    if (this.#over) return;
    if (refused.length === 0) {
      if (failing || group.joins.size < 2) this.fail();
      else this.#split(group);
      return;
    }
    this.#reopen(group);
    for (const [join, problem] of refused) this.#events.refused(join, problem);
  }

  // #split asks for each join alone, where they are refused together and none by
  // itself: a server may take two of them for the same.
  #split(group) {
    this.#shut(group);
    this.#groups.delete(group);
    for (const join of group.joins) {
      const alone = this.#newGroup(true);
      alone.joins.add(join);
      this.#reopen(alone);
    }
  }
}

// nameOf returns how an event stream is asked for the join: by the binding's
// name, followed by the parameters of a member as the query of a URL.
function nameOf({ event, params }) {
  return params ? `${event}?${new URLSearchParams(Object.entries(params).map(([k, v]) => [k, String(v)]))}` : event;
}

async function problemOf(answer, status) {
  try {
    const problem = await answer.json();
    if (problem && typeof problem.title === "string") return { ...problem, status: problem.status ?? status };
  } catch {
    // Something in between answered, in its own way.
  }
  return { type: "about:blank", title: answer.statusText || "Refused", status };
}

// sendable returns parameters as JSON can carry them, undefined for none.
function sendable(params) {
  const given = Object.entries(params ?? {}).filter(([, value]) => value !== undefined);
  if (given.length === 0) return undefined;
  return Object.fromEntries(given.map(([name, value]) => [name, typeof value === "bigint" ? String(value) : value]));
}

// alike reports whether a server may take the parameters for the same.
function alike(a, b) {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => name in b && alikeValues(String(a[name]), String(b[name])));
}

function alikeValues(a, b) {
  if (a === b) return true;
  if (decimal.test(a) && decimal.test(b)) return compareDecimals(a, b) === 0;
  const time = Date.parse(a);
  return instant.test(a) && instant.test(b) && time === Date.parse(b);
}

// identity tells joins apart. Parameters arrive in URLs as text, so 42 and "42"
// are the same.
function identity(event, params) {
  if (!params || Object.keys(params).length === 0) return event ?? "";
  return JSON.stringify([event, ...Object.keys(params).sort().map((k) => [k, String(params[k])])]);
}

// call keeps what a listener throws away from other listeners, and reports it.
function call(fn, argument) {
  try {
    fn(argument);
  } catch (err) {
    if (globalThis.reportError) globalThis.reportError(err);
    else queueMicrotask(() => { throw err; });
  }
}

function environment(options) {
  const clock = options.clock ?? {};
  return {
    WebSocket: "WebSocket" in options ? options.WebSocket : globalThis.WebSocket,
    EventSource: "EventSource" in options ? options.EventSource : globalThis.EventSource,
    fetch: options.fetch ?? ((...args) => globalThis.fetch(...args)),
    now: clock.now ?? (() => Date.now()),
    random: clock.random ?? (() => Math.random()),
    setTimeout: clock.setTimeout ?? ((fn, delay) => setTimeout(fn, delay)),
    clearTimeout: clock.clearTimeout ?? ((timer) => clearTimeout(timer)),
    window: options.window ?? globalThis.window,
    document: options.document ?? globalThis.document,
  };
}
