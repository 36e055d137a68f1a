// What the page looks like. Nothing here talks to the server.

const $ = (selector) => document.querySelector(selector);

// el makes an element; what is in props is set on it, and "data" and "aria" as
// attributes.
function el(tag, props = {}, ...children) {
  const { data = {}, aria = {}, ...rest } = props;
  const node = Object.assign(document.createElement(tag), rest);
  for (const [name, value] of Object.entries(data)) node.dataset[name] = value;
  for (const [name, value] of Object.entries(aria)) node.setAttribute(`aria-${name}`, value);
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
}

const initials = (name) => name.split(/\s+/).map((part) => part[0]).join("").slice(0, 2).toUpperCase();

const roles = { reader: "Reader", admin: "Admin", operator: "Operator of all boards" };

function only(name) {
  document.body.dataset.view = name;
  $("#sign-in").hidden = name !== "door";
  $("#app").hidden = name === "door";
  $("#board-view").hidden = name !== "board";
  $("#withdrawn").hidden = name !== "withdrawn";
}

// door shows who is signed in as nobody where to sign in, and why they have to.
export function door(notice) {
  only("door");
  document.body.dataset.tenant = "";
  $("#door-notice").hidden = !notice;
  $("#door-notice").textContent = notice ?? "";
  $("#sign-in-error").hidden = true;
  $("#name").focus();
}

door.form = $("#sign-in-form");

door.refuse = (message) => {
  $("#sign-in-error").textContent = message;
  $("#sign-in-error").hidden = false;
  $("#password").select();
};

door.busy = (busy) => {
  const button = $("#sign-in-form button");
  button.disabled = busy;
  button.textContent = busy ? "Signing in…" : "Sign in";
};

door.people = (people, choose) => {
  $("#demo").replaceChildren(...people.map(([name, fullName, company, role]) => el("li", {},
    el("button", { type: "button", data: { name, tenant: company.split(" ")[0].toLowerCase() }, onclick: () => choose(name) },
      el("span", { className: "avatar", textContent: initials(fullName), aria: { hidden: "true" } }),
      el("span", {}, el("b", { textContent: fullName }), el("small", { textContent: company ? `${company} · ${role}` : roles[role] })),
      el("code", { textContent: name })))));
};

// person shows who is signed in.
export function person(me) {
  document.body.dataset.tenant = me.tenant_id;
  document.body.dataset.role = me.role;
  $("#avatar").textContent = initials(me.full_name);
  $("#me-name").textContent = me.full_name;
  $("#me-role").textContent = roles[me.role];
}

// tenant shows whose board it is, as the rows tell.
export function tenant(me, projects) {
  const name = me.role === "operator" ? "All companies" : projects[0]?.tenant ?? "";
  $("#tenant").textContent = name;
  document.title = name ? `${name} – Workboard` : "Workboard";
}

export function withdrawn() {
  only("withdrawn");
  connection("closed");
}

export function board(me) {
  only("board");
  $("#read-only").hidden = me.role !== "reader";
  $("#people-section").hidden = me.role === "reader";
}

// clear takes away what was shown to somebody.
export function clear() {
  for (const id of ["#projects", "#columns", "#recent", "#people"]) $(id).replaceChildren();
  $("#project-name").textContent = "…";
  $("#tenant").textContent = "";
  document.title = "Workboard";
}

const states = { idle: "Connecting…", connecting: "Connecting…", waiting: "Connection lost, trying again", closed: "Not connected" };

export function connection(status, transport) {
  $("#connection").dataset.state = status;
  $("#connection").textContent = status === "live" ? `Live over ${transport === "sse" ? "SSE" : "WebSocket"}` : states[status];
}

// projects shows them with how far they have come, by company for who sees several.
export function projects(rows, shown, me, choose) {
  const companies = new Map();
  for (const p of rows) {
    if (!companies.has(p.tenant)) companies.set(p.tenant, []);
    companies.get(p.tenant).push(p);
    if (p.id === shown) $("#project-name").textContent = p.name;
  }
  const focused = document.activeElement?.dataset.project;
  $("#projects").replaceChildren(...[...companies].flatMap(([company, list]) => [
    me.role === "operator" ? el("h3", { textContent: company, data: { tenant: list[0].tenant_id } }) : null,
    el("ul", {}, ...list.map((p) => el("li", {}, projectButton(p, p.id === shown, choose)))),
  ]).filter(Boolean));
  if (focused) $(`[data-project="${focused}"]`)?.focus();
}

