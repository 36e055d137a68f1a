// Rows is what the page holds of one binding: its rows by key, its version,
// and how each batch changed them.

export const keyOf = (row) => row.id;

export class Rows {
  #key;
  #rows = new Map();
  #order = ["id"];
  #sorted = null;
  loaded = false;
  version = "";
  lastModified = null; // a Date
  changes = 0; // versions applied since the first sync

  // key tells rows apart.
  constructor(key = keyOf) {
    this.#key = key;
  }

  get size() {
    return this.#rows.size;
  }

  get(key) {
    return this.#rows.get(key);
  }

  // sorted returns the rows in the binding's order. Messages carry no
  // positions: whoever shows an order sorts.
  sorted() {
    this.#sorted ??= [...this.#rows.values()].sort(comparer(this.#order));
    return this.#sorted;
  }

  // apply takes the messages of one batch and returns what became of them:
  // {first, created: [row], updated: [[before, after]], deleted: [row]}. A sync
  // after the first is compared with what was held, so that a reconnect shows
  // what really changed meanwhile.
  apply(batch) {
    const last = batch[batch.length - 1];
    const first = !this.loaded;
    const before = new Map(); // key → the row before the batch, or undefined
    const remember = (key) => {
      if (!before.has(key)) before.set(key, this.#rows.get(key));
    };
    for (const message of batch) {
      switch (message.action) {
        case "sync":
          if (message.payload === "ok") break;
          if (message.order) this.#order = message.order;
          if (message.page === undefined || message.page === 1) {
            for (const key of this.#rows.keys()) remember(key);
            this.#rows = new Map();
          }
          // fall through
        case "create":
        case "update":
          for (const row of message.payload) {
            remember(this.#key(row));
            this.#rows.set(this.#key(row), row);
          }
          break;
        case "delete":
          for (const row of message.payload) {
            remember(this.#key(row));
            this.#rows.delete(this.#key(row));
          }
      }
    }
    this.#sorted = null;
    this.loaded = true;
    if (this.version !== last.version) {
      this.version = last.version;
      if (!first) this.changes++;
    }
    if (last.last_modified) this.lastModified = new Date(last.last_modified);

    const result = { first, created: [], updated: [], deleted: [] };
    for (const [key, old] of before) {
      const now = this.#rows.get(key);
      if (!old && now) result.created.push(now);
      else if (old && !now) result.deleted.push(old);
      else if (old && now && !sameRow(old, now)) result.updated.push([old, now]);
    }
    return result;
  }
}

export function sameRow(a, b) {
  return changedFields(a, b).length === 0;
}

// changedFields names the columns in which two rows differ.
export function changedFields(a, b) {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((f) => a[f] !== b[f]);
}

// comparer compares rows by columns, of which a leading "-" turns the order
// around. NULL is less than every value.
export function comparer(order) {
  const columns = order.map((c) => (c.startsWith("-") ? [c.slice(1), -1] : [c, 1]));
  return (a, b) => {
    for (const [column, sign] of columns) {
      const x = a[column];
      const y = b[column];
      if (x === y) continue;
      if (x == null || y == null) {
        if (x == null && y == null) continue;
        return x == null ? -sign : sign;
      }
      return x < y ? -sign : sign;
    }
    return 0;
  };
}
