const whole = new Intl.NumberFormat("en");

export const count = (n) => whole.format(n ?? 0);

export function bytes(n) {
  let unit = 0;
  for (; n >= 1024 && unit < 4; unit++) n /= 1024;
  return `${unit && n < 100 ? n.toFixed(1) : Math.round(n)} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}

export const rate = (n) => (n === undefined ? "–" : n === 0 ? "0" : n < 10 ? n.toFixed(1) : count(Math.round(n)));

// span writes a number of seconds with its largest unit, or two where that says more.
export function span(s) {
  if (s === undefined || s === null) return "–";
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export const ms = (s) => (s === undefined ? "–" : s < 0.01 ? `${(s * 1000).toFixed(1)} ms` : s < 1 ? `${Math.round(s * 1000)} ms` : `${s.toFixed(1)} s`);

// idOf tells bindings apart: members by their parameters and scope.
export const idOf = (b) => JSON.stringify([b.name, b.params ?? null, b.scope ?? ""]);

// member writes what tells a member from others of its name.
export const member = (b) => Object.entries(b.params ?? {}).map(([k, v]) => `${k}=${v}`).join(" & ");

// query selects exactly this binding in the API.
export function query(b, more = {}) {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(b.params ?? {})) q.set(k, v);
  if (!("scope" in (b.params ?? {}))) q.set("scope", b.scope ?? "");
  for (const [k, v] of Object.entries(more)) q.set(k, v);
  return q;
}
