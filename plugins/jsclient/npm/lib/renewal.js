// New credentials, after the server refused the current ones.

import { Backoff } from "./backoff.js";

export class Renewal {
  #settings;
  #env;
  #credentials;
  #events;
  #backoff;
  #denied = new Map(); // Join → problem: waiting for better credentials
  #count = 0; // requests for them in a row
  #timer = null;

  /**
   * The events are brought (credentials that differ from those in use), given up (a
   * join, with the problem), over (no join waits any more) and failed (a function of
   * the application). inUse returns the credentials in use.
   */
  constructor(settings, env, credentials, inUse, events) {
    this.#settings = settings;
    this.#env = env;
    this.#credentials = credentials;
    this.inUse = inUse;
    this.#events = events;
    this.#backoff = new Backoff(settings, env);
  }

  /** The status of the last refusal that still holds, 0 for none. */
  get status() {
    const [problem] = this.#denied.values();
    return problem?.status ?? 0;
  }

  /** Requests new credentials for the join. It returns false if there is no function to ask. */
  want(join, problem) {
    if (!this.#credentials.any) return false;
    this.#denied.set(join, problem);
    if (this.#timer === null) this.#later();
    return true;
  }

  /** Notes that the join is served, or over. */
  done(join) {
    if (this.#denied.delete(join) && this.#denied.size === 0) this.#end();
  }

  /** Stops asking, because a new connection is being opened and will ask. */
  pause() {
    this.#env.clearTimeout(this.#timer);
    this.#timer = null;
  }

  close() {
    this.#denied.clear();
    this.#end();
  }

  // #later asks after a pause; other joins continue meanwhile. Unchanged credentials
  // are not used.
  #later() {
    if (this.#count >= this.#settings.renewals) {
      this.#giveUp();
      return;
    }
    this.#count++;
    const timer = (this.#timer = this.#env.setTimeout(async () => {
      let given = null;
      try {
        given = await this.#credentials.ask(this.status);
      } catch (err) {
        this.#events.failed(err);
      }
      if (this.#timer !== timer) return;
      this.#timer = null;
      if (given && given.text !== this.inUse().text) this.#events.brought(given);
      else this.#later();
    }, this.#backoff.next()));
  }

  #end() {
    this.pause();
    this.#count = 0;
    this.#backoff.reset();
  }

  #giveUp() {
    const denied = [...this.#denied];
    this.close();
    for (const [join, problem] of denied) this.#events.givenUp(join, problem);
    this.#events.over();
  }
}
