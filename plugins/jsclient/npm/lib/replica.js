// The rows of a binding as the server sent them, by key and in order.

import { BinderyError } from "./errors.js";
import { encodeKey, guessKey } from "./key.js";
import { Order, place } from "./order.js";

export class Replica {
  rows = Object.freeze([]); // in order
  key; // columns, null until known
  declared; // the key was declared, or learned from the server, and not guessed
  order = null;
  #name;
  #refuted = new Set(); // keys that were wrong guesses
  #byKey = new Map(); // encoded key → row

  constructor(name, key) {
    this.#name = JSON.stringify(name);
    this.key = key ? [...key] : null;
    this.declared = Boolean(key);
  }

  /**
   * Sets the key's columns. It returns false if the current rows contradict them and
   * must be fetched again.
   */
  declare(key) {
    if (this.declared && this.key.join() !== [...key].join()) {
      throw new TypeError(`bindery: the key of ${this.#name} is ${this.key}, not ${key}`);
    }
    return this.#rekey([...key]);
  }

  /** Returns the encoded key of a row, or of a key given by the application; null while the columns are unknown. */
  encode(key) {
    return this.key ? encodeKey(this.key, key) : null;
  }

  byKey(encoded) {
    return this.#byKey.get(encoded);
  }

  /** Starts with rows from elsewhere, such as from the page. */
  begin(rows, order) {
    this.#replace(rows, order ?? null);
  }

  /**
   * Applies a batch, whole or not at all. It returns how the rows have changed, or null
   * if they must be fetched again, because the guessed key was wrong. `touched` tells
   * whether the batch contained an encoded key.
   */
  apply(batch) {
    const [first] = batch;
    if (first.action !== "sync") return this.#modify(batch);
    if (!Array.isArray(first.payload)) return { created: [], updated: [], previous: [], deleted: [], touched: () => false };
    return this.#replace(batch.flatMap((m) => m.payload), first.order ?? null);
  }

  #replace(list, order) {
    if (!this.declared) this.key = guessKey(order, list, this.#refuted) ?? null;
    const { key } = this;
    if (!key) throw this.#ambiguous("no columns of its order tell rows apart");
    const rows = new Map();
    const before = this.#byKey;
    const change = { created: [], updated: [], previous: [], deleted: [], touched: (id) => rows.has(id) || before.has(id) };
    const inOrder = list.map((row) => {
      const id = encodeKey(key, row);
      const old = this.#byKey.get(id);
      if (rows.has(id)) {
        throw this.#ambiguous(`several rows have the same ${key}`);
      }
      let now = row;
      if (!old) change.created.push(row);
      // An equal row stays the same object, so that it is not drawn again.
      else if (JSON.stringify(old) === JSON.stringify(row)) now = old;
      else {
        change.updated.push(row);
        change.previous.push(old);
      }
      rows.set(id, now);
      return now;
    });
    for (const [id, row] of this.#byKey) if (!rows.has(id)) change.deleted.push(row);
    this.#byKey = rows;
    this.order = order ? new Order(order) : null;
    this.order?.learn(inOrder);
    this.rows = Object.freeze(inOrder);
    return change;
  }

  #modify(batch) {
    for (const m of batch) {
      // A delete has exactly the key's columns, so after one the key is known.
      if (m.action === "delete" && !this.declared && m.payload.length > 0 && !this.#rekey(Object.keys(m.payload[0]))) return null;
    }
    const { key } = this;
    if (!key) return null;
    const writes = new Map(); // encoded key → row, or undefined
    for (const m of batch) {
      for (const row of m.payload) {
        const id = encodeKey(key, row);
        const known = this.#byKey.has(id);
        const fits = !writes.has(id) && (m.action === "create") !== known;
        if (!fits && !this.declared) {
          this.#refuted.add(key.join());
          return null;
        }
        writes.set(id, m.action === "delete" ? undefined : row);
      }
    }
    const change = { created: [], updated: [], previous: [], deleted: [], touched: (id) => writes.has(id) };
    for (const [id, row] of writes) {
      const old = this.#byKey.get(id);
      if (row && old) {
        change.updated.push(row);
        change.previous.push(old);
      } else if (row) change.created.push(row);
      else if (old) change.deleted.push(old);
      if (row) this.#byKey.set(id, row);
      else this.#byKey.delete(id);
    }
    this.rows = Object.freeze(this.#arrange(change));
    return change;
  }

  #ambiguous(why) {
    const detail = `${this.#name}: ${why}: name the key's columns with the option key`;
    return new BinderyError({ title: "Ambiguous key", detail });
  }

  // #arrange returns the rows in order after the change. Unchanged rows are in order
  // already; binary search finds the places of the others.
  #arrange({ created, updated, previous, deleted }) {
    if (!this.order) {
      const now = new Map(previous.map((row, i) => [row, updated[i]]));
      const gone = new Set(deleted);
      return [...this.rows.filter((r) => !gone.has(r)).map((r) => now.get(r) ?? r), ...created];
    }
    const touched = new Set([...previous, ...deleted]);
    const kept = touched.size ? this.rows.filter((r) => !touched.has(r)) : this.rows;
    const compare = this.order.compare;
    return place(kept, [...created, ...updated].sort(compare), compare);
  }

  // #rekey sets the key's columns for good. It returns false if current rows lack one
  // of them, or share a key.
  #rekey(key) {
    this.declared = true;
    if (this.key && this.key.length === key.length && key.every((c) => this.key.includes(c))) return true;
    const rows = new Map();
    for (const row of this.#byKey.values()) rows.set(encodeKey(key, row), row);
    this.key = key;
    if (rows.size !== this.#byKey.size) return false;
    this.#byKey = rows;
    return true;
  }
}
