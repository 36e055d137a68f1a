// One binding: its facts, what can be done with it, and why a row is in or not.
import { $, el, facts, set, show } from "./dom.js";
import { bytes, count, idOf, member, query, rate, span } from "./format.js";
import { draw } from "./history.js";
import { operate, request } from "./link.js";

let id; // of the binding that is shown
let binding;
let asked = 0; // answers to earlier questions are dropped

export function openDetail(which, st, history) {
  id = which;
  asked++;
  $("#explanation").replaceChildren();
  show($("#verb-result"), "");
  $("#key").value = "";
  showDetail(st, history);
  $("#detail").showModal();
}

export function showDetail(st, history) {
  if (!id) return;
  const now = st.bindings.find((b) => idOf(b) === id);
  if (!now) { // a member that has retired
    if (binding) show($("#detail-error"), "This member is not alive any more.");
    return;
  }
  const b = (binding = now);
  set($("#detail-name"), [b.name, member(b)].filter(Boolean).join(" · "));
  show($("#detail-error"), b.error ?? "");
  draw($("#detail-spark"), history.line(b), "changes in the last minute");
  facts($("#detail-facts"), [
    ["State", `${b.state} for ${span((Date.parse(st.now) - Date.parse(b.since)) / 1000)}`],
    ["Rows", `${count(b.rows)} · ${bytes(b.bytes)}`],
    ["Changes", `${rate(history.rate(b))}/s · ${count(b.events)} so far`],
    ["Changed", b.age === undefined ? "–" : `${span(b.age)} ago`, b.modified],
    ["Clients", count(b.subscribers)],
    ["For those who lag", `${count(b.merges)} merges · ${count(b.syncs)} syncs`],
    ["Table", b.table],
    ["Version", b.version || "–"],
    ...(b.scope ? [["Scope", b.scope]] : []),
  ]);
  showTrouble(b);
}

function showTrouble(b) {
  const box = $("#detail-trouble");
  const text = JSON.stringify([b.troubled, b.trouble]);
  if (box.dataset.shown === text) return;
  box.dataset.shown = text;
  box.replaceChildren();
  if (!b.troubled) return;
  box.append(el("h3", {}, `Rows that cannot be shown: ${count(b.troubled)}`),
    el("ul", { class: "reasons" }, ...b.trouble.map((t) => el("li", { "data-holds": "false" }, el("div", {}, el("code", {}, t.key), el("p", { class: "soft" }, t.reason))))));
}

// words puts a reason in words.
function words(r) {
  if (r.filter) return [r.filter, r.value === undefined ? "" : `the row has ${JSON.stringify(r.value)}`];
  if (r.limit) return [`among the first ${r.limit}`, r.holds ? "" : "others come before it"];
  if (r.row) return [{ present: "the database has the row", absent: "the database has no such row", unreadable: "the row cannot be read" }[r.row] ?? r.row, ""];
  return [`the binding is ${r.binding}`, ""];
}

async function explain() {
  const mine = ++asked, key = $("#key").value.trim(), box = $("#explanation");
  if (!key || !binding) return;
  try {
    const ex = await request(`api/bindings/${encodeURIComponent(binding.name)}/explain?${query(binding, { key })}`);
    if (mine !== asked) return;
    box.replaceChildren(
      el("p", { class: "verdict", "data-in": String(ex.in) }, ex.in ? `Row ${key} is in.` : `Row ${key} is not in.`),
      el("ul", { class: "reasons" }, ...ex.why.map((r) => {
        const [what, value] = words(r);
        return el("li", { "data-holds": String(r.holds) }, el("div", {}, el("code", {}, what), el("p", { class: "soft" }, [value, r.detail].filter(Boolean).join(" · "))));
      })),
      el("p", { class: "soft" }, `Seen by ${ex.sources.map((s) => s.name + (s.watching ? "" : " (not watching)")).join(", ") || "no source"}.`));
  } catch (e) {
    if (mine === asked) box.replaceChildren(el("p", { class: "trouble" }, e.message));
  }
}

export function wireDetail() {
  const dialog = $("#detail");
  $("#close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (e) => e.target === dialog && dialog.close()); // beside it
  dialog.addEventListener("close", () => { id = binding = undefined; });
  $("#explain").addEventListener("submit", (e) => {
    e.preventDefault();
    explain();
  });
  for (const button of dialog.querySelectorAll("[data-verb]")) button.addEventListener("click", () => run(button, $("#verb-result"), () => operate(binding.name, button.dataset.verb, query(binding))));
}

// run carries out an operation that a button stands for, once at a time.
export async function run(button, result, operation) {
  button.disabled = true;
  show(result, `${button.textContent} …`);
  try {
    const { text, kind } = await operation();
    show(result, text, kind);
  } catch (e) {
    show(result, e.message, "bad");
  }
  button.disabled = false;
}
