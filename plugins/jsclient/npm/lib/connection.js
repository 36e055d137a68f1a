// The connection to a server: which transport to use, and when to try again.
//
// A link is one attempt at a transport. It calls opened once, lost at most once and
// never after close, and reads the joins when it opens. Its join, leave and page return
// whether it asked the server; for leave, whether the server will confirm.

import { Backoff } from "./backoff.js";
import { anonymous } from "./credentials.js";
import { isDenial, problemOf } from "./errors.js";
import { PageLife } from "./pagelife.js";
import { PollLink } from "./polllink.js";
import { Renewal } from "./renewal.js";
import { SocketLink } from "./socketlink.js";
import { StreamLink } from "./streamlink.js";

const stableAfter = 5_000; // after this time a connection has proved itself, and back-off begins anew
const trialAfter = 1_000; // a stream that has not opened after this time gets a WebSocket beside it

export class Connection {
  link = null; // in use or being opened
  renewal; // of credentials that the server refused
  status = "idle";
  #settings;
  #env;
  #events;
  #joins;
  #locate;
  #urlOf;
  #urls = null;
  #backoff;
  #life;
  #trial = null; // a WebSocket that may replace an event stream
  #trialAt = 0; // when the trial began
  #trialTimer = null;
  #trials = 0; // trials in a row that failed beside an open stream
  #unopened = 0; // WebSockets in a row that did not open
  #retryTimer = null;
  #credentials;
  #given = anonymous; // the credentials of the link
  #asking = null; // identifies the promise that is awaited before a link exists
  #suspended = false; // the page lies in the browser's back-forward cache

