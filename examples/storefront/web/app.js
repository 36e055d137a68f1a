// The shop's page: joins the bindings and hands what they bring to the parts of
// the page that show it.

import * as api from "./api.js";
import { addRecord } from "./dialogs.js";
import { formatAge, formatMoment, formatToken } from "./format.js";
import { Live } from "./live.js";
import { Chart, drawLines, drawVenues, News } from "./panels.js";
import { keyOf, Rows } from "./rows.js";
import { Table } from "./table.js";
import { Thread } from "./thread.js";

const $ = (selector) => document.querySelector(selector);
const transportNames = { websocket: "WebSocket", sse: "Server-Sent Events" };
const announceEvery = 5_000; // milliseconds between two sentences to a screen reader

// Others come while they are shown.
const bindings = { products: new Rows(), cheapest: new Rows(), venues: new Rows((row) => row.venue) };
const permanent = Object.keys(bindings);
let view = "products";
let connection = { state: "connecting", transport: "websocket" };

const table = new Table({ report });
const thread = new Thread($("#thread"));
const chart = new Chart($("#cheapest"), reveal);
const news = new News($("#news"), reveal);
const live = new Live({
  onState: (state) => {
    connection = state;
    drawConnection();
  },
});

function follow(name, show) {
  const rows = bindings[name];
  live.join(name, {
    onBatch: (batch) => {
      const total = rows.changes;
      const change = rows.apply(batch);
      show(rows, change, rows.changes > total);
    },
    onError: (problem) => report(new api.Problem(problem.status, `${name}: ${problem.title}`, problem.detail)),
  });
}

function showInTable(name) {
  return (rows, change, isNewVersion) => {
    if (isNewVersion) thread.add(name, change);
    if (name !== view) return;
    table.changed(change);
    news.add(change);
    if (isNewVersion) announce(change);
    drawVersion();
  };
}

follow("products", (rows, change, isNewVersion) => {
  showInTable("products")(rows, change, isNewVersion);
  const sample = rows.sorted()[0];
  drawLines($("#try"), { version: rows.version, id: sample ? keyOf(sample) : 1 });
});
follow("cheapest", (rows, change) => chart.draw(rows, change));
follow("venues", (rows, change) => drawVenues($("#venues tbody"), rows, change));
turnTo("products");
live.connect();

// turnTo shows another binding in the table, or the member of a family, which
// is named as in "shelf?venue=store". What nothing else on the page needs is
// joined only while somebody looks at it.
function turnTo(name) {
  if (name !== view && !permanent.includes(view)) {
    live.leave(view);
    thread.forget(view);
    delete bindings[view];
  }
  const joining = !bindings[name];
  if (joining) bindings[name] = new Rows();
  view = name;
  for (const button of document.querySelectorAll("[data-view]")) button.ariaPressed = String(button.dataset.view === name);
  $("#version-of").textContent = name;
  thread.show(name);
  table.show(bindings[name]);
  drawVersion();
  if (joining) follow(name, showInTable(name));
}

for (const button of document.querySelectorAll("[data-view]")) {
  button.addEventListener("click", () => button.dataset.view !== view && turnTo(button.dataset.view));
}

function reveal(key) {
  if (!table.reveal(key)) toast("That record is not in the binding that is shown any more.");
}

// The connection and the version.

function drawConnection() {
  const { state, transport } = connection;
  const texts = {
    connecting: "Connecting…",
    live: "Live",
    waiting: "Offline, trying again",
  };
  $("#connection").dataset.state = state;
  document.body.dataset.connection = state;
  const text = $("#connection-text");
  if (text.textContent !== texts[state]) text.textContent = texts[state];
  $("#retry").hidden = state !== "waiting";
  for (const button of document.querySelectorAll("[data-transport]")) {
    button.ariaPressed = String(button.dataset.transport === transport);
    button.title = `Connect over ${transportNames[button.dataset.transport]}`;
  }
}

function drawVersion() {
  const rows = bindings[view];
  const button = $("#version");
  button.disabled = !rows.loaded;
  const text = rows.loaded ? formatToken(rows.version) : "none yet";
  if (button.textContent !== text) {
    button.textContent = text;
    button.title = rows.version;
    button.ariaLabel = rows.loaded ? `Version ${rows.version}. Copy it.` : "No version yet";
    if (rows.changes > 0) button.animate([{ color: "var(--mast-thread)" }, {}], { duration: 1_200 });
  }
  drawChanged();
}

function drawChanged() {
  const { lastModified } = bindings[view];
  const time = $("#changed");
  time.textContent = lastModified ? formatAge(lastModified) : "–";
  if (lastModified) {
    time.dateTime = lastModified.toISOString();
    time.title = formatMoment(lastModified);
  }
}

setInterval(drawChanged, 1_000);

$("#retry").addEventListener("click", () => live.retryNow());
for (const button of document.querySelectorAll("[data-transport]")) {
  button.addEventListener("click", () => live.prefer(button.dataset.transport));
}

// Words to the user.

function toast(title, detail = "") {
  const item = document.createElement("div");
  item.className = "toast";
  const text = document.createElement("p");
  const head = document.createElement("strong");
  head.textContent = title;
  text.append(head, detail ? ` ${detail}` : "");
  const close = document.createElement("button");
  close.type = "button";
  close.ariaLabel = "Dismiss";
  close.textContent = "×";
  close.addEventListener("click", () => item.remove());
  item.append(text, close);
  $("#toasts").append(item);
  while ($("#toasts").childElementCount > 3) $("#toasts").firstElementChild.remove();
  setTimeout(() => item.remove(), 9_000);
}

function report(problem) {
  if (!(problem instanceof api.Problem)) {
    console.error(problem);
    return toast("Something went wrong in this page.", String(problem));
  }
  const fields = Object.entries(problem.fields).map(([field, detail]) => `${field} ${detail}`);
  toast(problem.title, [problem.detail, ...fields].filter(Boolean).join(" · "));
}

const unheard = { created: 0, updated: 0, deleted: 0 };
let announceTimer = 0;

// announce tells a screen reader what changed, in one sentence every few
// seconds at most.
function announce(change) {
  for (const kind of Object.keys(unheard)) unheard[kind] += change[kind].length;
  announceTimer ||= setTimeout(() => {
    announceTimer = 0;
    const parts = Object.entries(unheard)
      .filter(([, n]) => n > 0)
      .map(([kind, n]) => `${n} ${kind}`);
    for (const kind of Object.keys(unheard)) unheard[kind] = 0;
    $("#announcer").textContent = parts.length > 0 ? `Records: ${parts.join(", ")}.` : "";
  }, announceEvery);
}

// Adding, copying, keys.

$("#add").addEventListener("click", () =>
  addRecord(async (fields) => {
    const row = await api.create(fields);
    toast(`${row.name} is in the shop.`, `It has number ${row.id}.`);
  }),
);

async function copy(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Browsers keep the clipboard from pages without TLS, other than loopback.
    button.textContent = "Press Ctrl+C";
    const code = button.parentElement.querySelector("code") ?? button;
    getSelection().selectAllChildren(code);
  }
  setTimeout(() => (button.textContent = button === $("#version") ? formatToken(bindings[view].version) : label), 1_500);
}

$("#version").addEventListener("click", () => copy(bindings[view].version, $("#version")));
document.addEventListener("click", (e) => {
  const button = e.target.closest(".copy");
  if (button && button.textContent === "Copy") copy(button.parentElement.querySelector("code").textContent, button);
});
document.addEventListener("keydown", (e) => {
  if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.target.closest("input, select, textarea, dialog")) return;
  e.preventDefault();
  $("#search").focus();
});
