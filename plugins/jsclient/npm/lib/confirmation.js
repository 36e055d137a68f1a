// Finds out whether the rows of a collection include a write, or a mark.

import { BinderyError } from "./errors.js";
import { tokenOf } from "./rest.js";

const pause = 250; // between questions

export class Confirmation {
  #join;
  #store;
  #rest;
  #env;
  #askMark; // sends a mark into the stream; returns false if it cannot
  #marks = new Map(); // mark → Set of functions to call when the stream reaches it

  constructor(join, { rest, env, askMark }) {
    this.#join = join;
    this.#store = join.store;
    this.#rest = rest;
    this.#env = env;
    this.#askMark = askMark;
  }

  /** Notes that the stream has reached the mark: earlier messages include every commit up to it. */
  reached(mark) {
    const waiting = this.#marks.get(mark);
    this.#marks.delete(mark);
    for (const done of waiting ?? []) done(true);
  }

  /** Waits until the rows include every commit up to the mark. It resolves with whether they do. */
  async mark(mark, signal) {
    return (await this.#placeInStream(mark, signal)) || (await this.#sameVersion(mark, signal));
  }

  /** Waits until the rows include all that is visible now. It resolves with whether they do. */
  async now(signal) {
    await this.#pause(signal); // a batch may bring it in the meantime
    return this.#sameVersion(null, signal);
  }

  // #placeInStream asks the stream to say when it has reached the mark. It resolves
  // with false if the stream cannot say, or is lost.
  #placeInStream(mark, signal) {
    return new Promise((resolve) => {
      if (signal.aborted || !this.#askMark(mark)) {
        resolve(false);
        return;
      }
      const done = (reached) => {
        const waiting = this.#marks.get(mark);
        if (waiting?.delete(done) && waiting.size === 0) this.#marks.delete(mark);
        signal.removeEventListener("abort", failed);
        resolve(reached);
      };
      const failed = () => done(false);
      if (!this.#marks.has(mark)) this.#marks.set(mark, new Set());
      this.#marks.get(mark).add(done);
      signal.addEventListener("abort", failed, { once: true });
    });
  }

  /** Notes that the stream will not reach a mark, or any mark if none is given. */
  unreachable(mark) {
    for (const [known, waiting] of mark === undefined ? [...this.#marks] : [[mark, this.#marks.get(mark) ?? []]]) {
      this.#marks.delete(known);
      for (const done of [...waiting]) done(false);
    }
  }

  // #sameVersion waits until the rows are at the version that includes the mark, or the
  // newest. It asks the server which version that is, and asks again if the rows may
  // have passed it unseen.
  async #sameVersion(mark, signal) {
    while (!signal.aborted) {
      let token = "";
      try {
        const url = this.#rest.url(this.#join);
        if (mark) url.searchParams.append("mark", mark); // a header would have to be allowed by CORS
        const answer = await this.#rest.send("HEAD", url, { signal });
        token = tokenOf(answer.headers.get("etag"));
      } catch (err) {
        if (signal.aborted) return false;
        if (err instanceof BinderyError && err.status >= 400 && err.status < 500) return false; // the client may not ask
      }
      const { state } = this.#store;
      if (token !== "" && state.status === "live" && state.version === token) return true;
      if (await this.#versionIs(token, signal)) return true;
      await this.#pause(signal);
    }
    return false;
  }

  #versionIs(token, signal) {
    return new Promise((resolve) => {
      const end = (result) => {
        off();
        this.#env.clearTimeout(timer);
        signal.removeEventListener("abort", give);
        resolve(result);
      };
      const give = () => end(false);
      const off = this.#store.onVersion((version) => end(version === token));
      const timer = this.#env.setTimeout(give, 1_000);
      signal.addEventListener("abort", give, { once: true });
    });
  }

  #pause(signal) {
    return new Promise((resolve) => {
      const end = () => {
        this.#env.clearTimeout(timer);
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = this.#env.setTimeout(end, pause);
      if (signal.aborted) end();
      signal.addEventListener("abort", end, { once: true });
    });
  }
}
