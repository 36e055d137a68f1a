// A client: one connection, and whatever is followed over it.

import { Collection } from "./collection.js";
import { Connection } from "./connection.js";
import { Credentials } from "./credentials.js";
import { endpoints, environment, settle } from "./environment.js";
import { BinderyError, isDenial, mayPass } from "./errors.js";
import { ProblemEvent, call } from "./events.js";
import { Join } from "./join.js";
import { Joins } from "./joins.js";
import { sendable } from "./names.js";
import { pingName } from "./socketlink.js";
import { Rest } from "./rest.js";
import { Store } from "./store.js";
import { Writes } from "./writes.js";

const patience = 3; // nonsensical batches in a row after which the rows are fetched again at once

const ofMark = /:(malformed-mark|foreign-mark|not-reached)$/; // types of problems that are about a mark only

/** Creates a client of the server at the base URL. It connects at the first collection or join. */
export function connect(base, options) {
  return new Client(base, options);
}

/** One connection to a server, shared by all collections and joins. */
export class Client extends EventTarget {
  #settings;
  #env;
  #joins = new Joins((left) => this.#confirmLeave(left));
  #handlers = new Map(); // event → Set of functions
  #connection;
  #rest;

  constructor(base, options = {}) {
    super();
    this.#settings = settle(options);
    this.#env = environment(options);
    const locate = () => endpoints(base, this.#settings, this.#env);
    const credentials = new Credentials(this.#settings);
    this.#rest = new Rest(() => locate().rest, this.#settings, this.#env, credentials);
    this.#connection = new Connection(locate, (join) => this.#rest.url(join), this.#settings, this.#env, credentials, this.#joins.all, {
      status: () => this.dispatchEvent(new Event("status")),
      message: (link, text) => this.#receive(link, text),
      refused: (join, problem) => this.#problem(join, problem),
      givenUp: (join, problem) => this.#refuse(join, new BinderyError(problem)),
      failed: (error) => this.dispatchEvent(new ProblemEvent(error ?? new Error("bindery: no credentials came in time"))),
      replaced: () => this.#dropHeld(),
      dropped: () => this.#dropped(),
    });
  }

  /** "idle", "connecting", "live", "waiting" (to reconnect) or "closed". */
  get status() {
    return this.#connection.status;
  }

  /** "websocket", "sse", "poll", or null while there is no connection. */
  get transport() {
    return this.#connection.link?.kind ?? null;
  }

  /** Opens a live collection of the binding's rows. */
  collection(name, { params: given, key, signal, initial, linger = 0 } = {}) {
    this.#check(name);
    const params = sendable(given);
    let join = this.#joins.get(name, params);
    if (!join) {
      this.#connection.start();
      join = this.#admit(name, params, initial?.version);
      join.store = new Store(name, key);
      if (initial?.version) join.store.begin(initial);
      this.#link?.join(join);
    } else if (!join.store) {
      join.store = new Store(name, key); // emit has joined it, so there are no rows yet
      this.#afresh(join);
    } else if (key && !join.store.declareKey(key)) {
      this.#afresh(join);
    }
    return new Collection(join, { released: () => this.#release(join, linger), writes: () => this.#writesOf(join), env: this.#env, signal });
  }

  /** Returns the state that collections of the binding show now, or null if there are none. */
  peek(name, { params } = {}) {
    return this.#joins.get(name, sendable(params))?.store?.state ?? null;
  }

  /** Calls fn with each message of the event. Returns a function that stops this. */
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
   * Joins a binding, leaves it ({disconnect: true}) or looks at a page ({page: 2}). The
   * messages go to the functions given to on.
   */
  emit(event, { params: given, version, page, disconnect } = {}) {
    this.#check(event);
    const params = sendable(given);
    const join = this.#joins.get(event, params);
    if (disconnect) {
      if (join) join.raw = false;
      if (join && !join.store) this.#leave(join);
      else queueMicrotask(() => this.#confirmLeave({ event, params }));
    } else if (page !== undefined) {
      if (!Number.isInteger(page) || page < 1) throw new RangeError("bindery: pages are counted from 1");
      this.#connection.start();
      this.#page({ event, params, page });
    } else if (join) {
      join.raw = true;
      this.#afresh(join, join.store ? "" : version);
    } else {
      this.#connection.start();
      const added = this.#admit(event, params, version);
      added.raw = true;
      this.#link?.join(added);
    }
    return this;
  }

  /** Reconnects now if the client waits to reconnect; otherwise probes the server. */
  wake() {
    this.#connection.wake();
  }

  /** Reconnects and resumes: for a login or logout, if cookies identify the user. */
  reconnect() {
    this.#connection.reopen();
  }

  /** Ends the connection and all collections. A closed client stays closed. */
  close() {
    if (this.status === "closed") return;
    this.#connection.close();
    for (const join of [...this.#joins.all.values()]) {
      this.#forget(join);
      join.store?.end(new BinderyError({ title: "The client was closed" }), true);
    }
    this.#handlers.clear();
  }

  get #link() {
    return this.#connection.link;
  }

  #check(name) {
    if (this.status === "closed") throw new Error("bindery: the client is closed");
    if (typeof name !== "string" || name === "") throw new TypeError("bindery: a binding has a name");
  }

  // --- Joining and leaving ----------------------------------------------------

  #admit(event, params, version = "") {
    const join = new Join(event, params, version, {
      message: (m) => this.#tell(m),
      served: () => this.#connection.renewal.done(join),
      afresh: () => this.#afresh(join),
      confused: () => this.#confused(join),
      fail: (err) => this.#refuse(join, err),
    });
    this.#joins.add(join);
    return join;
  }

  #forget(join) {
    this.#connection.renewal.done(join);
    this.#env.clearTimeout(join.retryTimer);
    this.#env.clearTimeout(join.lingerTimer);
    join.held = [];
    this.#joins.remove(join);
  }

