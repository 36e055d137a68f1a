// What both scripts share: commands and reports as lines of JSON, and a copy of
// the bindings that is kept by the protocol's rules and nothing else.
import { createInterface } from "node:readline";

export function report(on, fields = {}) {
  process.stdout.write(JSON.stringify({ on, ...fields }) + "\n");
}

// Calls obey with each command until standard input ends.
export async function commands(obey) {
  for await (const line of createInterface({ input: process.stdin })) obey(JSON.parse(line));
}

export class Replica {
  #bindings = new Map();

  // Takes a message, and reports the rows when it completes a batch.
  take(message, id) {
    let binding = this.#bindings.get(message.event);
    if (!binding) this.#bindings.set(message.event, (binding = { rows: new Map(), held: [], ids: [] }));
    binding.held.push(message);
    binding.ids.push(id);
    if (message.more) return;
    const { held, ids } = binding;
    binding.held = [];
    binding.ids = [];
    for (const m of held) apply(binding.rows, m);
    report("batch", {
      event: message.event,
      version: message.version,
      actions: held.map((m) => m.action),
      versions: held.map((m) => m.version),
      current: message.payload === "ok",
      ids,
      rows: [...binding.rows.values()],
    });
  }
}

function apply(rows, { action, payload, page }) {
  switch (action) {
    case "sync":
      if (payload === "ok") return;
      if (page === 1) rows.clear();
      for (const row of payload) rows.set(row.id, row);
      return;
    case "create":
      for (const row of payload) {
        if (rows.has(row.id)) throw new Error(`create of ${row.id}, which is there`);
        rows.set(row.id, row);
      }
      return;
    case "update":
      for (const row of payload) {
        if (!rows.has(row.id)) throw new Error(`update of ${row.id}, which is not there`);
        rows.set(row.id, row);
      }
      return;
    case "delete":
      for (const key of payload) {
        if (!rows.delete(key.id)) throw new Error(`delete of ${key.id}, which is not there`);
      }
      return;
    default:
      throw new Error(`action ${action}`);
  }
}
