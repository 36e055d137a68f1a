// The table of bindings. Lines are kept and changed in place.
import { $, el, set } from "./dom.js";
import { bytes, count, idOf, member, rate, span } from "./format.js";
import { draw } from "./history.js";

const most = 200; // lines: a family may have thousands of members
const lines = new Map();

export function showBindings(st, history, open) {
  const wanted = $("#search").value.trim().toLowerCase();
  const found = st.bindings.filter((b) => `${b.name} ${member(b)} ${b.scope ?? ""}`.toLowerCase().includes(wanted));
  // What is not well comes first where not all can be shown.
  if (found.length > most) found.sort((a, b) => (a.state === "live") - (b.state === "live") || b.events - a.events);
  const shown = found.slice(0, most), ids = new Set(shown.map(idOf));
  for (const [id, line] of lines) {
    if (!ids.has(id)) {
      line.remove();
      lines.delete(id);
    }
  }
  const body = $("#bindings");
  shown.forEach((b, i) => {
    const id = idOf(b);
    let line = lines.get(id);
    if (!line) lines.set(id, (line = newLine(id, open)));
    if (body.children[i] !== line) body.insertBefore(line, body.children[i] ?? null);
    update(line, b, history);
  });
  const more = $("#more");
  more.hidden = found.length > 0 && found.length <= most;
  set(more, found.length ? `${count(found.length - most)} more: find them by name.` : wanted ? "No binding has that in its name." : "There are no bindings.");
}

function newLine(id, open) {
  const spark = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  spark.setAttribute("class", "spark");
  spark.setAttribute("role", "img");
  spark.setAttribute("preserveAspectRatio", "none");
  const name = el("button", { type: "button", class: "open" });
  const cell = (label, kind) => el("td", { class: kind, "data-label": label });
  const line = el("tr", {},
    el("td", { class: "name" }, name, el("span", { class: "member" })),
    el("td", { class: "state" }, el("span", { class: "badge" }), el("span", { class: "flag" })),
    cell("Rows", "num"), cell("Size", "num"), cell("Clients", "num"), cell("Changes/s", "num"),
    el("td", { class: "minute" }, spark),
    cell("Changed", "num"));
  line.addEventListener("click", () => open(id));
  return line;
}

function update(line, b, history) {
  const [name, state, rows, size, clients, changes, minute, changed] = line.children;
  set(name.firstChild, b.name);
  set(name.lastChild, [member(b), b.scope && `where ${b.scope}`].filter(Boolean).join(" · ") || b.table);
  set(state.firstChild, b.state);
  state.firstChild.dataset.state = b.state;
  set(state.lastChild, b.troubled ? `${count(b.troubled)} ${b.troubled === 1 ? "row" : "rows"} in trouble` : "");
  line.title = b.error ?? "";
  set(rows, count(b.rows));
  set(size, bytes(b.bytes));
  set(clients, count(b.subscribers));
  set(changes, rate(history.rate(b)));
  draw(minute.firstChild, history.line(b), `changes of ${b.name} in the last minute`);
  set(changed, b.age === undefined ? "–" : `${span(b.age)} ago`);
}
