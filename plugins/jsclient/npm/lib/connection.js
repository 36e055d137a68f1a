// The connection to a server: which transport, when to try again.
//
// A link is one attempt at a transport. It calls opened once, lost at most once
// and never after close, and reads the joins when it opens. Its join, leave and
// page return whether the server was asked; leave, whether it will confirm.

import { Backoff } from "./backoff.js";
import { PageLife } from "./pagelife.js";
import { SocketLink } from "./socketlink.js";
import { StreamLink } from "./streamlink.js";

const stableAfter = 5_000; // a connection that lived as long has proved itself: back-off begins anew
const trialAfter = 1_000; // a stream that takes so long to open gets a WebSocket beside it

export class Connection {
  link = null; // in use or being opened
  status = "idle";
  #settings;
  #env;
  #events;
  #joins;
  #locate;
  #urls = null;
  #backoff;
  #life;
  #trial = null; // a WebSocket that may replace an event stream
  #trialAt = 0; // when it began
  #trialTimer = null;
  #trials = 0; // that failed beside an open stream, in a row
  #unopened = 0; // WebSockets in a row that did not open
  #retryTimer = null;
  #suspended = false; // the page lies in the browser's back-forward cache

  /**
   * locate returns the addresses of the server. The events are status, message
   * (with its text), dropped (nothing is connected), replaced (another link goes
   * on) and refused (a join, with the problem).
   */
  constructor(locate, settings, env, joins, events) {
    this.#locate = locate;
    this.#settings = settings;
    this.#env = env;
    this.#joins = joins;
    this.#events = events;
    this.#backoff = new Backoff(settings, env);
    this.#life = new PageLife(env, {
      wake: () => this.wake(),
      // A stream cannot be probed, only opened again: not for each change of tabs.
      shown: (hidden) => (this.link?.kind !== "sse" || hidden > settings.quietTimeout) && this.wake(),
      suspend: () => this.#suspend(),
      resume: () => this.#resume(),
    });
  }

  /** Connects, at the first call. */
  start() {
    this.#urls ??= this.#locate();
    if (this.status === "idle" && !this.#suspended) this.#connect();
  }

  /** Ends a wait, or asks for a sign of life. */
  wake() {
    if (this.status === "waiting") {
      this.#backoff.reset();
      this.#connect();
    } else if (this.status === "live") {
      this.link.probe();
    }
  }

  /** Gives a link up that does not behave. */
  fail(link) {
    link.fail();
  }

  close() {
    this.#drop();
    this.#life.end();
    this.#setStatus("closed");
  }

  #connect() {
    this.#drop();
    if (this.status === "closed") return;
    this.#setStatus("connecting");
    if (this.status !== "connecting") return; // a listener closed the client
    this.#trials = 0;
    this.link = this.#streamFirst() ? this.#newStream() : this.#newSocket();
    this.#life.watchClock();
    if (this.link.kind === "sse") this.#planTrial(trialAfter);
  }

  // #streamFirst: a stream is used where there is no WebSocket, and after some that
  // did not open. Beside it a WebSocket is tried all the same.
  #streamFirst() {
    if (!this.#urls.socket || !this.#urls.stream) return !this.#urls.socket;
    return this.#unopened >= this.#settings.fallbackAfter;
  }

  #newSocket() {
    return new SocketLink(this.#urls.socket, this.#settings, this.#env, this.#linkEvents(), this.#joins);
  }

  #newStream() {
    return new StreamLink(this.#urls.stream, this.#settings, this.#env, this.#linkEvents(), this.#joins);
  }

  #linkEvents() {
    return {
      opened: (link) => this.#opened(link),
      lost: (link) => this.#lost(link),
      message: (link, text) => link === this.link && this.#events.message(link, text),
      refused: (join, problem) => this.#events.refused(join, problem),
    };
  }

  #opened(link) {
    if (link.kind === "websocket") this.#unopened = 0;
    if (link === this.#trial) {
      // The stream is no longer needed. All that it brought in full counts.
      this.#trial = null;
      this.link.close();
      this.#events.replaced();
      this.link = link;
    }
    if (link !== this.link) return;
    this.#setStatus("live", true);
    // WebSockets failed before, but perhaps because nothing answered. Now something does.
    if (link === this.link && link.kind === "sse" && !this.#trial) this.#planTrial(this.#trialDelay());
  }

  #lost(link) {
    if (link === this.#trial) {
      this.#trial = null;
      const { openedAt } = this.link;
      if (openedAt && this.#trialAt >= openedAt) this.#trials++; // it failed where a stream works
      this.#planTrial(openedAt ? this.#trialDelay() : trialAfter);
      return;
    }
    if (link !== this.link) return;
    if (!link.openedAt) {
      // Where neither opens, they take turns.
      if (link.kind === "sse") this.#unopened = this.#settings.fallbackAfter - 1;
      else this.#unopened++;
    }
    if (link.openedAt && this.#env.now() - link.openedAt >= stableAfter) this.#backoff.reset();
    this.#drop();
    if (this.status === "closed") return; // by a listener that was just told
    this.#retryTimer = this.#env.setTimeout(() => this.#connect(), this.#backoff.next());
    this.#setStatus("waiting");
  }

  // #drop ends whatever there is of a connection.
  #drop() {
    this.#env.clearTimeout(this.#retryTimer);
    this.#env.clearTimeout(this.#trialTimer);
    this.#life.ignoreClock();
    this.link?.close();
    this.#trial?.close();
    this.link = this.#trial = null;
    this.#events.dropped();
  }

  // #trialDelay: at once at first, so that a restart leaves nobody on a stream. Then
  // ever more seldom.
  #trialDelay() {
    return this.#trials === 0 ? 0 : this.#settings.upgradeInterval * 2 ** Math.min(this.#trials - 1, 6);
  }

  #planTrial(delay) {
    if (!this.#urls.socket) return;
    this.#env.clearTimeout(this.#trialTimer);
    this.#trialTimer = this.#env.setTimeout(() => {
      if (this.link?.kind !== "sse" || this.#trial) return;
      this.#trialAt = this.#env.now();
      this.#trial = this.#newSocket();
    }, delay);
  }

  #suspend() {
    this.#suspended = true;
    if (this.status === "idle" || this.status === "closed") return;
    this.#drop();
    this.#setStatus("idle");
  }

  #resume() {
    if (!this.#suspended) return;
    this.#suspended = false;
    if (this.#joins.size > 0) this.start();
  }

  #setStatus(status, force) {
    if (this.status === status && !force) return;
    this.status = status;
    this.#events.status();
  }
}
