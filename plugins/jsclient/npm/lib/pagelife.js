// Events of the page and the machine: sleep, tabs, the network, the browser's
// back-forward cache.

const tick = 5_000; // how often the clock is checked
const slept = 10_000; // a tick this late means that the machine slept

export class PageLife {
  #env;
  #events;
  #timer = null;
  #hiddenAt = 0;
  #unlisten = [];

  /**
   * Calls wake when the connection may have died unnoticed, shown with how long the
   * page was hidden, and suspend and resume around a stay in the back-forward cache.
   */
  constructor(env, events) {
    this.#env = env;
    this.#events = events;
    const { window, document, now } = env;
    this.#on(window, "online", () => events.wake());
    this.#on(document, "visibilitychange", () => {
      if (document.visibilityState === "hidden") this.#hiddenAt = now();
      else events.shown(now() - this.#hiddenAt);
    });
    // Browsers keep pages with open connections out of the back-forward cache.
    this.#on(window, "pagehide", () => events.suspend());
    this.#on(window, "pageshow", () => events.resume());
  }

  #on(target, type, fn) {
    if (!target?.addEventListener) return;
    target.addEventListener(type, fn);
    this.#unlisten.push(() => target.removeEventListener(type, fn));
  }

  /**
   * Checks the clock while there is a connection. A machine that slept is not told that
   * its connections died, but its timers are late.
   */
  watchClock() {
    const { now, setTimeout } = this.#env;
    this.ignoreClock();
    const due = now() + tick;
    this.#timer = setTimeout(() => {
      const late = now() - due;
      this.watchClock();
      if (late > slept) this.#events.wake();
    }, tick);
  }

  ignoreClock() {
    this.#env.clearTimeout(this.#timer);
  }

  end() {
    this.ignoreClock();
    for (const off of this.#unlisten) off();
  }
}
