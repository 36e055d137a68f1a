// What stands above and beside the bindings: sums, sources, memory, tables, families.
import { $, el, facts, set } from "./dom.js";
import { bytes, count, member, ms, rate, span } from "./format.js";

const sum = (list, of) => list.reduce((n, x) => n + of(x), 0);

export function showTiles(st, history) {
  const wrong = st.bindings.filter((b) => b.state !== "live").length;
  const rates = st.bindings.map((b) => history.rate(b)).filter((r) => r !== undefined);
  const waiting = st.tables.map((t) => wait(t, history)).filter((w) => w !== undefined);
  facts($("#tiles"), [
    ["Bindings", wrong ? `${st.bindings.length - wrong} of ${st.bindings.length} live` : `${count(st.bindings.length)} live`],
    ["Rows", count(sum(st.bindings, (b) => b.rows))],
    ["Clients", count(sum(st.bindings, (b) => b.subscribers))],
    ["Changes/s", rate(rates.length ? sum(rates, (r) => r) : undefined)],
    ["Writers wait", waiting.length ? ms(Math.max(...waiting)) : "–", "the mean wait for the bindings, in the table where it is longest"],
    ["Delivered in", ms(delivery(st.transports)), "from the report of a change until it is written to a client: half of all were faster"],
    ["Answers 304", unchanged(st.transports, history), "of the answers to reads, those that sent nothing"],
    ["Memory", bytes(st.memory.total)],
  ]);
  $("#columns").classList.toggle("long", st.bindings.length > 10);
  $("#tiles").firstElementChild.classList.toggle("bad", wrong > 0);
  const p = st.process;
  set($("#process"), [p.host, `up ${span(p.uptime)}`, `${bytes(p.heap)} heap`, `${count(p.goroutines)} goroutines`, p.go].filter(Boolean).join(" · "));
}

// wait is the mean time that a writer waited of late, or ever.
function wait(t, history) {
  const old = history.before?.tables.find((o) => o.table === t.table);
  if (old && t.waits > old.waits) return (t.wait_seconds - old.wait_seconds) / (t.waits - old.waits);
  return t.waits ? t.wait_seconds / t.waits : undefined;
}

// delivery is the time within which half of the deliveries were made, by the transport
// where that took longest. A mean would be that of the slowest query.
function delivery(transports) {
  const halves = transports.filter((t) => t.delay.count).map((t) => t.delay.p50);
  return halves.length ? Math.max(...halves) : undefined;
}

// unchanged is the share of answers that were 304, among these and 200: of late, or ever.
function unchanged(transports, history) {
  const of = (list, status) => sum(list, (t) => (t.name === "rest" ? t.responses[status] ?? 0 : 0));
  const old = history.before?.transports ?? [];
  let same = of(transports, 304) - of(old, 304), sent = of(transports, 200) - of(old, 200);
  if (!history.before || same + sent <= 0) [same, sent] = [of(transports, 304), of(transports, 200)];
  return same + sent ? `${Math.round((100 * same) / (same + sent))} %` : "–";
}

// answers writes what a transport of single answers has done.
function answers(t) {
  const of = (test) => Object.entries(t.responses).reduce((n, [status, times]) => (test(Number(status)) ? n + times : n), 0);
  const failed = of((status) => status >= 500);
  return `${count(of((status) => status === 304))} of ${count(of(() => true))} answers were 304 · ${count(t.bodies)} ${t.bodies === 1 ? "body" : "bodies"} built` + (failed ? ` · ${count(failed)} failed` : "");
}

// fill keeps as many items as there are things, and updates each.
function fill(list, things, make, update) {
  while (list.children.length > things.length) list.lastElementChild.remove();
  things.forEach((x, i) => update(list.children[i] ?? list.appendChild(make()), x));
}

const item = () => el("li", {}, el("div", { class: "line" }, el("strong"), el("span", { class: "badge" })), el("p", { class: "soft" }), el("p", { class: "trouble" }));

function updateItem(li, { name, badge, state, text, error }) {
  const [line, soft, trouble] = li.children;
  set(line.firstChild, name);
  line.lastChild.hidden = !badge;
  set(line.lastChild, badge ?? "");
  line.lastChild.dataset.state = state ?? "";
  set(soft, text);
  trouble.hidden = !error;
  set(trouble, error ?? "");
}

