import type { Client, CollectionOptions, State } from "./index.js";

/**
 * Returns the state of a binding's collection. The collection lives as long as a
 * component shows it and `linger` longer (default 10 seconds), so that a component that
 * comes back finds the rows. On a server, and during hydration, it is the state of
 * `initial`, or the empty one, "connecting". The client may be null there.
 */
export function useBinding<T extends object = any>(
  client: Client | null | undefined,
  name: string,
  options?: Pick<CollectionOptions, "params" | "key" | "initial" | "linger">,
): State<T>;
