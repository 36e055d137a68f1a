// Compiled without the DOM library.
import { BinderyError, connect, type ChangeEvent, type Client, type Collection, type Message, type State, type Written } from "@binderyhq/client";

interface Product { id: number; name: string; price: number | null }

const client: Client = connect("https://shop.example/", {
  token: async ({ status }) => (status === 401 ? "fresh" : "t"),
  headers: { "X-Tenant": "acme" },
  transport: "poll",
  fetch: async (url) => ({ url }),
});
client.addEventListener("status", (e) => e.type satisfies string);
client.addEventListener("error", ({ error }) => error.message satisfies string);
const products: Collection<Product> = client.collection<Product>("products", { params: { user: 42n, status: ["open", "paid"], q: null }, initial: { rows: [], version: "v" }, linger: 5 });
const off: () => void = products.on("change", ({ created, previous, type }: ChangeEvent<Product>) => void [created[0]?.name, previous, type]);
products.addEventListener("version", () => off(), { once: true });
const state: State<Product> = products.state;
for (const { id, name } of products) void (id + name.length + state.pending);
const written: Written<Product> = products.update(1, { name: "x" }, { ifMatch: true });
const row: Product = await written;
await written.settled;
const gone: null = await products.remove([1, 2]);
const same: Collection<Product> = await products.waitFor((c) => c.size > 0);
await products.waitFor({ mark: "m" }, { timeout: 5 });
client.on<Product>("products", (m: Message<Product>) => m.action satisfies string);
const peeked: State<Product> | null = client.peek<Product>("products");
try {
  await products.ready;
} catch (err) {
  if (err instanceof BinderyError) void (err.status + err.problem.title);
}
// @ts-expect-error: there is no such column
products.update(1, { nonsense: 1 });
// @ts-expect-error: there is no such transport
connect("/", { transport: "pigeon" });
export { gone, peeked, row, same };
