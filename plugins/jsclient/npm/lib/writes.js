// The writes that are under way in one binding or member.
//
// A write goes to the REST endpoint, and its effect shows at once. After the answer the
// server's row shows instead. The write is settled, and no longer covers the server's
// rows, when these are known to include it:
//
//   - by the mark in the answer, if the server gives one;
//   - else when a batch has contained the row as the answer has it;
//   - else when the collection shows the version that the binding had after the
//     answer: the server answers a write when the binding shows it.
//
// Writes to one row are sent one after the other, in the order in which they were made.

import { Confirmation } from "./confirmation.js";
import { BinderyError } from "./errors.js";
import { Write, idOf, lay } from "./write.js";

const maxPending = 1_000; // writes under way

export class Writes {
  confirmation; // finds out whether the server's rows include a write
  #join;
  #store;
  #rest;
  #env;
  #settings;
  #list = []; // Write, in order
  #tails = new Map(); // encoded key → promise of the last write to the row

  /** askMark sends a mark into the stream; it returns false if it cannot. */
  constructor(join, { rest, env, settings, askMark }) {
    this.confirmation = new Confirmation(join, { rest, env, askMark });
    this.#join = join;
    this.#store = join.store;
    this.#rest = rest;
    this.#env = env;
    this.#settings = settings;
  }

  /** The number of writes that are not settled. */
  get pending() {
    return this.#list.length;
  }

