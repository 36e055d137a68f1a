// How long to wait before the next attempt.

/** Attempts double the wait, up to a bound. */
export class Backoff {
  #attempts = 0;
  #settings;
  #env;

  constructor(settings, env) {
    this.#settings = settings;
    this.#env = env;
  }

  /** Returns the next wait. Full jitter: the clients of a server that restarts come back spread out. */
  next() {
    const { backoff, maxBackoff } = this.#settings;
    return this.#env.random() * Math.min(maxBackoff, backoff * 2 ** Math.min(this.#attempts++, 30));
  }

  reset() {
    this.#attempts = 0;
  }
}
