// Polls: each binding asks for changes since its version, and the server holds the
// request until there are some. All clients at one version request the same URL, so a
// shared cache can answer all of them with one request of its own.

import { mayPass, problemOf } from "./errors.js";
import { HTTPLink } from "./httplink.js";

const maxHeld = 4; // requests at a time; a browser has six connections to a host
const soon = 1_000; // an answer without changes that comes earlier was not held
const fromNothing = "0"; // stands for no rows: the same for all clients, and in no log
const maxLeft = 256; // remembered versions of a join

export class PollLink extends HTTPLink {
  kind = "poll";
  #urlOf;
  #polls = new Map(); // Join → {aborter, timer, answered, left}: asking, or waiting for its turn
  #queue = []; // joins whose turn has not come
  #held = 0;

  /** urlOf returns the address of a join's binding or member. */
  constructor(urlOf, settings, env, events, joins, { headers }) {
    super(settings, env, events, headers);
    this.#urlOf = urlOf;
    for (const join of joins.values()) this.join(join);
  }

  join(join) {
    this.leave(join);
    if (this.over) return false;
    this.#polls.set(join, { aborter: new AbortController(), timer: null, answered: false, left: new Left() });
    this.#queue.push(join);
    // Later, after other joins and leaves of the same task.
    queueMicrotask(() => this.#next());
    return true;
  }

  leave(join) {
    const poll = this.#polls.get(join);
    if (!poll) return false;
    this.#polls.delete(join);
    this.#queue = this.#queue.filter((j) => j !== join);
    this.env.clearTimeout(poll.timer);
    poll.aborter.abort();
    return false;
  }

  // probe asks again, because a held request may hang on a dead connection.
  probe() {
    for (const join of [...this.#polls.keys()]) this.join(join);
  }

  shut() {
    for (const join of [...this.#polls.keys()]) this.leave(join);
  }

  #next() {
    while (!this.over && this.#held < maxHeld && this.#queue.length > 0) this.#ask(this.#queue.shift());
  }

  // #wait returns how long the server may hold a request, in seconds. With more
  // bindings than requests it is shorter, so that each gets its turn.
  #wait() {
    const { pollWait } = this.settings;
    return this.#polls.size <= maxHeld ? pollWait : Math.min(pollWait, Math.max(1, Math.floor((pollWait * maxHeld) / this.#polls.size)));
  }

  async #ask(join) {
    const poll = this.#polls.get(join);
    const current = () => !this.over && this.#polls.get(join) === poll;
    const { fetch, now, setTimeout } = this.env;
    // The first poll is not held, to find out at once whether the rows are current.
    const wait = (poll.answered ? this.#wait() : 0) + poll.left.times(join.version, now());
    const url = this.#urlOf(join);
    url.searchParams.append("since", join.version || fromNothing);
    if (wait > 0) url.searchParams.append("wait", String(wait));
    const asked = now();
    // A shared cache may serve tabs with the same request one after the other, so allow
    // twice the wait.
    poll.timer = setTimeout(() => current() && this.fail(), 2_000 * wait + this.settings.openTimeout);
    this.#held++;
    let answer;
    let messages = null;
    let problem = null;
    try {
      answer = await fetch(String(url), this.request(poll.aborter.signal, { accept: "application/json" }));
      if (answer.ok) messages = await answer.json();
      else problem = await problemOf(answer);
    } catch {
      // The connection broke, or the binding was left.
    }
    this.#held--;
    this.env.clearTimeout(poll.timer);
    if (!current()) {
      this.#next();
      return;
    }
    if (problem) {
      this.leave(join); // the client joins it again later if that may help
      if (!this.openedAt && mayPass(problem.status)) this.fail();
      else this.events.refused(join, problem);
    } else if (!Array.isArray(messages)) {
      this.fail();
    } else {
      this.opened();
      const before = join.version;
      for (const message of messages) if (current()) this.events.message(this, message);
      if (join.version !== before) poll.left.add(before, answer.headers, now());
      const early = poll.answered && join.version === before && now() - asked < soon;
      poll.answered = true;
      if (current()) this.#again(join, poll, early);
    }
    this.#next();
  }

  // #again asks for the next changes, after a pause if the server does not hold
  // requests.
  #again(join, poll, early) {
    const ask = () => {
      this.#queue.push(join);
      this.#next();
    };
    if (early || this.#wait() === 0) poll.timer = this.env.setTimeout(ask, this.settings.pollInterval);
    else ask();
  }
}

// Left remembers the versions that a join has left, for as long as caches may keep the
// answers that led it away. When the rows become what they were, such an answer would
// lead round in a circle, without a request to the server. So each time a version is left
// its next request is held for a second longer: that is another address, and still the
// same for all clients.
class Left {
  #all = new Map(); // version → {times, until}, the one left last at the end

  times(version, now) {
    const known = this.#all.get(version);
    return known && known.until > now ? known.times : 0;
  }

  add(version, headers, now) {
    const age = /(?:^|[\s,])max-age=(\d+)/i.exec(headers.get("cache-control") ?? "");
    if (!version || !age || !(age[1] > 0)) return;
    const times = this.times(version, now) + 1;
    this.#all.delete(version);
    this.#all.set(version, { times, until: now + 1_000 * age[1] });
    for (const [old, { until }] of this.#all) {
      if (until > now && this.#all.size <= maxLeft) break;
      this.#all.delete(old);
    }
  }
}
