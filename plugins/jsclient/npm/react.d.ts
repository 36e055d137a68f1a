import type { Client, CollectionOptions, State } from "./index.js";

/**
 * Returns the state of a binding's collection, which lives as long as a component
 * shows it and `linger` longer (10 seconds unless given), so that who comes back finds
 * the rows. On a server, and while it hydrates, it is the state of `initial`, or the
 * empty one, "connecting". The client may be null there.
 */
export function useBinding<T extends object = any>(
  client: Client | null | undefined,
  name: string,
  options?: Pick<CollectionOptions, "params" | "key" | "initial" | "linger">,
): State<T>;