  /**
   * locate returns the addresses of the server, urlOf that of a join for polls. The
   * events are status, message (its text, or the parsed one), dropped (nothing is
   * connected), replaced (another link takes over), refused (a join, with the problem),
   * given up (likewise, for good) and failed (a function of the application).
   */
  constructor(locate, urlOf, settings, env, credentials, joins, events) {
    this.#urlOf = urlOf;
    this.#locate = locate;
    this.#settings = settings;
    this.#env = env;
    this.#joins = joins;
    this.#events = events;
    this.#credentials = credentials;
    this.#backoff = new Backoff(settings, env);
    this.renewal = new Renewal(settings, env, credentials, () => this.#given, {
      brought: (given) => this.#connect(given),
      givenUp: events.givenUp,
      over: () => this.#moveOn(),
      failed: events.failed,
    });
    this.#life = new PageLife(env, {
      wake: () => this.wake(),
      // Other links cannot be probed, only reopened, and not at each change of tabs.
      shown: (hidden) => (this.link?.kind === "websocket" || this.status === "waiting" || hidden > settings.quietTimeout) && this.wake(),
      suspend: () => this.#suspend(),
      resume: () => this.#resume(),
    });
  }

  /** Connects, at the first call. */
  start() {
    this.#urls ??= this.#locate();
    if (this.status === "idle" && !this.#suspended) this.#connect();
  }

  /** Ends a wait, or probes the server. */
  wake() {
    if (this.status === "waiting") {
      this.#backoff.reset();
      this.#connect();
    } else if (this.status === "live") {
      this.link.probe();
    }
  }

  /** Reconnects, perhaps as another user: the user is determined when a connection opens. */
  reopen() {
    if (this.status === "idle" || this.status === "closed") return;
    this.#backoff.reset();
    this.#connect();
  }

  close() {
    this.#drop();
    this.renewal.close();
    this.#life.end();
    this.#setStatus("closed");
  }

  // #connect asks for credentials, unless they are given, and opens a link.
  #connect(given = null) {
    this.#drop();
    if (this.status === "closed") return;
    this.#setStatus("connecting");
    if (this.status !== "connecting") return; // a listener closed the client
    if (given || !this.#credentials.any) {
      this.#open(given ?? anonymous);
      return;
    }
    this.#await(this.#credentials.ask(this.renewal.status), (given) => this.#open(given), (err) => {
      this.#events.failed(err);
      this.#retry();
    });
  }

  // #await calls done or failed with the outcome of a promise, unless the connection
  // has changed by then. A promise that takes too long has failed.
  #await(promise, done, failed) {
    const asking = (this.#asking = {});
    const end = (fn) => (value) => {
      if (this.#asking !== asking) return;
      this.#asking = null;
      this.#env.clearTimeout(this.#retryTimer);
      fn(value);
    };
    this.#retryTimer = this.#env.setTimeout(end(failed), this.#settings.openTimeout);
    promise.then(end(done), end(failed));
  }

  #open(given) {
    this.#given = given;
    this.#trials = 0;
    if (this.#settings.transport === "poll") this.link = this.#newPolls();
    else this.link = this.#streamFirst() ? this.#newStream() : this.#newSocket();
    this.#life.watchClock();
    if (this.link.kind === "sse") this.#planTrial(trialAfter);
  }

  // #streamFirst: a stream is used if there is no WebSocket, or after several did not
  // open. Beside the stream a WebSocket is tried all the same.
  #streamFirst() {
    if (!this.#urls.socket || !this.#urls.stream) return !this.#urls.socket;
    return this.#unopened >= this.#settings.fallbackAfter;
  }

  #newSocket() {
    return new SocketLink(this.#urls.socket, this.#settings, this.#env, this.#linkEvents(), this.#joins, this.#given);
  }

  #newStream() {
    return new StreamLink(this.#urls.stream, this.#settings, this.#env, this.#linkEvents(), this.#joins, this.#given);
  }

  #newPolls() {
    return new PollLink(this.#urlOf, this.#settings, this.#env, this.#linkEvents(), this.#joins, this.#given);
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
      // The stream is not needed any more. Its complete batches count.
      this.#trial = null;
      this.link.close();
      this.#events.replaced();
      this.link = link;
    }
    if (link !== this.link) return;
    this.#setStatus("live", true);
    // WebSockets failed before, perhaps because no server answered. Now one does.
    if (link === this.link && link.kind === "sse" && !this.#trial) this.#planTrial(this.#trialDelay());
  }

  #lost(link) {
    if (link === this.#trial) {
      this.#trial = null;
      const { openedAt } = this.link;
      if (openedAt && this.#trialAt >= openedAt) this.#trials++; // it failed while a stream works
      this.#planTrial(openedAt ? this.#trialDelay() : trialAfter);
      return;
    }
    if (link !== this.link) return;
    if (!link.openedAt) {
      // If neither opens, they take turns.
      if (link.kind === "sse") this.#unopened = this.#settings.fallbackAfter - 1;
      else this.#unopened++;
    }
    if (link.openedAt && this.#env.now() - link.openedAt >= stableAfter) this.#backoff.reset();
    if (link.kind === "websocket" && !link.openedAt && this.#credentials.any && this.#env.fetch) this.#inquire();
    else this.#retry();
  }

  // #inquire finds out whether a WebSocket did not open for want of credentials.
  // Browsers do not tell pages, so it requests the same URL without the upgrade.
  #inquire() {
    this.#drop();
    if (this.status === "closed") return;
    const url = String(this.#urls.socket).replace(/^ws/, "http");
    const credentials = this.#settings.withCredentials ? "include" : "same-origin";
    const ask = async () => {
      const answer = await this.#env.fetch(url, { headers: this.#given.headers, credentials, cache: "no-store" });
      return isDenial(answer.status) ? problemOf(answer) : null;
    };
    this.#await(ask(), (problem) => {
      if (!problem) this.#retry();
      else for (const join of [...this.#joins.values()]) this.#events.refused(join, problem);
      if (problem && this.status === "connecting") this.#setStatus(this.#joins.size > 0 ? "waiting" : "idle");
    }, () => this.#retry());
  }

  #retry() {
    this.#drop();
    if (this.status === "closed") return; // by a listener that was just told
    this.#retryTimer = this.#env.setTimeout(() => this.#connect(), this.#backoff.next());
    this.#setStatus("waiting");
  }

  // #moveOn continues without the joins that were given up.
  #moveOn() {
    if (this.link || this.#asking || this.status === "closed") return;
    if (this.#joins.size > 0) this.#connect();
    else this.#setStatus("idle");
  }

  // #drop ends any connection or attempt.
  #drop() {
    this.#asking = null;
    this.#env.clearTimeout(this.#retryTimer);
    this.#env.clearTimeout(this.#trialTimer);
    this.renewal.pause();
    this.#life.ignoreClock();
    this.link?.close();
    this.#trial?.close();
    this.link = this.#trial = null;
    this.#events.dropped();
  }

  // #trialDelay returns the wait before the next trial. The first is immediate, so that
  // after a restart no client stays on a stream. Later ones are ever rarer.
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