  lay() {
    return lay(this.#store.replica, this.#list);
  }

  create(values, { headers, optimistic = true, signal } = {}) {
    if (values === null || typeof values !== "object") throw new TypeError("bindery: a row is an object");
    const write = new Write("create", values, { ...values });
    return this.#begin(write, optimistic, async () => {
      const answer = await this.#send("POST", null, { body: values, headers, signal });
      return [await rowOf(answer), markOf(answer)];
    });
  }

  update(key, values, { ifMatch, optimistic = true, signal } = {}) {
    if (values === null || typeof values !== "object") throw new TypeError("bindery: an update is an object with the columns that change");
    const parts = this.#keyParts(key);
    const seen = this.#store.replica.byKey(this.#store.replica.encode(parts));
    const write = new Write("update", parts, { ...values });
    return this.#begin(write, optimistic, async () => {
      const headers = await this.#condition(ifMatch, parts, seen, signal);
      const answer = await this.#send("PATCH", parts, { body: values, type: "application/merge-patch+json", headers, signal });
      return [await rowOf(answer), markOf(answer)];
    });
  }

  remove(key, { ifMatch, optimistic = true, signal } = {}) {
    const parts = this.#keyParts(key);
    const seen = this.#store.replica.byKey(this.#store.replica.encode(parts));
    const write = new Write("remove", parts, null);
    return this.#begin(write, optimistic, async () => {
      const headers = await this.#condition(ifMatch, parts, seen, signal);
      const answer = await this.#send("DELETE", parts, { headers, signal });
      return [null, markOf(answer)];
    });
  }

  /** Notes the changes of a batch before they are shown. */
  observe(change) {
    const { replica } = this.#store;
    for (const w of this.#list) {
      const id = idOf(replica, w);
      if (id !== null && change.touched(id)) w.observe(replica.byKey(id));
      if (w.kind !== "create" || w.answered || id !== null) continue;
      for (const row of change.created) w.meet(replica.encode(row));
      if (w.twin !== null) continue;
      const taken = new Set(this.#list.map((other) => other.twin));
      const twin = change.created.find((row) => !taken.has(replica.encode(row)) && w.resembles(row));
      if (twin) w.twin = replica.encode(twin);
    }
    const settled = this.#list.filter((w) => w.answered && this.#isTold(w));
    this.#list = this.#list.filter((w) => !settled.includes(w));
    for (const w of settled) w.settle();
  }

  #begin(write, optimistic, send) {
    if (this.#list.length >= maxPending) throw new RangeError(`bindery: ${maxPending} writes are under way`);
    write.shown = optimistic;
    this.#list.push(write);
    this.#store.relay();
    const written = this.#inTurn(write, async () => {
      try {
        const [row, mark] = await send();
        this.#answered(write, row, mark);
      } catch (err) {
        this.#drop(write);
        throw err;
      }
      return write.row;
    });
    return Object.assign(written, { settled: write.settled });
  }

  // #answered shows the server's row for the write, in place of the rows of earlier
  // writes to it.
  #answered(write, row, mark) {
    const { replica } = this.#store;
    write.answer(row, mark);
    const id = idOf(replica, write);
    if (id !== null && write.kind === "create" && (write.created.has(id) || replica.byKey(id))) write.observe(replica.byKey(id));
    if (id !== null) {
      const earlier = this.#list.slice(0, this.#list.indexOf(write)).filter((w) => w.answered && idOf(replica, w) === id);
      write.superseded.push(...earlier);
      this.#list = this.#list.filter((w) => !earlier.includes(w));
    }
    if (this.#isTold(write)) this.#drop(write);
    else {
      this.#store.relay();
      this.#confirm(write);
    }
  }

  // #isTold: the server's rows are known to include the answered write. A row may have
  // been the same before, so only the mark is certain; a created row did not exist
  // before.
  #isTold(write) {
    return write.told && (!write.mark || write.kind === "create");
  }

  // #inTurn sends the write when earlier writes to the same row are answered.
  #inTurn(write, send) {
    const id = idOf(this.#store.replica, write);
    const before = id !== null && this.#tails.get(id);
    const written = before ? before.then(send, send) : send();
    if (id !== null) {
      this.#tails.set(id, written);
      const forget = () => this.#tails.get(id) === written && this.#tails.delete(id);
      written.then(forget, forget);
    }
    return written;
  }

  #drop(write) {
    write.settle();
    if (!this.#list.includes(write)) return;
    this.#list = this.#list.filter((w) => w !== write);
    this.#store.relay();
  }

  // #confirm drops the write when the rows include it, or when that cannot be found out
  // in time: the server's rows will be right sooner or later.
  async #confirm(write) {
    const { signal } = write.aborter;
    const timer = this.#env.setTimeout(() => write.aborter.abort(), this.#settings.settleTimeout);
    await (write.mark ? this.confirmation.mark(write.mark, signal) : this.confirmation.now(signal));
    this.#env.clearTimeout(timer);
    this.#drop(write);
  }

  #send(method, key, { body, type = "application/json", headers = {}, signal }) {
    return this.#rest.send(method, this.#rest.url(this.#join, key), {
      signal,
      headers: body === undefined ? headers : { ...headers, "content-type": type },
      body: body === undefined ? undefined : JSON.stringify(body, bigints),
    });
  }

  // #condition returns the headers for a write that depends on the row as it was seen.
  // With true it fetches the row's tag and compares the row.
  async #condition(ifMatch, key, seen, signal) {
    if (ifMatch === undefined || ifMatch === false) return {};
    if (typeof ifMatch === "string") return { "If-Match": strong(ifMatch) };
    const answer = await this.#rest.send("GET", this.#rest.url(this.#join, key), { signal });
    if (JSON.stringify(await answer.json()) !== JSON.stringify(seen)) {
      throw new BinderyError({ type: "urn:bindery:problem:precondition-failed", title: "Precondition failed", status: 412, detail: "the row has changed since it was shown" });
    }
    const tag = answer.headers.get("etag");
    return tag ? { "If-Match": strong(tag) } : {};
  }

  // #keyParts returns the values of the key in the order of its columns. That order
  // must be known: in another order the values name another row.
  #keyParts(key) {
    const { replica } = this.#store;
    let parts;
    if (Array.isArray(key)) parts = key;
    else if (key !== null && typeof key === "object") {
      if (!replica.key) throw new TypeError("bindery: the key's columns are not known before the rows are: name them with the option key");
      if (replica.key.length > 1 && !replica.declared) throw new TypeError("bindery: name the key's columns with the option key to write by a key of several");
      parts = replica.key.map((column) => key[column]);
    } else parts = [key];
    if (parts.length === 0 || parts.some((part) => part === undefined || part === null)) throw new TypeError("bindery: the row has no key yet");
    return parts;
  }
}

const bigints = (_, value) => (typeof value === "bigint" ? String(value) : value);

async function rowOf(answer) {
  try {
    return Object.freeze(await answer.json());
  } catch (cause) {
    throw new BinderyError({ title: "The answer to a write is no row", status: answer.status }, { cause });
  }
}

// strong returns the tag as the server made it. A proxy that compresses (gzip of nginx)
// weakens it, and a weak one never matches; it names the same content all the same.
const strong = (tag) => tag.replace(/^W\/(?=")/, "");

const markOf = (answer) => answer.headers.get("bindery-mark");