function projectButton(p, current, choose) {
  const bar = el("span", { className: "meter", aria: { hidden: "true" } }, el("i"));
  bar.firstChild.style.inlineSize = `${p.tasks ? Math.round(100 * p.done / p.tasks) : 0}%`;
  return el("button", { type: "button", data: { project: p.id, tenant: p.tenant_id }, aria: { current: String(current) }, onclick: () => choose(p.id) },
    el("span", { textContent: p.name }), el("small", { textContent: `${p.done} of ${p.tasks}` }), bar);
}

const columnNames = [["todo", "To do"], ["doing", "Doing"], ["done", "Done"]];

// columns shows the tasks of a project; those that are news are marked.
export function columns(tasks, me, actions, news) {
  const may = me.role !== "reader";
  const draft = $("#new-task")?.value ?? "";
  const typing = document.activeElement?.id === "new-task";
  $("#columns").replaceChildren(...columnNames.map(([state, name], at) => {
    const here = tasks.filter((t) => t.state === state);
    return el("section", { className: "column", data: { state }, aria: { label: name } },
      el("h2", {}, name, el("span", { className: "count", textContent: here.length })),
      el("ul", {}, ...here.map((t) => card(t, at, may, actions, news.has(t.id)))),
      here.length ? null : el("p", { className: "empty", textContent: "Nothing here" }),
      may && state === "todo" ? adding(actions, draft) : null);
  }));
  if (typing) $("#new-task")?.focus();
}

function card(t, at, may, actions, isNews) {
  const step = (by, sign, label) => {
    const to = columnNames[at + by];
    if (!to) return null;
    return el("button", { type: "button", className: `move ${label}`, textContent: sign, title: `Move to “${to[1]}”`,
      aria: { label: `Move “${t.title}” to ${to[1]}` }, onclick: () => actions.move(t, to[0]) });
  };
  return el("li", { className: isNews ? "card news" : "card", data: { id: t.id, tenant: t.tenant_id } },
    el("p", { textContent: t.title }),
    el("footer", {},
      t.assignee ? el("span", { className: "who", textContent: t.assignee }) : el("span", { className: "who nobody", textContent: "unassigned" }),
      may ? el("span", { className: "acts" }, step(-1, "←", "back"), step(1, "→", "on"),
        el("button", { type: "button", className: "remove", textContent: "×", title: "Delete", aria: { label: `Delete “${t.title}”` }, onclick: () => actions.remove(t) })) : null));
}

function adding(actions, draft) {
  const input = el("input", { id: "new-task", value: draft, maxLength: 120, placeholder: "Add a task", autocomplete: "off", required: true, aria: { label: "Title of a new task" } });
  return el("form", { className: "adding", onsubmit: (e) => {
    e.preventDefault();
    const title = input.value.trim();
    if (!title) return;
    input.value = "";
    actions.add(title).then((done) => { if (!done && $("#new-task")) $("#new-task").value = title; });
  } }, input, el("button", { type: "submit", textContent: "Add" }));
}

const words = { todo: "to do", doing: "doing", done: "done" };
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export function recent(rows, news) {
  $("#recent").replaceChildren(...rows.map((t) => el("li", { className: news.has(t.id) && news.size < rows.length ? "news" : "", data: { tenant: t.tenant_id } },
    el("span", { textContent: t.title }),
    el("small", {}, words[t.state], " · ", el("time", { dateTime: t.changed_at, textContent: clock.format(new Date(t.changed_at)) })))));
}

export function people(rows, me, suspend) {
  $("#people").replaceChildren(...rows.map((p) => el("li", { data: { person: p.name, tenant: p.tenant_id, suspended: p.suspended } },
    el("span", { className: "avatar", textContent: initials(p.full_name), aria: { hidden: "true" } }),
    el("span", {}, el("b", { textContent: p.full_name }), el("small", { textContent: p.suspended ? "Suspended" : roles[p.role] })),
    p.name === me.name ? el("small", { className: "you", textContent: "you" })
      : el("button", { type: "button", textContent: p.suspended ? "Restore" : "Suspend", aria: { label: `${p.suspended ? "Restore" : "Suspend"} ${p.full_name}` }, onclick: () => suspend(p) }))));
}

let toasting;

// toast says something for a few seconds.
export function toast(text) {
  const box = $("#toast");
  box.textContent = text;
  box.hidden = false;
  clearTimeout(toasting);
  toasting = setTimeout(() => { box.hidden = true; }, 6000);
}
