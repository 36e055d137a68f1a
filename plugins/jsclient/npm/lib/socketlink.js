// One WebSocket, for all bindings.

export const pingName = "bindery:ping"; // a leave is always confirmed, even of a binding that was never joined

// A link is one connection. It calls opened once, lost at most once and never after
// close, and reads the joins when it opens. join, leave and page return whether it
// asked the server; for leave, whether the server will confirm.

export class SocketLink {
  kind = "websocket";
  openedAt = 0;
  #socket = null;
  #options;
  #env;
  #events;
  #timer = null; // for opening, then for quiet, then for the answer to a probe
  #probing = false;
  #over = false;

  constructor(url, options, env, events, joins, { protocols }) {
    this.#options = options;
    this.#env = env;
    this.#events = events;
    this.#wait(options.openTimeout, () => this.fail());
    try {
      this.#socket = protocols.length > 0 ? new env.WebSocket(String(url), protocols) : new env.WebSocket(String(url));
    } catch {
      this.#wait(0, () => this.fail()); // the page's policy forbids the connection
      return;
    }
    this.#socket.onopen = () => {
      this.openedAt = env.now();
      for (const join of joins.values()) this.join(join);
      this.#events.opened(this);
      this.#listen();
    };
    this.#socket.onmessage = (e) => {
      this.#listen();
      this.#events.message(this, e.data);
    };
    this.#socket.onclose = () => this.fail();
    this.#socket.onerror = () => {}; // a close follows
  }

  join(join) {
    return this.#send(join.request());
  }

  leave({ event, params }) {
    return this.#send({ event, ...(params && { params }), disconnect: true });
  }

  refused() {}

  page({ event, params, page }) {
    return this.#send({ event, ...(params && { params }), page });
  }

  // mark asks the stream to say when it has reached the mark.
  mark({ event, params }, mark) {
    return this.#send({ event, ...(params && { params }), mark });
  }

  // probe asks the server for an answer, because a browser does not notice a network
  // that went silent.
  probe() {
    if (this.#probing || !this.openedAt) return;
    this.#probing = true;
    this.#wait(this.#options.probeTimeout, () => this.fail());
    this.#send({ event: pingName, disconnect: true });
  }

  fail() {
    if (this.#over) return;
    this.close();
    this.#events.lost(this);
  }

  close() {
    this.#over = true;
    this.#env.clearTimeout(this.#timer);
    const socket = this.#socket;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #send(message) {
    if (this.#over || this.#socket?.readyState !== 1) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #listen() {
    this.#probing = false;
    this.#wait(this.#options.quietTimeout, () => this.probe());
  }

  #wait(delay, fn) {
    if (this.#over) return;
    this.#env.clearTimeout(this.#timer);
    this.#timer = this.#env.setTimeout(fn, delay);
  }
}
