// Live puts Bindery's own client into the words of this page: bindings are
// joined, their batches handed on whole, and the state of the connection told.
// Resuming, backing off, waking up and falling back are the client's business.

import { connect } from "/client/bindery.js";

export class Live {
  #bindings = new Map(); // id → {name, params, held, onBatch, onError, off}
  #client = null;
  #forced = null; // "sse" while the user wants it
  #onState;

  // onState is told {state, transport}, where state is "connecting", "live" or
  // "waiting".
  constructor({ onState }) {
    this.#onState = onState;
  }

  // join follows a binding, or the member of a family that the id names:
  // "shelf?venue=store". onBatch is called with the messages of one version,
  // onError with the problem when the server refuses.
  join(id, { onBatch, onError }) {
    const [name, query] = id.split("?");
    const params = query && Object.fromEntries(new URLSearchParams(query));
    const binding = { name, params, held: [], onBatch, onError, off: () => {} };
    this.#bindings.set(id, binding);
    if (this.#client) this.#follow(binding);
  }

  leave(id) {
    const binding = this.#bindings.get(id);
    if (!binding) return;
    this.#bindings.delete(id);
    binding.off();
    this.#client?.emit(binding.name, { params: binding.params, disconnect: true });
  }

  connect() {
    this.#client?.close();
    const client = connect("/", this.#forced === "sse" ? { websocket: false } : {});
    this.#client = client;
    const tell = () => {
      if (this.#client !== client || client.status === "closed") return;
      const state = client.status === "idle" ? "connecting" : client.status;
      this.#onState({ state, transport: client.transport ?? this.#forced ?? "websocket" });
    };
    client.addEventListener("status", tell);
    client.addEventListener("error", (e) => console.error("live:", e.error));
    tell();
    for (const binding of this.#bindings.values()) this.#follow(binding);
  }

  // prefer uses the transport named from now on: "sse", or "websocket", which
  // still falls back.
  prefer(kind) {
    this.#forced = kind === "sse" ? "sse" : null;
    this.connect();
  }

  // retryNow cuts a wait short; on a connection that looks alive it asks the
  // server for a sign of life.
  retryNow() {
    this.#client?.wake();
  }

  #follow(binding) {
    binding.held = [];
    const { name, params = {} } = binding;
    binding.off = this.#client.on(name, (message) => {
      if (Object.entries(params).some(([param, value]) => String(message.params?.[param]) !== value)) return; // of another member
      switch (message.action) {
        case "error":
          binding.held = [];
          binding.onError(message.payload);
          return;
        case "sync":
        case "create":
        case "update":
        case "delete":
          break;
        default: // "leave", and what later protocols add
          return;
      }
      binding.held.push(message);
      if (message.more) return;
      const batch = binding.held;
      binding.held = [];
      binding.onBatch(batch);
    });
    this.#client.emit(name, { params: binding.params });
  }
}
