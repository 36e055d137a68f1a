// Keys: the columns that identify rows, and their values as one text.

// guessKey returns columns that identify the rows, or null. The columns of a total
// order contain the key, at the end unless the order names its columns anyway. A wrong
// guess does no harm: sooner or later a batch contradicts it, and the rows are fetched
// again before that batch is applied.
export function guessKey(order, rows, refuted) {
  const columns = order ? order.map(columnOf) : ["id"];
  const tails = columns.map((_, i) => columns.slice(columns.length - 1 - i));
  const candidates = columns.includes("id") ? [["id"], ...tails] : tails;
  return candidates.find((key) => !refuted.has(key.join()) && new Set(rows.map((r) => encodeKey(key, r))).size === rows.length);
}

export function encodeKey(columns, key) {
  if (Array.isArray(key)) return JSON.stringify(key);
  if (key !== null && typeof key === "object") return JSON.stringify(columns.map((c) => key[c] ?? null));
  return JSON.stringify([key]);
}

export const columnOf = (term) => (term.startsWith("-") ? term.slice(1) : term);
