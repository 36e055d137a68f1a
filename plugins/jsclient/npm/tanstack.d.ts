import type { CollectionConfig } from "@tanstack/db";
import type { Client, Collection, CollectionOptions } from "./index.js";

export interface BindingCollectionConfig<T extends object> extends Pick<CollectionOptions, "params" | "initial" | "linger"> {
  client: Client;
  /** The binding's name, or a family's, of which `params` name the member. */
  binding: string;
  /** The column of the key, or several. "id" */
  key?: (keyof T & string) | readonly (keyof T & string)[];
  /** The collection's name in TanStack DB. Made of the binding and the parameters. */
  id?: string;
  /** Update and delete a row only if it is as it is shown. */
  ifMatch?: boolean;
  /** The server makes keys: those of inserted rows stand for them until then. false */
  generatedKey?: boolean;
  gcTime?: number;
  startSync?: boolean;
  autoIndex?: "off" | "eager";
  compare?: (x: T, y: T) => number;
}

export interface BindingUtils<T extends object> {
  /** The live collection behind this one, while it is synchronised: its status, version, waitFor. */
  live: () => Collection<T> | null;
  [name: string]: (...args: any[]) => any;
}

/** Returns the options for createCollection: a binding as a collection of TanStack DB. */
export function bindingCollectionOptions<T extends object>(
  config: BindingCollectionConfig<T>,
): CollectionConfig<T, string | number, never, BindingUtils<T>> & { schema?: never; utils: BindingUtils<T> };
