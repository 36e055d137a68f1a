// Options, their defaults, and the platform's functions.

/** Defaults of the options that are numbers; times are in milliseconds. */
export const defaults = {
  backoff: 500, // longest wait before the first reconnect, doubled each time
  maxBackoff: 15_000, // upper bound of that wait
  openTimeout: 10_000, // for a connection to open
  quietTimeout: 30_000, // of silence before the server is probed
  probeTimeout: 5_000, // for the answer to the probe
  fallbackAfter: 2, // WebSockets in a row that did not open before SSE is tried
  upgradeInterval: 5_000, // before a WebSocket that failed beside a stream is tried again, doubled up to 64 times
  requestTimeout: 30_000, // for the answer to a request
  settleTimeout: 10_000, // after which an answered write stops covering the server's rows in any case
  pollWait: 20, // seconds for which the server may hold a poll, 0 for none
  pollInterval: 2_000, // between polls that the server does not hold
  renewals: 5, // times in a row that the functions token and headers are asked anew after 401 or 403
};

/** Returns the options with their defaults. undefined counts as left out. */
export function settle(options) {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  // A WebSocket cannot carry headers. With headers, unless there is also a token or the
  // WebSocket is requested, the client uses plain requests only.
  const websocket = given.headers === undefined || given.token !== undefined ? "ws" : false;
  const settings = { ...defaults, websocket, sse: "events", rest: "api", withCredentials: false, ...given };
  const { transport } = settings;
  if (transport !== undefined && !["websocket", "sse", "poll"].includes(transport)) {
    throw new TypeError(`bindery: there is no transport ${JSON.stringify(transport)}: "websocket", "sse" or "poll"`);
  }
  if (transport !== undefined && transport !== "websocket") settings.websocket = false;
  if (transport !== undefined && transport !== "sse") settings.sse = false;
  return settings;
}

/** Returns the platform's functions, unless the options replace them. */
export function environment(options) {
  const clock = options.clock ?? {};
  const pick = (name) => (name in options ? options[name] : globalThis[name]);
  return {
    WebSocket: pick("WebSocket"),
    EventSource: pick("EventSource"),
    fetch: "fetch" in options ? options.fetch : globalThis.fetch && ((...args) => globalThis.fetch(...args)),
    now: clock.now ?? (() => Date.now()),
    random: clock.random ?? (() => Math.random()),
    setTimeout: clock.setTimeout ?? ((fn, delay) => setTimeout(fn, delay)),
    clearTimeout: clock.clearTimeout ?? ((timer) => clearTimeout(timer)),
    window: options.window ?? globalThis.window,
    document: options.document ?? globalThis.document,
  };
}

/**
 * Returns the addresses of the server's endpoints, null for those that cannot be used.
 * It throws if none can. That happens at the first use and not when a client is made,
 * because a module that is rendered on a server has no page and needs no connection.
 */
export function endpoints(base, settings, env) {
  const here = globalThis.document?.baseURI ?? globalThis.location?.href;
  const root = new URL(base ?? "/", here);
  if (!root.pathname.endsWith("/")) root.pathname += "/";
  root.search = root.hash = "";
  const at = (path) => new URL(path, root);
  const { websocket, sse, rest } = settings;
  const urls = { socket: null, stream: null, rest: rest === false ? null : at(rest) };
  if (websocket !== false && env.WebSocket) {
    urls.socket = at(websocket);
    urls.socket.protocol = urls.socket.protocol.replace(/^http/, "ws");
  }
  if (sse !== false && (env.EventSource || env.fetch)) urls.stream = at(sse);
  if (settings.transport === "poll") {
    if (urls.rest && env.fetch) return urls;
    throw new TypeError("bindery: polls need fetch and the option rest");
  }
  if (!urls.socket && !urls.stream) {
    throw new TypeError("bindery: there is neither a WebSocket nor fetch: pass a constructor as an option");
  }
  return urls;
}
