// The joins of a client, and the leaves that the server has not confirmed yet.

import { alike, identity } from "./names.js";

export class Joins {
  all = new Map(); // identity → Join
  #leaving = new Map(); // identity → {event, params, count}: unconfirmed leaves
  #left; // called with {event, params} when the server need not confirm a leave any more

  constructor(left) {
    this.#left = left;
  }

  get(event, params) {
    return this.all.get(identity(event, params));
  }

  add(join) {
    this.all.set(identity(join.event, join.params), join);
  }

  /** Whether the join is still followed. */
  has(join) {
    return this.get(join.event, join.params) === join;
  }

  remove(join) {
    if (this.has(join)) this.all.delete(identity(join.event, join.params));
  }

  /** Notes that the join was left. asked says whether the server will confirm it. */
  leave(join, asked) {
    const id = identity(join.event, join.params);
    const known = this.#leaving.get(id);
    if (asked) {
      // Until the server confirms the leave, messages still belong to this join.
      if (known) known.count++;
      else this.#leaving.set(id, { event: join.event, params: join.params, count: 1 });
    } else if (!known) {
      queueMicrotask(() => this.#left(join));
    }
  }

  /** Notes that a connection is over: the server has forgotten its joins. */
  dropped() {
    const leaving = [...this.#leaving.values()];
    this.#leaving.clear();
    for (const l of leaving) this.#left(l);
  }

  /**
   * Returns the join that a message is for, undefined for none. Messages of a join that
   * was left are for none; the message "leave" confirms one leave.
   */
  of(message) {
    const id = this.#identify(message);
    const leaving = this.#leaving.get(id);
    if (!leaving) return this.all.get(id);
    if (message.action === "leave" && --leaving.count === 0) this.#leaving.delete(id);
    return null;
  }

  // #identify returns the identity of the join that a message is for. The server may
  // spell parameters differently: 1.50 and 1.5 can be the same value.
  #identify({ event, params }) {
    const id = identity(event, params);
    if (this.all.has(id) || this.#leaving.has(id)) return id;
    for (const known of [this.#leaving, this.all]) {
      for (const [other, join] of known) {
        if (join.event === event && join.params && alike(join.params, params ?? {})) return other;
      }
    }
    return id;
  }
}
