// The names of joins: a binding, or a member of a family.

import { alikeValues } from "./compare.js";

// nameOf returns the name by which an event stream asks for the join: the binding's
// name, followed for a member by the parameters as a URL query.
export function nameOf({ event, params }) {
  return params ? `${event}?${new URLSearchParams(texts(params))}` : event;
}

// sendable returns the parameters as JSON can carry them, or undefined for none. It
// leaves out undefined, null and empty lists.
export function sendable(params) {
  const plain = (value) => (typeof value === "bigint" ? String(value) : value);
  const given = Object.entries(params ?? {}).filter(([, value]) => value != null && !(Array.isArray(value) && value.length === 0));
  if (given.length === 0) return undefined;
  return Object.fromEntries(given.map(([name, value]) => [name, Array.isArray(value) ? value.map(plain) : plain(value)]));
}

// texts returns the parameters as pairs of name and text, several for a list. The order
// and duplicates in a list make no difference to the server.
export function texts(params) {
  return Object.keys(params).flatMap((name) => [...new Set([params[name]].flat().map(String))].sort().map((text) => [name, text]));
}

// alike reports whether the server may read the parameters as the same. To the server
// an empty text in an optional parameter counts as not given.
export function alike(a, b) {
  const [left, right] = [a, b].map((params) => texts(params).filter(([, text]) => text !== ""));
  const has = (pairs) => ([name, text]) => pairs.some(([n, t]) => n === name && alikeValues(text, t));
  return left.length === right.length && left.every(has(right)) && right.every(has(left));
}

// identity returns a text that identifies a join. Parameters arrive in URLs as text, so
// 42 and "42" are the same, and so are "a" and ["a"].
export function identity(event, params) {
  if (!params || Object.keys(params).length === 0) return event ?? "";
  return JSON.stringify([event, ...texts(params).sort(([a], [b]) => (a < b ? -1 : Number(a > b)))]);
}
