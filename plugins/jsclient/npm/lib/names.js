// The names of what is joined: a binding, or a member of a family.

import { alikeValues } from "./compare.js";

// nameOf returns how an event stream is asked for the join: by the binding's
// name, followed by the parameters of a member as the query of a URL.
export function nameOf({ event, params }) {
  return params ? `${event}?${new URLSearchParams(texts(params))}` : event;
}

// sendable returns parameters as JSON can carry them, undefined for none. What is
// undefined, null or an empty list is not given.
export function sendable(params) {
  const plain = (value) => (typeof value === "bigint" ? String(value) : value);
  const given = Object.entries(params ?? {}).filter(([, value]) => value != null && !(Array.isArray(value) && value.length === 0));
  if (given.length === 0) return undefined;
  return Object.fromEntries(given.map(([name, value]) => [name, Array.isArray(value) ? value.map(plain) : plain(value)]));
}

// texts returns the parameters as pairs of name and text, several for a list: the
// order in a list, and what is in it twice, makes no difference to the server.
export function texts(params) {
  return Object.keys(params).flatMap((name) => [...new Set([params[name]].flat().map(String))].sort().map((text) => [name, text]));
}

// alike reports whether a server may take the parameters for the same. To it an
// optional parameter that is the empty text is not given.
export function alike(a, b) {
  const [left, right] = [a, b].map((params) => texts(params).filter(([, text]) => text !== ""));
  const has = (pairs) => ([name, text]) => pairs.some(([n, t]) => n === name && alikeValues(text, t));
  return left.length === right.length && left.every(has(right)) && right.every(has(left));
}

// identity tells joins apart. Parameters arrive in URLs as text, so 42 and "42"
// are the same, and so are "a" and ["a"].
export function identity(event, params) {
  if (!params || Object.keys(params).length === 0) return event ?? "";
  return JSON.stringify([event, ...texts(params).sort(([a], [b]) => (a < b ? -1 : Number(a > b)))]);
}
