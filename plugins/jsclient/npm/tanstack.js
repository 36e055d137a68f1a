// An adapter for TanStack DB: a binding as a TanStack collection, for live queries and
// joins in the page.
//
// TanStack itself shows writes before they are confirmed, and undoes them, so this
// client does not. A mutation ends when the binding's rows include it: the server's
// change then replaces the optimistic row at once.

/**
 * Returns the options for createCollection of @tanstack/db. `key` names the column of
 * the key, or its columns.
 */
export function bindingCollectionOptions({ client, binding, params, key = "id", id, initial, linger, ifMatch, generatedKey = false, ...rest }) {
  const columns = Array.isArray(key) ? [...key] : [key];
  let live = null; // while it is synchronised
  const open = () => client.collection(binding, { params, key: columns, initial, linger });
  const write = async (mutations, send) => {
    const own = live ? null : open();
    try {
      const all = mutations.map((m) => send(live ?? own, m));
      await Promise.all(all); // a refusal rejects, and TanStack removes the row
      await Promise.all(all.map((written) => written.settled));
    } finally {
      own?.close();
    }
  };
  return {
    ...rest,
    id: id ?? `bindery:${binding}${params ? `?${new URLSearchParams(Object.entries(params).map(([k, v]) => [k, String(v)]))}` : ""}`,
    getKey: (row) => (columns.length === 1 ? row[columns[0]] : JSON.stringify(columns.map((column) => row[column]))),
    sync: {
      rowUpdateMode: "full",
      sync: (core) => {
        const collection = open();
        live = collection;
        const stop = follow(collection, core);
        return () => {
          stop();
          collection.close();
          if (live === collection) live = null;
        };
      },
    },
    onInsert: ({ transaction }) => write(transaction.mutations, (c, m) => c.create(generatedKey ? without(m.modified, columns) : m.modified, { optimistic: false })),
    onUpdate: ({ transaction }) => write(transaction.mutations, (c, m) => c.update(keyOf(m.original, columns), m.changes, { ifMatch, optimistic: false })),
    onDelete: ({ transaction }) => write(transaction.mutations, (c, m) => c.remove(keyOf(m.original, columns), { ifMatch, optimistic: false })),
    utils: { live: () => live },
  };
}

const keyOf = (row, columns) => columns.map((column) => row[column]);

const without = (row, columns) => Object.fromEntries(Object.entries(row).filter(([name]) => !columns.includes(name)));

// follow copies the collection's rows and changes into TanStack's collection.
function follow(collection, { begin, write, commit, markReady, markError }) {
  let ready = false;
  const become = () => {
    if (ready || collection.version === "") return;
    ready = true;
    markReady();
  };
  const apply = (created, updated, deleted) => {
    begin();
    for (const value of deleted) write({ type: "delete", value });
    for (const value of created) write({ type: "insert", value });
    for (const value of updated) write({ type: "update", value });
    commit();
  };
  if (collection.size > 0) apply(collection.rows, [], []);
  become();
  const offs = [
    collection.on("change", (e) => apply(e.created, e.updated, e.deleted)),
    collection.on("version", become),
    collection.on("error", ({ error }) => {
      if (ready || collection.status !== "closed") return;
      ready = true;
      if (markError) markError(error);
      else markReady();
    }),
  ];
  return () => offs.forEach((off) => off());
}
