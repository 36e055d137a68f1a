// Live keeps bindings current over one WebSocket, or over Server-Sent Events
// where a WebSocket cannot be had. It knows the messages and the connection,
// and nothing of rows or of the page.
//
// What it promises to a joined binding: batches come whole and in order. The
// messages of a batch that was cut short are dropped, and the next connection
// resumes from the last version that was applied.

const firstDelay = 500; // milliseconds before the first reconnect, doubled each time
const longestDelay = 15_000;
const openTimeout = 5_000; // for a handshake
const quietTimeout = 40_000; // without any message: ask whether anybody is there
const answerTimeout = 10_000; // for the answer to that
const upgradeInterval = 120_000; // between attempts to get from SSE to a WebSocket
const failuresBeforeFallback = 2;

export class Live {
  #bindings = new Map(); // name → {name, version, held, onBatch, onError}
  #link = null; // the connection in use: {kind, join(binding), leave(binding), close()}
  #attempts = 0; // since something was last heard
  #webSocketFailures = 0; // handshakes in a row that failed
  #lastWasSSE = false;
  #forced = null; // "sse" while the user wants it
  #retryTimer = 0;
  #upgradeTimer = 0;
  #onState;

  // socketURL is the WebSocket endpoint, streamURL(name, version) that of a
  // binding's event stream. onState is told {state, transport, retryAt}, where
  // state is "connecting", "live" or "waiting".
  constructor({ socketURL, streamURL, onState }) {
    this.socketURL = socketURL;
    this.streamURL = streamURL;
    this.#onState = onState;
    addEventListener("online", () => this.retryNow());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.retryNow();
    });
    // A page in the browser's back-forward cache may not hold connections.
    addEventListener("pagehide", () => this.#drop());
    addEventListener("pageshow", (e) => {
      if (e.persisted) this.connect();
    });
  }

  // join follows a binding. onBatch is called with the messages of one version,
  // onError with the problem when the server refuses.
  join(name, { onBatch, onError }) {
    const binding = { name, version: "", held: [], onBatch, onError };
    this.#bindings.set(name, binding);
    this.#link?.join(binding);
  }

  leave(name) {
    const binding = this.#bindings.get(name);
    if (!binding) return;
    this.#bindings.delete(name);
    this.#link?.leave(binding);
  }

  connect() {
    this.#drop();
    const kind = this.#forced ?? this.#nextKind();
    this.#lastWasSSE = kind === "sse";
    this.#onState({ state: "connecting", transport: kind });
    this.#link = kind === "sse" ? this.#openStreams() : this.#openSocket();
  }

  // prefer uses the transport named from now on: "sse", or "websocket", which
  // still falls back.
  prefer(kind) {
    this.#forced = kind === "sse" ? "sse" : null;
    this.#webSocketFailures = 0;
    this.#lastWasSSE = false;
    this.#attempts = 0;
    this.connect();
  }

  // retryNow cuts a wait short; on a connection that looks alive it asks the
  // server for a sign of life.
  retryNow() {
    if (this.#retryTimer) {
      this.#attempts = 0;
      this.connect();
    } else {
      this.#link?.probe?.();
    }
  }

  #nextKind() {
    if (!("WebSocket" in globalThis)) return "sse";
    return this.#webSocketFailures >= failuresBeforeFallback && !this.#lastWasSSE ? "sse" : "websocket";
  }

  #drop() {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#upgradeTimer);
    this.#retryTimer = this.#upgradeTimer = 0;
    const link = this.#link;
    this.#link = null;
    link?.close();
    for (const b of this.#bindings.values()) b.held = [];
  }

  // #lost is called by a link that ended, once, unless it was told to close.
  #lost(link) {
    if (this.#link !== link) return;
    this.#drop();
    // Half of the delay is random, so that the clients of a server that
    // restarts do not all come back in the same instant.
    const longest = Math.min(longestDelay, firstDelay * 2 ** this.#attempts++);
    const delay = longest / 2 + (Math.random() * longest) / 2;
    this.#retryTimer = setTimeout(() => this.connect(), delay);
    this.#onState({ state: "waiting", transport: link.kind, retryAt: Date.now() + delay });
  }

  #alive(link) {
    if (this.#link !== link) return;
    this.#attempts = 0;
    if (link.announced) return;
    link.announced = true;
    this.#onState({ state: "live", transport: link.kind });
    if (link.kind === "sse" && !this.#forced) this.#scheduleUpgrade();
  }

  #receive(link, text) {
    if (this.#link !== link) return;
    let message;
    try {
      message = JSON.parse(text);
    } catch (err) {
      console.error("live: message that is no JSON", err, text);
      return;
    }
    this.#alive(link);
    const binding = this.#bindings.get(message.event);
    if (!binding) return; // left in the meantime
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
    // The first page of a sync begins anew whatever was under way.
    if (message.action === "sync" && message.page === 1) binding.held = [];
    binding.held.push(message);
    if (message.more) return;
    const batch = binding.held;
    binding.held = [];
    binding.onBatch(batch);
    // Only now, so that a page that fails to apply a batch gets it again.
    binding.version = message.version;
  }

  #openSocket() {
    const socket = new WebSocket(this.socketURL);
    let probing = 0;
    let quiet = 0;
    const listen = () => {
      clearTimeout(probing);
      clearTimeout(quiet);
      probing = 0;
      quiet = setTimeout(() => link.probe(), quietTimeout);
    };
    const stop = () => {
      clearTimeout(opening);
      clearTimeout(probing);
      clearTimeout(quiet);
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    };
    const send = (message) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
    };
    const link = {
      kind: "websocket",
      join: (b) => send(b.version ? { event: b.name, version: b.version } : { event: b.name }),
      leave: (b) => send({ event: b.name, disconnect: true }),
      close: stop,
      // A network that went silent tells a browser nothing. Joining anew at
      // the version held is answered by a short "ok" where all is well.
      probe: () => {
        const binding = this.#bindings.values().next().value;
        if (probing || !binding || socket.readyState !== WebSocket.OPEN) return;
        probing = setTimeout(() => {
          stop();
          this.#lost(link);
        }, answerTimeout);
        link.join(binding);
      },
    };
    const opening = setTimeout(() => socket.onclose?.(), openTimeout);
    socket.onopen = () => {
      clearTimeout(opening);
      this.#webSocketFailures = 0;
      for (const b of this.#bindings.values()) link.join(b);
      listen();
    };
    socket.onmessage = (e) => {
      listen();
      this.#receive(link, e.data);
    };
    socket.onclose = () => {
      if (socket.readyState !== WebSocket.OPEN && !quiet) this.#webSocketFailures++;
      stop();
      this.#lost(link);
    };
    return link;
  }

  // One stream a binding: browsers allow six to a server without HTTP/2, which
  // is enough for a fallback.
  #openStreams() {
    const streams = new Map();
    const link = {
      kind: "sse",
      join: (b) => {
        link.leave(b);
        const stream = new EventSource(this.streamURL(b.name, b.version));
        streams.set(b.name, stream);
        const receive = (e) => this.#receive(link, e.data);
        for (const action of ["sync", "create", "update", "delete"]) stream.addEventListener(action, receive);
        stream.addEventListener("error", (e) => {
          // A message of the type "error" has data, a broken stream has not.
          if (e.data !== undefined) return receive(e);
          // A stream in good order may be closed by a proxy that counts the
          // minutes. The browser would come back by itself, but not to another
          // transport, and not from the version that was applied.
          link.close();
          this.#lost(link);
        });
      },
      leave: (b) => {
        streams.get(b.name)?.close();
        streams.delete(b.name);
      },
      close: () => {
        for (const stream of streams.values()) stream.close();
        streams.clear();
      },
    };
    for (const b of this.#bindings.values()) link.join(b);
    return link;
  }

  // #scheduleUpgrade tries a WebSocket again beside the streams that work, and
  // only when one opens changes over.
  #scheduleUpgrade() {
    this.#upgradeTimer = setTimeout(() => {
      const trial = new WebSocket(this.socketURL);
      const expired = setTimeout(() => trial.close(), openTimeout);
      trial.onopen = () => {
        clearTimeout(expired);
        trial.onclose = null;
        trial.close();
        if (this.#link?.kind === "sse" && !this.#forced) this.prefer("websocket");
      };
      trial.onclose = () => {
        clearTimeout(expired);
        if (this.#link?.kind === "sse" && !this.#forced) this.#scheduleUpgrade();
      };
    }, upgradeInterval);
  }
}
