// Runs scripts from standard input as a page would, one line of JSON each: {"id": 1,
// "body": "…"}. The body is that of an async function. Its result, or its exception,
// becomes a line on standard output.

import { createRequire, register } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const AsyncFunction = (async () => {}).constructor;
const tell = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

globalThis.report = (name, value) => tell({ id: -1, name, value }); // messages without a request
globalThis.bindery = await import("../npm/index.js");
if (process.env.BINDERY_NODE_MODULES) {
  const from = pathToFileURL(`${process.env.BINDERY_NODE_MODULES}/x.mjs`).href;
  globalThis.requireFrom = createRequire(from);
  // Modules that the adapters import are found there too.
  register(`data:text/javascript,${encodeURIComponent(`
    export const resolve = (name, context, next) => next(name, name.startsWith("react") ? { ...context, parentURL: ${JSON.stringify(from)} } : context);
  `)}`);
  globalThis.importFrom = async (name) => import(pathToFileURL(requireFrom.resolve(name)).href);
}

process.on("uncaughtException", (err) => tell({ id: 0, error: String(err?.stack ?? err) }));
for await (const line of createInterface({ input: process.stdin })) {
  const { id, body } = JSON.parse(line);
  try {
    new AsyncFunction(body)().then((value) => tell({ id, value: value ?? null }), (err) => tell({ id, error: String(err?.stack ?? err) }));
  } catch (err) {
    tell({ id, error: String(err?.stack ?? err) });
  }
}
process.exit(0);
