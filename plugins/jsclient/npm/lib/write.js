// One write: what is asked of the server, and what is shown until its rows tell
// the same.

import { alikeValues } from "./compare.js";
import { keyless } from "./diff.js";
import { drafts, place } from "./order.js";

const maxSeen = 16;
const maxCreated = 4_096;

/**
 * A write is sent, then answered, then settled: the rows of the server include it,
 * and it is not laid over them any more. A write that fails is dropped.
 */
export class Write {
  answered = false;
  row = null; // as the server answered it, null for a removal
  mark = null; // names the point in the history of commits by which it is visible
  shown = true; // laid over the rows
  seen = []; // what batches told of its row since it was sent: JSON, "" for its absence
  twin = null; // the encoded key of a row that looks like the one being created
  created = new Set(); // encoded keys of rows that came since: one of them may be the row created here
  superseded = []; // earlier writes of the row, which settle with this one
  aborter = new AbortController(); // of what waits for it to settle
  #settle;
  #merged = null; // {from, row}: an update over the row that it was made of

  /** The kind is "create", "update" or "remove"; key and values as they were given. */
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

  /** Notes what a batch told of the row. */
  observe(row) {
    this.seen.push(row ? JSON.stringify(row) : "");
    if (this.seen.length > maxSeen) this.seen.shift();
  }

  /** Notes that a row came, of which it may turn out that it is the one created here. */
  meet(id) {
    if (this.created.size < maxCreated) this.created.add(id);
  }

  /** Whether batches told of the row as the answer has it, or that it left the binding. */
  get told() {
    if (this.kind === "create") return this.seen.length > 0; // any word will do: it did not exist before
    if (this.kind === "remove") return this.seen.at(-1) === "";
    return this.seen.includes(JSON.stringify(this.row)) || (this.kind === "update" && this.seen.at(-1) === "");
  }

  /** Shows a row that is to be created. */
  get optimistic() {
    return (this.#merged ??= { row: Object.freeze({ ...this.values }) }).row;
  }

  /** Shows the update over a row, the same object for the same row. */
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

  /** Whether a row of the server may be the one that is being created: it has every value that was given. */
  resembles(row) {
    return Object.entries(this.values).every(([name, value]) => name in row && alike(row[name], value));
  }
}

const text = (value) => JSON.stringify(value) ?? "undefined";

function alike(a, b) {
  if (a === null || b === null || typeof a === "object" || typeof b === "object") return text(a) === text(b);
  return alikeValues(String(a), String(b));
}

// mergePatch applies a JSON merge patch (RFC 7396). For a column null is a value;
// within one it removes the member.
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
 * Lays writes over the rows of the server, in the order in which they were made.
 * It returns the rows, and by encoded key what replaces a row: another, or
 * undefined where there is none.
 */
export function lay(replica, writes) {
  const over = new Map();
  const fresh = []; // whose key the server has yet to make
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

/** Returns the encoded key of the row that is written, null while it has none. */
export function idOf(replica, write) {
  if (replica.key === null || write.key === null) return null;
  const { key } = write;
  const whole = typeof key !== "object" || Array.isArray(key) || replica.key.every((column) => (key[column] ?? null) !== null);
  return whole ? replica.encode(key) : null;
}
