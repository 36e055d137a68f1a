import type { CollectionConfig } from "@tanstack/db";
import type { Client, Collection, CollectionOptions } from "./index.js";

export interface BindingCollectionConfig<T extends object> extends Pick<CollectionOptions, "params" | "initial" | "linger"> {
  client: Client;
  /** The binding's name, or the name of a family whose member `params` select. */
  binding: string;
  /** The key's column, or columns. Default: "id". */
  key?: (keyof T & string) | readonly (keyof T & string)[];
  /** The collection's name in TanStack DB. By default made from the binding and the parameters. */
  id?: string;
  /** Update or delete a row only if it still is as shown. */
  ifMatch?: boolean;
  /** The server generates keys: keys of inserted rows are placeholders until then. Default: false. */
  generatedKey?: boolean;
  gcTime?: number;
  startSync?: boolean;
  autoIndex?: "off" | "eager";
  compare?: (x: T, y: T) => number;
}

export interface BindingUtils<T extends object> {
  /** The live collection behind this one while it is synchronised, for its status, version and waitFor. */
  live: () => Collection<T> | null;
  [name: string]: (...args: any[]) => any;
}

/** Returns the options for createCollection, which make a binding a collection of TanStack DB. */
export function bindingCollectionOptions<T extends object>(
  config: BindingCollectionConfig<T>,
): CollectionConfig<T, string | number, never, BindingUtils<T>> & { schema?: never; utils: BindingUtils<T> };