  // #release is called when a collection was closed. It leaves the binding no earlier
  // than a moment later, because a page often opens the same collection again at once.
  #release(join, linger) {
    const leave = () => {
      if (!join.store || join.store.collections.size > 0) return;
      join.store = null;
      if (!join.raw && this.status !== "closed") this.#leave(join);
    };
    this.#env.clearTimeout(join.lingerTimer);
    if (linger > 0 && this.status !== "closed") join.lingerTimer = this.#env.setTimeout(leave, linger);
    else queueMicrotask(leave);
  }

  #writesOf(join) {
    join.store.writes ??= new Writes(join, {
      rest: this.#rest,
      env: this.#env,
      settings: this.#settings,
      askMark: (mark) => this.#joins.has(join) && (this.#link?.mark(join, mark) ?? false),
    });
    return join.store.writes;
  }

  #leave(join) {
    if (!this.#joins.has(join)) return;
    this.#forget(join);
    this.#joins.leave(join, this.#link?.leave(join) ?? false);
  }

  #confirmLeave({ event, params }) {
    this.#tell({ event, action: "leave", ...(params && { params }) });
  }

  #afresh(join, version = "") {
    this.#env.clearTimeout(join.retryTimer);
    join.held = [];
    join.version = version;
    this.#link?.join(join);
  }

  // #confused fetches the rows again after a batch that made no sense. If the server
  // keeps sending nonsense, the client waits longer each time.
  #confused(join) {
    join.confusions++;
    if (join.confusions <= patience) this.#afresh(join);
    else {
      join.held = [];
      join.version = ""; // messages until then are ignored
      this.#rejoinLater(join, join.confusions - patience);
    }
  }

  #rejoinLater(join, times) {
    const { backoff, maxBackoff } = this.#settings;
    const delay = backoff + this.#env.random() * Math.min(maxBackoff, backoff * 2 ** Math.min(times, 30));
    this.#env.clearTimeout(join.retryTimer);
    join.retryTimer = this.#env.setTimeout(() => this.#link?.join(join), delay);
  }

  #page({ event, params, page }) {
    if (this.#link?.page({ event, params, page })) return;
    const problem = { type: "about:blank", title: "Not now", status: 503, detail: "pages are asked for over an open WebSocket" };
    queueMicrotask(() => this.#tell({ event, action: "error", payload: problem, ...(params && { params }) }));
  }

  // --- Messages of the connection -----------------------------------------------

  #tell(message) {
    for (const fn of [...(this.#handlers.get(message.event) ?? [])]) call(fn, message);
  }

  #dropHeld() {
    for (const join of this.#joins.all.values()) join.held = [];
  }

  #dropped() {
    for (const join of this.#joins.all.values()) {
      this.#env.clearTimeout(join.retryTimer); // it joins again together with all the others
      join.lost();
    }
    this.#joins.dropped();
  }

  #receive(link, text) {
    let message = text;
    try {
      if (typeof text !== "object") message = JSON.parse(text);
      if (message === null || typeof message !== "object") throw new TypeError(`it is ${text}`);
    } catch (cause) {
      this.dispatchEvent(new ProblemEvent(new Error("bindery: a message that is no JSON object", { cause })));
      link.fail();
      return;
    }
    const join = this.#joins.of(message);
    if (message.action === "leave") {
      if (message.event !== pingName) this.#tell(message);
      return;
    }
    if (join === null) return; // the join is over
    switch (message.action) {
      case "sync":
      case "create":
      case "update":
      case "delete":
        join?.receive(message);
        break;
      case "mark":
        join?.store?.writes?.confirmation.reached(message.mark);
        this.#tell(message);
        break;
      case "page":
        this.#tell(message);
        break;
      case "error":
        if (join && typeof message.mark === "string") join.store?.writes?.confirmation.unreachable(message.mark); // the rows are still followed
        else if (join) this.#problem(join, message.payload ?? {});
        else {
          this.dispatchEvent(new ProblemEvent(new BinderyError(message.payload ?? {})));
          this.#tell(message);
        }
    }
    // Actions of later protocols are ignored.
  }

  // #problem handles an error that the server sends instead of serving the join.
  #problem(join, problem) {
    const err = new BinderyError(problem);
    if (!this.#joins.has(join)) return;
    if (ofMark.test(err.type)) {
      join.store?.writes?.confirmation.unreachable(); // the problem does not name the mark; the rows are still followed
      return;
    }
    if (isDenial(err.status) && this.#connection.renewal.want(join, problem)) {
      join.lost();
      this.#link?.refused(join);
      return;
    }
    if (!mayPass(err.status)) {
      this.#refuse(join, err);
      return;
    }
    join.lost();
    join.store?.report(err);
    this.#tellProblem(join, err);
    this.#rejoinLater(join, join.refusals++);
  }

  #refuse(join, err) {
    if (!this.#joins.has(join)) return;
    if (err.status) {
      this.#forget(join);
      this.#link?.refused(join);
    } else {
      this.#leave(join); // the client gives up; the server does not know that
    }
    this.#tellProblem(join, err);
    join.store?.end(err);
  }

  #tellProblem({ event, params }, err) {
    this.#tell({ event, action: "error", payload: err.problem, ...(params && { params }) });
  }
}
