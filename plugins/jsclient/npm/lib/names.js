// The names of what is joined: a binding, or a member of a family.

import { alikeValues } from "./compare.js";

// nameOf returns how an event stream is asked for the join: by the binding's
// name, followed by the parameters of a member as the query of a URL.
export function nameOf({ event, params }) {
  return params ? `${event}?${new URLSearchParams(Object.entries(params).map(([k, v]) => [k, String(v)]))}` : event;
}

// sendable returns parameters as JSON can carry them, undefined for none.
export function sendable(params) {
  const given = Object.entries(params ?? {}).filter(([, value]) => value !== undefined);
  if (given.length === 0) return undefined;
  return Object.fromEntries(given.map(([name, value]) => [name, typeof value === "bigint" ? String(value) : value]));
}

// alike reports whether a server may take the parameters for the same.
export function alike(a, b) {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => name in b && alikeValues(String(a[name]), String(b[name])));
}

// identity tells joins apart. Parameters arrive in URLs as text, so 42 and "42"
// are the same.
export function identity(event, params) {
  if (!params || Object.keys(params).length === 0) return event ?? "";
  return JSON.stringify([event, ...Object.keys(params).sort().map((k) => [k, String(params[k])])]);
}
