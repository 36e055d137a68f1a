// The client's state of a binding that it follows, over any connection.

import { BinderyError } from "./errors.js";

// Join is a binding, or a member of a family, that the client follows.
export class Join {
  held = []; // messages of an incomplete batch
  store = null; // for collections
  raw = false; // joined by emit
  refusals = 0; // temporary refusals in a row
  confusions = 0; // nonsensical batches in a row
  retryTimer = null;
  lingerTimer = null; // at its end the binding is left
  #events;

  constructor(event, params, version, events) {
    this.event = event;
    this.params = params;
    this.version = version;
    this.#events = events;
  }

  receive(message) {
    if (!wellFormed(message)) {
      this.#events.confused();
      return;
    }
    // The first page of a sync discards an incomplete batch.
    const whole = message.action === "sync" && Array.isArray(message.payload);
    if (message.action === "sync" && (message.page ?? 1) === 1) this.held = [];
    const previous = this.held[this.held.length - 1];
    if (previous && (previous.version !== message.version || (whole && message.page !== previous.page + 1))) {
      this.#events.confused(); // not a valid batch
      return;
    }
    if (!previous && this.version === "" && !whole) return; // from before this join
    if (!previous && whole && (message.page ?? 1) !== 1) return;
    this.held.push(message);
    if (message.more) return;
    const batch = this.held;
    this.held = [];
    if (this.store && message.payload === "ok" && message.version !== this.version) {
      this.#events.confused();
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
    this.refusals = this.confusions = 0;
    this.#events.served();
    this.version = message.version;
    for (const m of batch) this.#events.message(m);
  }

  // lost notes that the rows are not kept current any more.
  lost() {
    this.held = [];
    this.store?.stale();
    this.store?.writes?.confirmation.unreachable();
  }

  request() {
    return { event: this.event, ...(this.params && { params: this.params }), ...(this.version && { version: this.version }) };
  }
}
// wellFormed reports whether a message that changes rows is valid.
function wellFormed({ action, payload, version }) {
  if (typeof version !== "string" || version === "") return false;
  if (action === "sync" && payload === "ok") return true;
  return Array.isArray(payload) && payload.every((row) => row !== null && typeof row === "object");
}
