// A hook for React. The collection lives as long as a component shows it, and
// components that show the same binding share its rows.

import { useMemo, useSyncExternalStore } from "react";

const nothing = Object.freeze({ rows: Object.freeze([]), status: "connecting", version: "", lastModified: "", error: null });
const nothingYet = () => nothing;

/** Returns the collection's state: {rows, status, version, lastModified, error}. */
export function useBinding(client, name, { params, key } = {}) {
  // Parameters are usually written in place, and so a new object each time.
  const paramsText = JSON.stringify(params);
  const keyText = JSON.stringify(key);
  const store = useMemo(() => {
    let last = nothing;
    return {
      subscribe(changed) {
        const collection = client.collection(name, { params: paramsText && JSON.parse(paramsText), key: keyText && JSON.parse(keyText) });
        const stop = collection.subscribe((state) => {
          last = state;
          changed();
        });
        return () => {
          stop();
          collection.close();
        };
      },
      state: () => last,
    };
  }, [client, name, paramsText, keyText]);
  return useSyncExternalStore(store.subscribe, store.state, nothingYet);
}
