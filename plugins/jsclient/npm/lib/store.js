// The rows of a join, for its collections.

import { BinderyError } from "./errors.js";
import { encodeKey, guessKey } from "./key.js";
import { Order, place } from "./order.js";

// Store holds the rows of a join for its collections.
export class Store {
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
    return place(kept, [...created, ...updated].sort(compare), compare);
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
