// Requests to the REST endpoints.

import { anonymous } from "./credentials.js";
import { BinderyError, isDenial, problemOf } from "./errors.js";
import { texts } from "./names.js";

export class Rest {
  #locate;
  #settings;
  #env;
  #credentials;

  /** locate returns the address of the REST endpoints, or null if there are none. */
  constructor(locate, settings, env, credentials) {
    this.#locate = locate;
    this.#settings = settings;
    this.#env = env;
    this.#credentials = credentials;
  }

  /** Returns the address of a binding or member, or of one of its rows. */
  url({ event, params }, key = null) {
    const root = this.#locate();
    if (!root || !this.#env.fetch) throw new TypeError("bindery: there is no REST endpoint: see the options rest and fetch");
    const url = new URL(root);
    url.pathname = `${url.pathname.replace(/\/$/, "")}/${encodeURIComponent(event)}${key === null ? "" : `/${key.map(pathPart).join(",")}`}`;
    for (const [name, text] of texts(params ?? {})) url.searchParams.append(name, text);
    return url;
  }

  /**
   * Sends a request. It resolves with a successful answer, and throws a BinderyError
   * otherwise. After a refusal for want of credentials it tries once more, with other
   * ones.
   */
  async send(method, url, { headers = {}, body, signal } = {}) {
    const given = await this.#ask(0);
    let answer = await this.#fetch(method, url, given, headers, body, signal);
    if (isDenial(answer.status) && this.#credentials.any) {
      const better = await this.#ask(answer.status);
      if (better.text !== given.text) answer = await this.#fetch(method, url, better, headers, body, signal);
    }
    if (!answer.ok) throw new BinderyError(await problemOf(answer));
    return answer;
  }

  #ask(status) {
    return this.#credentials.any ? this.#credentials.ask(status) : anonymous;
  }

  async #fetch(method, url, given, headers, body, signal) {
    const { setTimeout, clearTimeout } = this.#env;
    const aborter = new AbortController();
    const abort = () => aborter.abort(signal.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    const timer = setTimeout(() => aborter.abort(new Error("no answer in time")), this.#settings.requestTimeout);
    try {
      return await this.#env.fetch(String(url), {
        method,
        headers: { ...given.headers, ...headers },
        body,
        credentials: this.#settings.withCredentials ? "include" : "same-origin",
        signal: aborter.signal,
      });
    } catch (cause) {
      if (signal?.aborted) throw signal.reason;
      throw new BinderyError({ title: "The server was not reached", detail: String(aborter.signal.reason?.message ?? cause?.message ?? cause) }, { cause });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }
}

const pathPart = (value) => encodeURIComponent(String(value));

/** Returns the token in an ETag, without the suffix of a content coding; "" for none. */
export function tokenOf(etag) {
  const m = /^(?:W\/)?"([\w-]+?)(?:-(?:gzip|br|zstd|deflate))?"$/.exec(etag ?? "");
  return m ? m[1] : "";
}
