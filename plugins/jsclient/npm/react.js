// A hook for React. The collection lives as long as a component shows it, and a
// little longer; components that show the same binding share its rows.

import { useMemo, useSyncExternalStore } from "react";

const nothing = Object.freeze({ rows: Object.freeze([]), status: "connecting", version: "", lastModified: "", error: null, pending: 0 });

/**
 * Returns the collection's state: {rows, status, version, lastModified, error,
 * pending}. On a server, and during hydration, it is that of `initial`, or empty.
 */
export function useBinding(client, name, options = {}) {
  const { params, key } = options;
  // Parameters are usually written inline, and so are a new object each time.
  const which = JSON.stringify([params, key], (_, value) => (typeof value === "bigint" ? String(value) : value));
  const store = useMemo(() => new BindingStore(client, name, options), [client, name, which]);
  return useSyncExternalStore(store.subscribe, store.state, store.serverState);
}

class BindingStore {
  #client;
  #name;
  #options;
  #collection = null; // while a component subscribes
  #first;

  constructor(client, name, { params, key, initial, linger = 10_000 }) {
    this.#client = client;
    this.#name = name;
    this.#options = { params, key, initial, linger };
    this.#first = initial ? Object.freeze({ ...nothing, rows: initial.rows, status: "stale", version: initial.version, lastModified: initial.lastModified ?? "" }) : nothing;
  }

  subscribe = (changed) => {
    if (!this.#client) return () => {};
    this.#collection = this.#client.collection(this.#name, this.#options);
    const collection = this.#collection;
    const stop = collection.subscribe(changed);
    return () => {
      stop();
      collection.close();
      if (this.#collection === collection) this.#collection = null;
    };
  };

  // state is also called before any component subscribes. The first render then shows
  // the rows that other components show, or did a moment ago.
  state = () => this.#collection?.state ?? this.#client?.peek(this.#name, this.#options) ?? this.#first;

  serverState = () => this.#first;
}
