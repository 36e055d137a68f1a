// The panels beside the table: the cheapest records, what has just changed, and
// the lines to try in a terminal.

import { formatField } from "./dialogs.js";
import { formatAge, formatCount, formatPrice, sleeveOf, splitName } from "./format.js";
import { changedFields, keyOf } from "./rows.js";

const newsKept = 7;

function element(tag, className, ...children) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children);
  return e;
}

function titles(name) {
  const { album, credit } = splitName(name);
  const e = element("span", "titles", element("span", "album", album), element("span", "artist", credit));
  e.title = name;
  return e;
}

// Chart shows a short binding as a numbered list. A row that climbs or falls
// glides to its new place.
export class Chart {
  #list;
  #items = new Map(); // key → element
  #onPick;

  constructor(list, onPick) {
    this.#list = list;
    this.#onPick = onPick;
  }

  draw(rows, { first, created, updated }) {
    const fresh = new Set(first ? [] : [...created, ...updated.map(([, after]) => after)].map(keyOf));
    const before = new Map([...this.#items].map(([key, item]) => [key, item.getBoundingClientRect().top]));
    const items = new Map();
    for (const row of rows.sorted()) {
      const key = keyOf(row);
      const item = this.#items.get(key) ?? document.createElement("li");
      const { palette, pattern, format } = sleeveOf(row.name);
      const sleeve = element("span", `sleeve palette-${palette} pattern-${pattern} ${format}`, element("i"));
      sleeve.ariaHidden = "true";
      const button = element("button", "pick", sleeve, titles(row.name), element("span", "price", formatPrice(row.price)));
      button.type = "button";
      button.addEventListener("click", () => this.#onPick(key));
      const focused = item.contains(document.activeElement);
      item.replaceChildren(button);
      if (focused) button.focus();
      items.set(key, item);
    }
    this.#items = items;
    this.#list.replaceChildren(...items.values());
    if (first || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    for (const [key, item] of items) {
      const from = before.get(key);
      const moved = from === undefined ? 0 : from - item.getBoundingClientRect().top;
      if (moved !== 0) {
        item.animate([{ transform: `translateY(${moved}px)` }, { transform: "none" }], { duration: 350, easing: "ease-out" });
      }
      if (fresh.has(key)) {
        item.firstElementChild.animate([{ backgroundColor: "var(--flash)" }, {}], { duration: 2_000, easing: "ease-out" });
      }
    }
  }
}

// drawVenues fills a table with what each venue has on sale.
export function drawVenues(body, rows, { first, created, updated }) {
  const fresh = new Set(first ? [] : [...created, ...updated.map(([, after]) => after)].map((row) => row.venue));
  body.replaceChildren(
    ...rows.sorted().map((row) => {
      const name = element("th", "", row.venue);
      name.scope = "row";
      const prices = `${formatPrice(row.min_price)} – ${formatPrice(row.max_price)}`;
      return element("tr", "", name, element("td", "", formatCount(row.products)), element("td", "", prices));
    }),
  );
  for (const [i, row] of rows.sorted().entries()) {
    if (fresh.has(row.venue)) {
      body.rows[i].animate([{ backgroundColor: "var(--flash)" }, {}], { duration: 2_000, easing: "ease-out" });
    }
  }
}

// News lists the latest changes of rows, the latest first.
export class News {
  #list;
  #onPick;
  #quiet = true;

  constructor(list, onPick) {
    this.#list = list;
    this.#onPick = onPick;
    setInterval(() => this.#tellAges(), 1_000);
  }

  add({ first, created, updated, deleted }) {
    if (first) return;
    const items = [
      ...deleted.map((row) => ["deleted", row, "left"]),
      ...created.map((row) => ["created", row, "came in"]),
      ...updated.map(([before, after]) => ["updated", after, differences(before, after)]),
    ];
    if (items.length === 0) return;
    if (this.#quiet) this.#list.replaceChildren();
    this.#quiet = false;
    // Of a large batch the list can show a few; it says how many there were.
    const shown = items.slice(0, newsKept - 1);
    if (items.length > shown.length) {
      this.#prepend(element("li", "more", `and ${items.length - shown.length} more in the same version`));
    }
    for (const [kind, row, what] of shown.reverse()) {
      const time = element("time", "");
      time.dateTime = new Date().toISOString();
      time.textContent = "just now";
      const button = element("button", "pick", titles(row.name), element("span", "what", what), time);
      button.type = "button";
      button.disabled = kind === "deleted";
      button.addEventListener("click", () => this.#onPick(keyOf(row)));
      this.#prepend(element("li", kind, button));
    }
  }

  #prepend(item) {
    this.#list.prepend(item);
    while (this.#list.childElementCount > newsKept) this.#list.lastElementChild.remove();
  }

  #tellAges() {
    for (const time of this.#list.querySelectorAll("time")) {
      const text = formatAge(Date.parse(time.dateTime));
      if (time.textContent !== text) time.textContent = text;
    }
  }
}

function differences(before, after) {
  const parts = [];
  for (const field of changedFields(before, after)) {
    if (field === "updated_at") continue;
    if (field === "name") parts.push("renamed");
    else if (field === "active") parts.push(after.active ? "on sale" : "off sale");
    else parts.push(`${formatField(field, before[field])} → ${formatField(field, after[field])}`);
  }
  return parts.join(", ") || "written again";
}

// drawLines fills the list of things to try; the lines name this server, a
// product that exists, and the version that the page holds.
export function drawLines(list, { version, id }) {
  const origin = location.origin;
  const lines = [
    [
      "Ask with the version that this page holds. The answer is 304, until something changes.",
      `curl -i -H 'If-None-Match: "${version}"' '${origin}/api/products'`,
    ],
    ["Change a price, and watch it arrive here.", patchLine(origin, id)],
    ["Follow the shop in a terminal, from this version on.", `curl -N '${origin}/events/products?version=${version}'`],
    ["Write past the server, in sqlite3 or psql. It shows all the same.", `UPDATE products SET price = price + 1 WHERE id = ${id};`],
  ];
  if (list.childElementCount === 0) {
    for (const [what] of lines) {
      const copy = element("button", "copy", "Copy");
      copy.type = "button";
      copy.ariaLabel = `Copy: ${what}`;
      const code = element("code", "");
      list.append(element("li", "", element("p", "", what), element("div", "line", code, copy)));
    }
  }
  for (const [i, code] of [...list.querySelectorAll("code")].entries()) {
    if (code.textContent !== lines[i][1]) code.textContent = lines[i][1];
  }
}

const patchLine = (origin, id) =>
  `curl -X PATCH -H 'Content-Type: application/json' -d '{"price": 4.50}' '${origin}/api/products/${id}'`;
