// The rows of a join as its collections show them: the server's rows, covered by the
// writes that are under way.

import { diff } from "./diff.js";
import { Replica } from "./replica.js";

const empty = Object.freeze({ rows: Object.freeze([]), status: "connecting", version: "", lastModified: "", error: null, pending: 0 });

export class Store {
  collections = new Map(); // Collection → {update, report, end}
  state = empty;
  replica;
  writes = null; // Writes, once there are any
  #laid = null; // {rows, over}: the rows shown while writes are under way
  #waiting = new Set(); // functions to call with each version

  constructor(name, key) {
    this.replica = new Replica(name, key);
  }

  /** Shows rows from elsewhere, until the server says whether they are current. */
  begin({ rows, version, order, lastModified = "" }) {
    this.replica.begin(rows, order);
    this.state = Object.freeze({ ...empty, rows: this.replica.rows, status: "stale", version, lastModified });
  }

  /** Returns false if the current rows contradict the key and must be fetched again. */
  declareKey(key) {
    return this.replica.declare(key);
  }

  get(key) {
    const id = this.replica.encode(key);
    if (id === null) return undefined;
    return this.#laid?.over.has(id) ? this.#laid.over.get(id) : this.replica.byKey(id);
  }

  /** Returns a get function for the current rows. */
  frozenIndex() {
    const { rows } = this.state;
    const { key, encode } = { key: this.replica.key, encode: (k) => this.replica.encode(k) };
    const byKey = key && new Map(rows.map((row) => [encode(row), row]));
    return (k) => byKey?.get(encode(k));
  }

  /** Applies a batch. It returns false if the rows must be fetched again. */
  apply(batch) {
    const change = this.replica.apply(batch);
    if (!change) return false;
    const last = batch[batch.length - 1];
    this.writes?.observe(change);
    this.#show({ status: "live", version: last.version, lastModified: last.last_modified ?? "", error: null }, change);
    for (const fn of [...this.#waiting]) fn(last.version);
    return true;
  }

  /** Shows the current writes. */
  relay() {
    this.#show({}, null);
  }

  stale() {
    if (this.state.status === "live") this.#show({ status: "stale" }, null);
  }

  report(err) {
    for (const c of [...this.collections.values()]) c.report(err);
  }

  end(err, quiet) {
    for (const c of [...this.collections.values()]) c.end(err, quiet);
  }

  /** Calls fn with each version that is applied. Returns a function that stops this. */
  onVersion(fn) {
    this.#waiting.add(fn);
    return () => this.#waiting.delete(fn);
  }

  // #show makes the next state. Without writes under way the change is that of the
  // batch. Otherwise it is the difference between the old and the new shown rows.
  #show(more, change) {
    const before = this.state;
    const wasLaid = this.#laid !== null;
    const pending = this.writes?.pending ?? 0;
    this.#laid = pending > 0 ? this.writes.lay() : null;
    let rows = this.#laid?.rows ?? this.replica.rows;
    if ((this.#laid || wasLaid) && rows.length === before.rows.length && rows.every((row, i) => row === before.rows[i])) rows = before.rows;
    if (this.#laid || wasLaid) change = diff(before.rows, rows, (row) => this.replica.encode(row));
    const changed = change !== null && change.created.length + change.updated.length + change.deleted.length > 0;
    this.state = Object.freeze({ ...before, ...more, rows, pending });
    const became = before.status !== this.state.status || before.pending !== pending;
    const told = changed ? { ...change, version: this.state.version } : null;
    for (const c of [...this.collections.values()]) c.update(this.state, told, became);
  }
}
