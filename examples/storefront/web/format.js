// How values look to people.

const money = new Intl.NumberFormat(undefined, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol" });
const count = new Intl.NumberFormat();
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "narrow" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

export const formatPrice = (price) => money.format(price);
export const formatCount = (n) => count.format(n);
export const formatMoment = (date) => moment.format(date);

// formatAge says how long ago it was; clocks that disagree never make it the
// future.
export function formatAge(date, now = Date.now()) {
  const seconds = Math.max(0, Math.floor((now - date) / 1000));
  if (seconds < 2) return "just now";
  if (seconds < 60) return relative.format(-seconds, "second");
  if (seconds < 3600) return relative.format(-Math.floor(seconds / 60), "minute");
  if (seconds < 86_400) return relative.format(-Math.floor(seconds / 3600), "hour");
  return day.format(date);
}

// formatToken shortens a version's token to what an eye can compare.
export const formatToken = (token) => (token.length > 11 ? `${token.slice(0, 5)}…${token.slice(-4)}` : token);

// parsePrice reads a price as people type it, with a point or a comma. It
// returns NaN for anything else than an amount with at most two decimals.
export function parsePrice(text) {
  const plain = text.trim().replace(",", ".");
  return /^\d{1,8}(\.\d{1,2})?$/.test(plain) ? Number(plain) : NaN;
}

// splitName takes "Artist – Album (LP)" apart into {album, credit}: the album,
// and who made it with what it comes as. What has no such form is all album.
export function splitName(name) {
  const dash = name.indexOf(" – ");
  const artist = dash < 0 ? "" : name.slice(0, dash);
  const title = dash < 0 ? name : name.slice(dash + 3);
  const [, album, format] = title.match(/^(.+) \(((?:LP|CD|Cassette)\b[^()]*)\)$/) ?? [null, title, ""];
  return { album, credit: [artist, format].filter(Boolean).join(" · ") };
}

// sleeveOf derives the look of a record's cover from its name, so that it is
// the same for everybody: {palette, pattern, format}. Pressings of one album
// share a cover.
export function sleeveOf(name) {
  let hash = 2166136261;
  const album = name.replace(/ \([^()]*\)$/, "");
  for (let i = 0; i < album.length; i++) hash = Math.imul(hash ^ album.charCodeAt(i), 16777619);
  hash = (hash ^ (hash >>> 15)) >>> 0;
  const format = /\(cassette/i.test(name) ? "tape" : /\(cd/i.test(name) ? "cd" : "lp";
  return { palette: hash % 8, pattern: (hash >>> 8) % 6, format };
}
