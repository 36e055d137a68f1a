// The link to the server: a stream of the status, or polls where no stream is to
// be had. Nothing is asked while nobody looks.

const pollEvery = 2000;
const streamAgain = 30_000;

export class Link {
  #stream;
  #timer;
  #take;
  #tell;

  // take gets each status, tell the state of the link: live, polling, away, refused.
  constructor(take, tell) {
    this.#take = take;
    this.#tell = tell;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#end() : this.#begin()));
    this.#begin();
  }

  #end() {
    this.#stream?.close();
    this.#stream = undefined;
    clearTimeout(this.#timer);
  }

  #begin() {
    this.#end();
    const stream = (this.#stream = new EventSource("api/stream"));
    stream.addEventListener("status", (e) => {
      this.#tell("live");
      this.#take(JSON.parse(e.data));
    });
    stream.onerror = () => {
      if (stream !== this.#stream) return;
      this.#tell("away");
      if (stream.readyState === EventSource.CLOSED) this.#poll(Date.now() + streamAgain);
    };
  }

  async #poll(until) {
    this.#end();
    const stream = this.#stream;
    try {
      const st = await request("api/status");
      if (document.hidden || this.#stream !== stream) return;
      this.#tell("polling");
      this.#take(st);
    } catch (e) {
      this.#tell(e.status === 401 ? "refused" : "away");
    }
    this.#timer = setTimeout(() => (Date.now() > until ? this.#begin() : this.#poll(until)), pollEvery);
  }
}

// request asks the API. What is refused is thrown, with the problem's words.
export async function request(path, method = "GET") {
  const res = await fetch(path, { method, credentials: "same-origin", headers: { Accept: "application/json" } });
  const body = await res.json().catch(() => ({}));
  if (res.ok) return body;
  const e = new Error(body.detail || body.title || `${res.status} ${res.statusText}`);
  e.status = res.status;
  throw e;
}

// operate carries out a verb and says in words what it did.
export async function operate(name, verb, query = "") {
  const done = await request(`api/bindings/${encodeURIComponent(name)}/${verb}${query ? "?" + query : ""}`, "POST");
  const n = done.bindings.length;
  const what = n === 1 ? "" : ` in ${n} bindings`;
  if (verb === "verify") {
    const { missing, extra, changed } = done.verify;
    if (missing + extra + changed === 0) return { text: `Nothing differs from the database${what}.`, kind: "good" };
    const keys = done.bindings.flatMap((b) => [...b.drift.missing_keys, ...b.drift.extra_keys, ...b.drift.changed_keys]).slice(0, 8);
    return { text: `${missing} missing, ${extra} extra, ${changed} changed${what}: mended. Keys: ${keys.join(", ")}`, kind: "bad" };
  }
  if (verb === "bump") return { text: done.bindings.some((b) => b.pending) ? "The date moves when the read under way ends." : "The date of the version is now.", kind: "good" };
  return { text: done[verb].changed ? `Read again: ${done[verb].changed} of ${n} had another content.` : `Read again: the content is the same${what}.`, kind: "good" };
}
