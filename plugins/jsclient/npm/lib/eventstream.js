// An event stream over fetch. EventSource cannot send headers, does not say why it was
// refused, and is missing in Node.

import { problemOf } from "./errors.js";

// A proxy's page or a login form: the server itself may answer the next time.
const notStream = { type: "about:blank", title: "Not an event stream", status: 502 };

const maxLength = 64 << 20; // characters of one event

/** Behaves like an EventSource that never reconnects, as far as a stream link uses it. */
export class EventStream extends EventTarget {
  readyState = 0; // 0 opening, 1 open, 2 refused or closed
  onopen = null;
  onheartbeat = null; // called for all bytes, including comments
  problem = null; // why it was refused
  #aborter = new AbortController();

  constructor(url, { fetch, headers = {}, withCredentials = false }) {
    super();
    this.#read(url, fetch, headers, withCredentials);
  }

  close() {
    this.readyState = 2;
    this.#aborter.abort();
  }

  async #read(url, fetch, headers, withCredentials) {
    try {
      const answer = await fetch(url, {
        headers: { ...headers, accept: "text/event-stream" },
        credentials: withCredentials ? "include" : "same-origin",
        cache: "no-store",
        signal: this.#aborter.signal,
      });
      if (this.readyState === 2) return;
      const streams = /^text\/event-stream\b/i.test(answer.headers.get("content-type") ?? "");
      if (!answer.ok || !streams) {
        this.problem = answer.ok ? notStream : await problemOf(answer);
        this.#fail(2);
        return;
      }
      this.readyState = 1;
      this.onopen?.();
      const parser = new Parser((type, data) => this.readyState === 1 && this.dispatchEvent(new MessageEvent(type, { data })));
      const decoder = new TextDecoder();
      const reader = answer.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done || this.readyState === 2) break;
        this.onheartbeat?.();
        parser.feed(decoder.decode(value, { stream: true }));
      }
    } catch {
      // The connection broke, or close was called.
    }
    this.#fail(0);
  }

  #fail(state) {
    if (this.readyState === 2) return;
    this.#aborter.abort();
    this.readyState = state;
    this.dispatchEvent(new Event("error"));
  }
}

/** Parses an event stream (HTML, section 9.2.6). It ignores ids and retries. */
export class Parser {
  #emit;
  #rest = ""; // of an incomplete line
  #type = "";
  #data = null; // lines
  #length = 0; // of #data
  #afterCR = false; // the last chunk ended in CR: an LF that follows belongs to it
  #first = true;

  constructor(emit) {
    this.#emit = emit;
  }

  feed(text) {
    if (text === "") return;
    if (this.#first && text.startsWith("\ufeff")) text = text.slice(1);
    this.#first = false;
    if (this.#afterCR && text.startsWith("\n")) text = text.slice(1);
    if (text === "") {
      this.#afterCR = false;
      return;
    }
    this.#afterCR = text.endsWith("\r");
    const lines = (this.#rest + text).split(/\r\n|\n|\r/);
    this.#rest = lines.pop();
    if (this.#rest.length + this.#length > maxLength) throw new RangeError("bindery: an event that is too long");
    for (const line of lines) this.#line(line);
  }

  #line(line) {
    if (line === "") {
      const [type, data] = [this.#type || "message", this.#data];
      [this.#type, this.#data, this.#length] = ["", null, 0];
      if (data) this.#emit(type, data.join("\n"));
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "event") this.#type = value;
    if (field === "data") {
      (this.#data ??= []).push(value);
      this.#length += value.length;
    }
  }
}
