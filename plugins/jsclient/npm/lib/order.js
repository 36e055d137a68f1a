// The order of a binding's rows.

import { compareDecimals, compareValues, isDecimal } from "./compare.js";
import { columnOf } from "./key.js";

/**
 * Rows that are being created. The server fills in missing columns, usually with
 * something new: the next number of a key, or the current time. So a missing column
 * sorts above the values of all other rows.
 */
export const drafts = new WeakSet();

const lacks = (row, name) => (row[name] === undefined && drafts.has(row) ? 1 : 0);

// Order compares rows as the server does: null below everything, numbers by size, text
// by code points (the order of its UTF-8 bytes), RFC 3339 times by instant. JSON does
// not distinguish decimals sent as text from other text, nor does it say where NULLs
// sort. Order learns both from the rows of a sync, which are in order. A draft's
// missing column is above everything.
export class Order {
  #columns;

  constructor(terms) {
    this.#columns = terms.map((t) => ({ name: columnOf(t), sign: t.startsWith("-") ? -1 : 1, numeric: false, nulls: -1 }));
    this.compare = (a, b) => {
      for (const c of this.#columns) {
        const d = lacks(a, c.name) - lacks(b, c.name);
        if (d !== 0) return d * c.sign;
        const e = compareIn(c, a[c.name], b[c.name]);
        if (e !== 0) return e;
      }
      return 0;
    };
  }

  learn(rows) {
    for (let i = 1; i < rows.length; i++) {
      for (const c of this.#columns) {
        const a = rows[i - 1][c.name];
        const b = rows[i][c.name];
        let d = compareIn(c, a, b);
        if (d > 0) {
          if ((a ?? null) === null || (b ?? null) === null) c.nulls = -c.nulls;
          else if (isDecimal(a) && isDecimal(b)) c.numeric = true;
          d = compareIn(c, a, b);
        }
        if (d !== 0) break;
      }
    }
  }
}

function compareIn(column, a, b) {
  const noA = (a ?? null) === null;
  const noB = (b ?? null) === null;
  if (noA || noB) return noA && noB ? 0 : (noA ? column.nulls : -column.nulls) * column.sign;
  return column.sign * (column.numeric && isDecimal(a) && isDecimal(b) ? compareDecimals(a, b) : compareValues(a, b));
}

// place merges the fresh rows into the kept ones. Both are in order; binary search
// finds each place.
export function place(kept, fresh, compare) {
  const rows = [];
  let from = 0;
  for (const row of fresh) {
    let low = from;
    for (let high = kept.length; low < high; ) {
      const mid = (low + high) >>> 1;
      if (compare(kept[mid], row) < 0) low = mid + 1;
      else high = mid;
    }
    for (; from < low; from++) rows.push(kept[from]);
    rows.push(row);
  }
  for (; from < kept.length; from++) rows.push(kept[from]);
  return rows;
}