export function showRail(st, history) {
  const since = (s) => span((Date.parse(st.now) - Date.parse(s.since)) / 1000);
  const sources = st.sources.map((s) => ({
    name: s.name, badge: s.watching ? "watching" : "not watching", state: s.watching ? "live" : "stale", error: s.error,
    text: `for ${since(s)} · ${count(s.reports)} ${s.reports === 1 ? "report" : "reports"} · first to tell of ${count(s.found)} ${s.found === 1 ? "change" : "changes"}` + (s.failures ? ` · lost sight ${count(s.failures)}×` : ""),
  }));
  const origins = (st.origins ?? []).map((o) => ({ // nodes whose bindings are followed
    name: o.name, badge: "followed", state: "",
    text: `${count(o.steps)} versions · ${count(o.syncs)} by all rows · ${count(o.mismatches)} unlike its own` + (o.failures ? ` · ${count(o.failures)} streams broke` : ""),
  }));
  fill($("#sources"), [...sources, ...origins], item, updateItem);
  fill($("#tables"), st.tables, item, (li, t) => {
    const old = history.before?.tables.find((o) => o.table === t.table);
    updateItem(li, {
      name: t.table, badge: t.troubled ? `${t.troubled} in trouble` : "", state: "stale",
      text: `${rate(history.change(t.reads, old?.reads))} reads/s · writers wait ${ms(wait(t, history))} · ${count(t.compared_found)} found by comparing` + (t.failures ? ` · ${count(t.failures)} reads failed` : ""),
    });
  });
  $("#families-sheet").hidden = !st.families.length;
  fill($("#families"), st.families, item, (li, f) => updateItem(li, {
    name: f.name, badge: `${f.alive} alive`, state: "",
    text: `by ${f.params.join(", ") || "scope"} · ${count(f.in_use)} in use of at most ${count(f.max)} · ${count(f.opened)} opened` + (f.evicted ? ` · ${count(f.evicted)} made room` : "") + (f.refused ? ` · ${count(f.refused)} refused` : ""),
  }));
  fill($("#transports"), st.transports, item, (li, t) => updateItem(li, {
    name: t.name, badge: `${count(t.open)} open`, state: "",
    text: (t.name === "rest" ? answers(t) : `${count(t.subscribers)} ${t.subscribers === 1 ? "subscription" : "subscriptions"} · ${count(t.resumed)} resumed, ${count(t.synced)} synced`) + (t.polling ? ` · ${count(t.polling)} poll` : "") +
      (t.delay.count ? ` · half within ${ms(t.delay.p50)}, 99 % within ${ms(t.delay.p99)}` : "") +
      (t.lagged ? ` · ${count(t.lagged)} merged for who lagged` : "") + (t.refused ? ` · ${count(t.refused)} refused` : "") + (t.dropped ? ` · ${count(t.dropped)} dropped` : ""),
  }));
  showMemory(st);
}

// showMemory has two lists: what it is kept for, and the largest bindings.
function showMemory(st) {
  const kinds = Object.entries(st.memory.bytes ?? {}).filter((k) => k[1] > 0).sort((a, b) => b[1] - a[1]);
  const largest = st.bindings.filter((b) => b.bytes).sort((a, b) => b.bytes - a.bytes).slice(0, 6);
  const box = $("#memory");
  if (!box.children.length) box.append(el("p", { class: "soft" }), el("h3", {}, "By binding"), el("ul", { class: "bars" }), el("h3", {}, "By kind"), el("ul", { class: "bars" }));
  const limit = st.memory.limit;
  set(box.children[0], (limit ? `${bytes(st.memory.total)} of ${bytes(limit)}` : `${bytes(st.memory.total)}, without a limit`) + (st.memory.refused ? ` · ${count(st.memory.refused)} refused` : ""));
  bars(box.children[2], largest.map((b) => [[b.name, member(b), b.scope].filter(Boolean).join(" · "), b.bytes]));
  bars(box.children[4], kinds);
}

function bars(list, pairs) {
  const top = Math.max(1, ...pairs.map((p) => p[1]));
  fill(list, pairs, () => el("li", {}, el("span"), el("span", { class: "num" }), el("i")), (li, [name, n]) => {
    set(li.children[0], name);
    set(li.children[1], bytes(n));
    li.children[2].style.inlineSize = `${Math.max(n ? 1 : 0, (n / top) * 100)}%`;
  });
}
