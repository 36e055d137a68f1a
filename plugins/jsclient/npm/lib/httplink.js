// The common part of links over plain HTTP: event streams and polls.

// HTTPLink is a link that asks for each binding by its address. A subclass has
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

  // refused is called for a join that the server has dropped, but the link would ask
  // for again.
  refused(join) {
    this.leave(join);
  }

  // Pages and marks cannot be asked for here; the client uses REST.
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
