// How one list of rows became another.

/**
 * Returns the change between two lists of rows. Rows with equal keys are the same row;
 * optimistic rows without a key yet are compared by identity.
 */
export function diff(before, after, encode) {
  const change = { created: [], updated: [], previous: [], deleted: [] };
  const old = index(before, encode);
  const now = index(after, encode);
  for (const [id, row] of now) {
    const was = old.get(id);
    if (was === undefined) change.created.push(row);
    else if (was !== row) {
      change.updated.push(row);
      change.previous.push(was);
    }
  }
  for (const [id, row] of old) if (!now.has(id)) change.deleted.push(row);
  return change;
}

function index(rows, encode) {
  const byKey = new Map();
  for (const row of rows) {
    const id = encode(row);
    byKey.set(id === null || byKey.has(id) || keyless.has(row) ? row : id, row);
  }
  return byKey;
}

/** Optimistic rows whose key the server has yet to generate. */
export const keyless = new WeakSet();
