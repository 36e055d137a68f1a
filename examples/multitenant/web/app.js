// The page's doings: who is signed in, what is followed for them, what they ask
// for. What it looks like is in view.js.

import { connect } from "/client/bindery.js";
import * as view from "./view.js";

const demo = [
  ["ada", "Ada Lund", "Alder Joinery", "admin"],
  ["ravi", "Ravi Mehta", "Alder Joinery", "reader"],
  ["bea", "Bea Okafor", "Brook Bakery", "admin"],
  ["tom", "Tom Reyes", "Brook Bakery", "reader"],
  ["olga", "Olga Petrov", "", "operator"],
];

let me = null; // who is signed in
let client = null; // their connection, of this session
let project = 0; // the one whose board is shown
let board = null; // the collection of its tasks
let progress = null;

// request asks the server for something that is not live. It returns the answer,
// or null after it has said what is wrong.
async function request(method, path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: body ? { "Content-Type": "application/json" } : {},
      body: body && JSON.stringify(body),
    });
  } catch {
    view.toast("The server cannot be reached.");
    return null;
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  const what = problem.errors?.map((e) => `${e.field} ${e.detail}`).join("; ") || problem.detail || problem.message || problem.title;
  if (answer.status === 401) look("Your session has ended. Sign in again to go on.");
  else view.toast(answer.status === 403 ? `This is not for you to do: ${what}.` : `That did not work: ${what || answer.status}.`);
  return null;
}

// look asks who is signed in, and shows what is for them. The notice is for
// whoever turns out to be nobody any more.
async function look(notice) {
  let answer;
  try {
    answer = await fetch("/session");
  } catch {
    view.toast("The server cannot be reached.");
    return;
  }
  leave();
  if (!answer.ok) {
    me = null;
    view.door(notice);
    return;
  }
  me = await answer.json();
  view.person(me);
  if (me.suspended) view.withdrawn();
  else follow();
}

// leave ends what is followed.
function leave() {
  const old = client;
  client = board = progress = null;
  project = 0;
  old?.close();
  view.clear();
}

// follow opens what is shown to the person.
function follow() {
  view.board(me);
  const mine = connect("/");
  client = mine;
  const tell = () => client === mine && view.connection(mine.status, mine.transport);
  mine.addEventListener("status", tell);
  tell();

  progress = open("progress");
  progress.on("change", () => {
    const rows = progress.rows;
    if (me.role !== "operator" && rows.some((p) => p.tenant_id !== me.tenant_id)) {
      leave(); // somebody has moved this person to another company
      look();
      return;
    }
    view.tenant(me, rows);
    if (!rows.some((p) => p.id === project)) show(rows[0]?.id ?? 0);
    view.projects(rows, project, me, show);
  });
  const recent = open("recent");
  recent.on("change", (e) => view.recent(recent.rows, new Set([...e.created, ...e.updated].map((t) => t.id))));
  if (me.role !== "reader") {
    const people = open("people");
    people.on("change", () => view.people(people.rows, me, suspend));
  }
}

// open opens a collection. When the server ends it, because the person's rights
// or their session have, what is to be shown is asked for anew.
function open(name, params) {
  const mine = client;
  const collection = client.collection(name, { params });
  collection.ready.catch(() => {}); // told by the error event as well
  collection.on("error", ({ error }) => {
    if (client !== mine) return; // it has been dealt with
    if (error.status !== 401 && error.status !== 403) {
      view.toast(`${error.title}${error.detail ? `: ${error.detail}` : ""}`);
      return;
    }
    leave();
    look("You have been signed out. What was open here was closed at the same moment.");
  });
  return collection;
}

// show shows the board of a project.
function show(id) {
  if (id === project) return;
  project = id;
  board?.close();
  board = null;
  view.projects(progress.rows, project, me, show);
  view.columns([], me, tasks, new Set());
  if (!id) return;
  const mine = open("board", { project: id });
  board = mine;
  mine.on("change", (e) => {
    if (board !== mine) return;
    const first = e.created.length === mine.size; // what was there is not news
    view.columns(mine.rows, me, tasks, first ? new Set() : new Set([...e.created, ...e.updated].map((t) => t.id)));
  });
}

// tasks are what can be done with tasks. What comes of it is shown when it comes
// from the server, as it is for everybody else.
const tasks = {
  add: (title) => {
    const { tenant_id } = progress.get(project);
    return request("POST", "/api/tasks", { tenant_id, project_id: project, title });
  },
  move: (task, state) => request("PATCH", `/api/tasks/${task.id}`, { state }),
  remove: (task) => request("DELETE", `/api/tasks/${task.id}`),
};

async function suspend(person) {
  const done = await request(person.suspended ? "DELETE" : "PUT", `/people/${encodeURIComponent(person.name)}/suspension`);
  if (done) {
    view.toast(person.suspended
      ? `${person.full_name} may work again.`
      : `${person.full_name} sees nothing any more, wherever they are signed in.`);
  }
}

view.door.form.addEventListener("submit", async (e) => {
  e.preventDefault();
  const { name, password } = view.door.form.elements;
  view.door.busy(true);
  let answer;
  try {
    answer = await fetch("/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ name: name.value.trim(), password: password.value }),
    });
  } catch {
    view.door.refuse("The server cannot be reached.");
    return;
  } finally {
    view.door.busy(false);
  }
  if (answer.ok) {
    view.door.form.reset();
    look();
    return;
  }
  const { message } = await answer.json().catch(() => ({}));
  view.door.refuse(answer.status === 401 ? "The name or the password is wrong." : message || "That did not work.");
});

view.door.people(demo, (name) => {
  const { elements } = view.door.form;
  elements.name.value = name;
  elements.password.value = "correct horse";
  view.door.form.requestSubmit();
});

document.querySelector("#sign-out").addEventListener("click", async () => {
  leave(); // by oneself, before the server does it
  await request("DELETE", "/session");
  look("You are signed out.");
});
document.querySelector("#check-again").addEventListener("click", async () => {
  await look();
  if (me?.suspended) view.toast("Your access is still withdrawn.");
});

look();
