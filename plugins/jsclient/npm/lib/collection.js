// The rows of a binding, as the application uses them.

import { BinderyError } from "./errors.js";
import { ChangeEvent, ProblemEvent, call } from "./events.js";

/** The rows of a binding, in its order, always current. */
export class Collection extends EventTarget {
  #join;
  #store; // null once closed
  #state;
  #index = null; // rows by key, once closed
  #writes; // returns the writes of the binding
  #env;
  #detach;
  #becomeReady;

  constructor(join, { released, writes, env, signal }) {
    super();
    this.#writes = writes;
    this.#env = env;
    this.#join = join;
    this.#store = join.store;
    this.#state = this.#store.state;
    this.ready = new Promise((resolve, reject) => {
      this.#detach = (err) => {
        this.#store.collections.delete(this);
        signal?.removeEventListener("abort", abort);
        reject(err); // no effect if it is ready already
        released();
      };
      this.#becomeReady = () => resolve(this);
      if (this.#state.version) resolve(this);
    });
    this.ready.catch(() => {}); // a caller that does not use ready need not handle the rejection
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

  /** Rows, status, version and error in one frozen object; a new object after each change. */
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

  /** When the rows last changed, RFC 3339; "" before the first version. */
  get lastModified() {
    return this.#state.lastModified;
  }

  /** "connecting" (no rows yet), "live", "stale" (the rows may be old) or "closed". */
  get status() {
    return this.#state.status;
  }

  /** Why the server closed the collection, or null. */
  get error() {
    return this.#state.error;
  }

  [Symbol.iterator]() {
    return this.#state.rows[Symbol.iterator]();
  }

  /** The row with the key: a value, an array for a key of several columns, or an object with them. */
  get(key) {
    return this.#store ? this.#store.get(key) : this.#index(key);
  }

  has(key) {
    return this.get(key) !== undefined;
  }

  /** Calls fn for events of the type ("change", "status", "error"). Returns a function that stops this. */
  on(type, fn) {
    this.addEventListener(type, fn);
    return () => this.removeEventListener(type, fn);
  }

  /** The contract of Svelte's stores: calls fn with the state now and after each change. */
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

  /** The number of writes that are under way or still cover the server's rows. */
  get pending() {
    return this.#state.pending;
  }

  /**
   * Creates a row. It shows at once, and disappears if the server refuses it. The
   * promise resolves with the row as the server has it, or rejects with the problem.
   * Its property `settled` is a promise that resolves when the server's own rows
   * include the write.
   */
  create(row, options) {
    return this.#write().create(row, options);
  }

  /** Changes columns of the row with the key. It shows at once, and is undone if the server refuses it. */
  update(key, columns, options) {
    return this.#write().update(key, columns, options);
  }

  /** Removes the row with the key. It disappears at once, and comes back if the server refuses it. */
  remove(key, options) {
    return this.#write().remove(key, options);
  }

  /**
   * Waits until a function of the collection returns true, or the rows are live and at
   * a version ({version}), or they include every commit up to a mark ({mark}). It
   * rejects if the collection is closed, the signal aborts or the timeout passes.
   */
  waitFor(what, { signal, timeout } = {}) {
    if (what === null || (typeof what !== "function" && typeof what?.version !== "string" && typeof what?.mark !== "string")) {
      throw new TypeError("bindery: wait for a function, a version or a mark");
    }
    return new Promise((resolve, reject) => {
      const { setTimeout, clearTimeout } = this.#env;
      const aborter = new AbortController();
      const end = (settle, value) => {
        for (const type of types) this.removeEventListener(type, look);
        signal?.removeEventListener("abort", abort);
        clearTimeout(timer);
        aborter.abort();
        settle(value);
      };
      const abort = () => end(reject, signal.reason);
      const look = () => {
        try {
          const { status, version, error } = this.#state;
          if (status === "closed") end(reject, error ?? new BinderyError({ title: "The collection was closed" }));
          else if (typeof what === "function" ? what(this) : what.version !== undefined && status === "live" && version === what.version) end(resolve, this);
        } catch (err) {
          end(reject, err);
        }
      };
      const types = ["change", "status", "version"];
      const timer = timeout > 0 ? setTimeout(() => end(reject, new BinderyError({ title: "It took too long" })), timeout) : undefined;
      for (const type of types) this.addEventListener(type, look);
      if (signal?.aborted) abort();
      else signal?.addEventListener("abort", abort, { once: true });
      if (what.mark && this.#store) {
        this.#writes().confirmation.mark(what.mark, aborter.signal).then((reached) => {
          if (reached) end(resolve, this);
          else end(reject, new BinderyError({ title: "Whether the mark is reached cannot be told" }));
        });
      }
      if (!signal?.aborted) look();
    });
  }

  /**
   * Closes the collection; its rows stay as they are. The client leaves the binding
   * when its last collection is closed.
   */
  close() {
    this.#end(new BinderyError({ title: "The collection was closed" }));
  }

  [Symbol.dispose ?? Symbol.for("Symbol.dispose")]() {
    this.close();
  }

  #write() {
    if (!this.#store) throw new Error("bindery: the collection is closed");
    return this.#writes();
  }

  // #update may find the collection closed, before or between its events: by a listener
  // of this collection or of another one of the binding.
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
