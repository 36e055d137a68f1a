// Compiled with the DOM library, React and TanStack DB.
import { createCollection } from "@tanstack/db";
import { useBinding } from "@binderyhq/client/react";
import { bindingCollectionOptions } from "@binderyhq/client/tanstack";
import { connect } from "@binderyhq/client";

interface Product { id: number; name: string }

const client = connect(new URL(location.href), { fetch, window, document, WebSocket, EventSource });
const target: EventTarget = client;
const aborter = new AbortController();
const products = client.collection<Product>("products", { signal: aborter.signal });
products.on("change", (e) => {
  const event: Event = e;
  return [event.target, e.created[0]?.name];
});

export function Products() {
  const { rows, status } = useBinding<Product>(client, "products", { initial: { rows: [], version: "v" } });
  return <ul className={status}>{rows.map((p) => <li key={p.id}>{p.name}</li>)}</ul>;
}

const collection = createCollection(bindingCollectionOptions<Product>({ client, binding: "products", key: "id", ifMatch: true }));
const first: Product | undefined = collection.toArray[0];
collection.update(1, (draft) => { draft.name = "x"; });
void [target, first, collection.utils.live()?.version];
