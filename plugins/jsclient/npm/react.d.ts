import type { Client, CollectionOptions, State } from "./index.js";

/**
 * Returns the state of a binding's collection, which lives as long as a component
 * shows it. On a server it is the empty state, "connecting".
 */
export function useBinding<T extends object = any>(
  client: Client,
  name: string,
  options?: Pick<CollectionOptions, "params" | "key">,
): State<T>;
