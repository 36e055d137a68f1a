// What links over plain HTTP have in common: event streams and polls.

// HTTPLink is a link whose bindings are each asked for by address. A subclass has
// join(join), leave(join), probe() and shut(), which ends all requests.
export class HTTPLink {
  openedAt = 0;
  over = false;
  settings;
  env;
  events;
  headers;

  constructor(settings, env, events, headers) {
    this.settings = settings;
    this.env = env;
    this.events = events;
    this.headers = headers;
  }

  // refused is called for a join that the server has dropped, but which would be
  // asked for again.
  refused(join) {
    this.leave(join);
  }

  // There is nothing to ask pages and marks over: they are asked for by REST.
  page() {
    return false;
  }

  mark() {
    return false;
  }

  // opened notes the first answer.
  opened() {
    if (this.openedAt) return;
    this.openedAt = this.env.now();
    this.events.opened(this);
  }

  fail() {
    if (this.over) return;
    this.close();
    this.events.lost(this);
  }

  close() {
    this.over = true;
    this.shut();
  }

  // request returns the options of a request to the server.
  request(signal, headers = {}) {
    const credentials = this.settings.withCredentials ? "include" : "same-origin";
    return { headers: { ...this.headers, ...headers }, credentials, signal };
  }
}
