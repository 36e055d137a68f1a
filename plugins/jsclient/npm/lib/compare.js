// Comparison of values: in the order of the server, and whether the server may read two
// spellings as the same value.

const decimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const instant = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/;

export const isDecimal = (v) => typeof v === "string" && decimal.test(v);

const ranks = { boolean: 0, number: 1, bigint: 1, string: 2, object: 3 };

export function compareValues(a, b) {
  if (typeof a !== typeof b) return ranks[typeof a] - ranks[typeof b] || (a < b ? -1 : a > b ? 1 : 0);
  if (typeof a === "string") return compareTexts(a, b);
  if (typeof a === "object") return compareTexts(JSON.stringify(a), JSON.stringify(b));
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareTexts(a, b) {
  if (a === b) return 0;
  const ta = instant.exec(a);
  const tb = ta && instant.exec(b);
  if (tb) {
    const d = Date.parse(ta[1] + ta[3]) - Date.parse(tb[1] + tb[3]);
    if (d !== 0) return d;
    // A Date has milliseconds; the server has more digits.
    const digits = Math.max(ta[2]?.length ?? 0, tb[2]?.length ?? 0);
    const fa = (ta[2] ?? "").padEnd(digits, "0");
    const fb = (tb[2] ?? "").padEnd(digits, "0");
    if (fa !== fb) return fa < fb ? -1 : 1;
  }
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return codePointRank(x) - codePointRank(y);
  }
  return a.length - b.length;
}

// Surrogates stand for the highest code points, but UTF-16 units sort them lower.
const codePointRank = (unit) => (unit >= 0xe000 ? unit - 0x800 : unit >= 0xd800 ? unit + 0x2000 : unit);

// compareDecimals compares exactly, even where floats would round.
export function compareDecimals(a, b) {
  const d = Number(a) - Number(b);
  if (d !== 0 && !Number.isNaN(d)) return d;
  const [x, y] = [parts(a), parts(b)];
  if (!x || !y) return 0;
  const scale = Math.max(x.fraction.length, y.fraction.length);
  const int = (p) => BigInt((p.whole || "0") + p.fraction.padEnd(scale, "0")) * p.sign;
  const [m, n] = [int(x), int(y)];
  return m < n ? -1 : m > n ? 1 : 0;
}

function parts(text) {
  const m = /^([+-]?)(\d*)\.?(\d*)$/.exec(text); // exponents are left to floats
  return m && { sign: m[1] === "-" ? -1n : 1n, whole: m[2], fraction: m[3] };
}

// alikeValues reports whether a server may read the two texts as one value.
export function alikeValues(a, b) {
  if (a === b) return true;
  if (decimal.test(a) && decimal.test(b)) return compareDecimals(a, b) === 0;
  const time = Date.parse(a);
  return instant.test(a) && instant.test(b) && time === Date.parse(b);
}
