// Event streams: Server-Sent Events.

import { problemOf, mayPass } from "./errors.js";
import { EventStream } from "./eventstream.js";
import { HTTPLink } from "./httplink.js";
import { nameOf, texts } from "./names.js";

const maxStreamBindings = 50; // on one event stream; the server's default bound is 64
const maxStreamNames = 2_000; // characters of their names in its URL

// StreamLink puts several bindings on one event stream, because browsers allow six
// connections to a server over HTTP/1.
//
// EventSource would reconnect by itself, but without jitter, never to another
// transport, and not from the version that was applied. So the first break ends it, and
// the client opens the next.
export class StreamLink extends HTTPLink {
  kind = "sse";
  #url;
  #groups = new Set(); // of {joins, alone, source, timer}
  #aborter = new AbortController();

  constructor(url, options, env, events, joins, { headers }) {
    super(options, env, events, headers);
    this.#url = url;
    for (const join of joins.values()) this.join(join);
  }

  // join reopens the stream of the join's group, so that it names each join's version.
  join(join) {
    const group = this.#groupOf(join) ?? [...this.#groups].find((g) => this.#hasRoom(g, join)) ?? this.#newGroup();
    group.joins.add(join);
    this.#reopen(group);
    return true;
  }

  #newGroup(alone = false) {
    const group = { joins: new Set(), alone, source: null, timer: null };
    this.#groups.add(group);
    return group;
  }

  #hasRoom(group, join) {
    if (group.alone || group.joins.size >= maxStreamBindings) return false;
    return [...group.joins, join].reduce((sum, j) => sum + encodeURIComponent(nameOf(j)).length, 0) <= maxStreamNames;
  }

  leave(join) {
    const group = this.#groupOf(join);
    if (group) {
      group.joins.delete(join);
      this.#reopen(group);
    }
    return false;
  }

  // probe reopens the streams, because a stream cannot carry a question.
  probe() {
    for (const group of this.#groups) this.#reopen(group);
  }

  shut() {
    this.#aborter.abort();
    for (const group of this.#groups) this.#shut(group);
  }

  #groupOf(join) {
    return [...this.#groups].find((g) => g.joins.has(join));
  }

  #shut(group) {
    this.env.clearTimeout(group.timer);
    group.source?.close();
    group.source = null;
    for (const join of group.joins) join.held = [];
  }

  // #reopen waits for other joins and leaves of the same task.
  #reopen(group) {
    if (this.over) return;
    this.#shut(group);
    if (group.joins.size === 0) {
      this.#groups.delete(group);
      return;
    }
    group.timer = this.env.setTimeout(() => this.#open(group), 0);
  }

  #open(group) {
    let source;
    try {
      source = this.#newSource(this.#urlOf([...group.joins]));
    } catch {
      this.fail();
      return;
    }
    group.source = source;
    let opened = false;
    const wait = (delay, fn) => {
      this.env.clearTimeout(group.timer);
      group.timer = this.env.setTimeout(fn, delay);
    };
    // Heartbeats are comments, which EventSource hides. After a long silence only a new
    // stream tells whether the server is there.
    const listen = () => wait(2 * this.settings.quietTimeout, () => this.#reopen(group));
    wait(this.settings.openTimeout, () => this.fail());
    source.onheartbeat = () => group.source === source && listen();
    source.onopen = () => {
      if (group.source !== source) return;
      opened = true;
      listen();
      this.opened();
    };
    const receive = (e) => {
      if (group.source !== source) return;
      listen();
      this.events.message(this, e.data);
    };
    for (const action of ["sync", "create", "update", "delete"]) source.addEventListener(action, receive);
    source.addEventListener("error", (e) => {
      if (group.source !== source) return;
      // A message of the type "error" has data; a broken stream has none.
      if (typeof e.data === "string") receive(e);
      else if (!opened && source.readyState === 2) this.#refuse(group, source.problem);
      else this.fail();
    });
  }

  #newSource(url) {
    const { EventSource, fetch } = this.env;
    const { withCredentials } = this.settings;
    if (EventSource && Object.keys(this.headers).length === 0) return new EventSource(url, { withCredentials });
    return new EventStream(url, { fetch, headers: this.headers, withCredentials });
  }

  // #refuse handles a stream that did not begin. The problem is null if an EventSource
  // hides it.
  #refuse(group, problem) {
    if (!problem || (group.joins.size > 1 && !mayPass(problem.status))) this.#diagnose(group);
    else if (mayPass(problem.status)) this.fail();
    else {
      const [join] = group.joins;
      this.leave(join);
      this.events.refused(join, problem);
    }
  }

  #urlOf(joins) {
    const url = new URL(this.#url);
    const versions = joins.map((j) => j.version);
    if (joins.length === 1 && joins[0].params) {
      url.pathname += `/${encodeURIComponent(joins[0].event)}`;
      for (const [name, text] of texts(joins[0].params)) url.searchParams.append(name, text);
    } else {
      for (const join of joins) url.searchParams.append("event", nameOf(join));
    }
    if (versions.some(Boolean)) url.searchParams.set("version", versions.join("."));
    return String(url);
  }

  // #diagnose finds out why a stream was refused, which EventSource does not say, and
  // which of its bindings is the cause, if any.
  async #diagnose(group) {
    this.#shut(group);
    const { fetch } = this.env;
    group.timer = this.env.setTimeout(() => this.fail(), this.settings.openTimeout);
    const refused = [];
    let failing = false;
    try {
      const init = this.request(this.#aborter.signal);
      for (const join of [...group.joins]) {
        const url = this.#urlOf([join]);
        const head = await fetch(url, { ...init, method: "HEAD" });
        failing ||= mayPass(head.status);
        if (head.status < 400 || mayPass(head.status)) continue;
        const answer = await fetch(url, init);
        if (answer.ok) {
          await answer.body?.cancel(); // it is available now
          continue;
        }
        refused.push([join, await problemOf(answer, head.status)]);
      }
    } catch {
      failing = true; // as if the server were away
    }
    if (this.over) return;
    if (refused.length === 0) {
      if (failing || group.joins.size < 2) this.fail();
      else this.#split(group);
      return;
    }
    this.#reopen(group);
    for (const [join, problem] of refused) this.events.refused(join, problem);
  }

  // #split asks for each join separately, if they are refused together but not alone:
  // the server may read two of them as the same.
  #split(group) {
    this.#shut(group);
    this.#groups.delete(group);
    for (const join of group.joins) {
      const alone = this.#newGroup(true);
      alone.joins.add(join);
      this.#reopen(alone);
    }
  }
}
