// One write: the request to the server, and what is shown until the server's rows
// include it.

import { alikeValues } from "./compare.js";
import { keyless } from "./diff.js";
import { drafts, place } from "./order.js";

const maxSeen = 16;
const maxCreated = 4_096;

/**
 * A write is sent, then answered, then settled: the server's rows include it, and it no
 * longer covers them. A write that fails is dropped.
 */
export class Write {
  answered = false;
  row = null; // the server's answer, null for a removal
  mark = null; // a mark: rows that reach it include the write
  shown = true; // it covers the server's rows
  seen = []; // the row in batches since the write was sent: JSON, "" for its absence
  twin = null; // the encoded key of a row that resembles the one being created
  created = new Set(); // encoded keys of rows that came since; one of them may be the created row
  superseded = []; // earlier writes of the row, which settle with this one
  aborter = new AbortController(); // ends what waits for the write to settle
  #settle;
  #merged = null; // {from, row}: the updated row, and the row that it was made from

  /** The kind is "create", "update" or "remove"; key and values are as the application gave them. */
  constructor(kind, key, values) {
    this.kind = kind;
    this.key = key;
    this.values = values;
    this.settled = new Promise((resolve) => { this.#settle = resolve; });
  }

  /** Ends the write. */
  settle() {
    this.#settle();
    this.aborter.abort();
    for (const w of this.superseded) w.settle();
  }

  /** Notes the row's state in a batch. */
  observe(row) {
    this.seen.push(row ? JSON.stringify(row) : "");
    if (this.seen.length > maxSeen) this.seen.shift();
  }

  /** Notes a new row, which may turn out to be the one created here. */
  meet(id) {
    if (this.created.size < maxCreated) this.created.add(id);
  }

  /** Whether batches contained the row as the answer has it, or showed that it left the binding. */
  get told() {
    if (this.kind === "create") return this.seen.length > 0; // any message is enough, because the row did not exist before
    if (this.kind === "remove") return this.seen.at(-1) === "";
    return this.seen.includes(JSON.stringify(this.row)) || (this.kind === "update" && this.seen.at(-1) === "");
  }

  /** The row to show for a create. */
  get optimistic() {
    return (this.#merged ??= { row: Object.freeze({ ...this.values }) }).row;
  }

  /** Returns the row with the update applied; the same object for the same row. */
  over(row) {
    if (this.#merged?.from !== row) this.#merged = { from: row, row: mergePatch(row, this.values) };
    return this.#merged.row;
  }

  answer(row, mark) {
    this.answered = true;
    this.row = row;
    this.mark = mark;
    if (row) this.key = row;
  }

  /** Whether a row of the server may be the one being created: it has every given value. */
  resembles(row) {
    return Object.entries(this.values).every(([name, value]) => name in row && alike(row[name], value));
  }
}

const text = (value) => JSON.stringify(value) ?? "undefined";

function alike(a, b) {
  if (a === null || b === null || typeof a === "object" || typeof b === "object") return text(a) === text(b);
  return alikeValues(String(a), String(b));
}

// mergePatch applies a JSON merge patch (RFC 7396). At the top level null is a value of
// a column; deeper it removes the member.
function mergePatch(target, patch, column = true) {
  if (patch === null || typeof patch !== "object" || Array.isArray(patch)) return patch;
  const out = target !== null && typeof target === "object" && !Array.isArray(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null && !column) delete out[name];
    else out[name] = mergePatch(out[name], value, false);
  }
  return Object.freeze(out);
}

/**
 * Applies the writes to the server's rows, in the order in which they were made. It
 * returns the rows, and a map from the encoded key to the replacement of a row;
 * undefined means removed.
 */
export function lay(replica, writes) {
  const over = new Map();
  const fresh = []; // rows whose key the server has yet to generate
  const at = (id) => (over.has(id) ? over.get(id) : replica.byKey(id));
  for (const w of writes) {
    const id = idOf(replica, w);
    if (!w.shown) continue;
    if (w.kind === "create") {
      const row = w.row ?? w.optimistic;
      if (!w.row) drafts.add(row);
      if (id !== null) over.set(id, row);
      else if (w.twin === null) {
        keyless.add(row);
        fresh.push(row);
      }
    } else if (id === null) continue;
    else if (w.kind === "remove") over.set(id, undefined);
    else if (w.answered) over.set(id, w.row);
    else if (at(id)) over.set(id, w.over(at(id)));
  }
  const compare = replica.order?.compare;
  const changed = [...over.values()].filter(Boolean);
  if (!compare) {
    const kept = replica.rows.map((row) => (over.has(replica.encode(row)) ? over.get(replica.encode(row)) : row)).filter(Boolean);
    const shown = new Set(kept);
    return { over, rows: Object.freeze([...kept, ...changed.filter((row) => !shown.has(row)), ...fresh]) };
  }
  const kept = replica.rows.filter((row) => !over.has(replica.encode(row)));
  return { over, rows: Object.freeze(place(kept, [...changed, ...fresh].sort(compare), compare)) };
}

/** Returns the encoded key of the written row, null while it has none. */
export function idOf(replica, write) {
  if (replica.key === null || write.key === null) return null;
  const { key } = write;
  const whole = typeof key !== "object" || Array.isArray(key) || replica.key.every((column) => (key[column] ?? null) !== null);
  return whole ? replica.encode(key) : null;
}
