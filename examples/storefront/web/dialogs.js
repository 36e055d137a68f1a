// The page's questions to its user. Each function shows a dialog and resolves
// when it is closed.

import { formatPrice, parsePrice } from "./format.js";
import { changedFields } from "./rows.js";

const $ = (selector) => document.querySelector(selector);

const fieldNames = { name: "Name", venue: "Venue", price: "Price", active: "On sale" };

export function formatField(field, value) {
  if (field === "price") return formatPrice(value);
  if (field === "active") return value ? "yes" : "no";
  return String(value);
}

function ask(dialog) {
  dialog.returnValue = ""; // what Escape leaves
  dialog.showModal();
  return new Promise((resolve) => {
    const listening = new AbortController();
    const answer = (value) => {
      listening.abort();
      resolve(value);
    };
    // Browsers tell of the close when they draw next, which they do not in a tab that was left
    // since. What was answered is done all the same.
    const submitted = (event) => event.defaultPrevented || answer(event.submitter?.value ?? "");
    dialog.addEventListener("submit", submitted, { signal: listening.signal });
    dialog.addEventListener("close", () => answer(dialog.returnValue), { signal: listening.signal });
  });
}

// resolveConflict shows what the user saw, what the row is now and what was to
// be written, and resolves to true when that is to be written all the same.
export async function resolveConflict(seen, now, wanted) {
  const differing = changedFields(seen, now).filter((f) => f in fieldNames);
  const clash = Object.keys(wanted).some((f) => differing.includes(f));
  $("#conflict-text").textContent = clash
    ? `${now.name} was changed since you saw it. Nothing has been saved.`
    : `${now.name} was changed since you saw it, though not where you are changing it. Nothing has been saved.`;
  const body = $("#conflict-dialog tbody");
  body.replaceChildren();
  for (const field of Object.keys(fieldNames)) {
    if (!differing.includes(field) && !(field in wanted)) continue;
    const row = body.insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = fieldNames[field];
    row.append(head);
    const cells = [seen[field], now[field], field in wanted ? wanted[field] : undefined];
    for (const [i, value] of cells.entries()) {
      const cell = row.insertCell();
      cell.textContent = value === undefined ? "–" : formatField(field, value);
      if (i === 1 && differing.includes(field)) cell.className = "differs";
    }
  }
  return (await ask($("#conflict-dialog"))) === "overwrite";
}

export async function confirmDelete(row) {
  $("#confirm-text").textContent = `${row.name} goes from the table, and from every page that shows it.`;
  return (await ask($("#confirm-dialog"))) === "delete";
}

// explainOutside says why a row that the page shows cannot be written.
export async function explainOutside(row, wanted) {
  $("#outside-text").textContent =
    `${row.name} is not on sale, so it is no row of the binding “products”, which is the one that the API writes. ` +
    "The database has no such limit:";
  const [field, value] = Object.entries(wanted)[0] ?? ["active", true];
  const literal = typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : String(value);
  $("#outside-sql").textContent = `UPDATE products SET ${field} = ${literal} WHERE id = ${row.id};`;
  await ask($("#outside-dialog"));
}

// addRecord lets the user fill in a new row. save is called with its fields;
// while it throws problems the dialog stays open and shows them.
export function addRecord(save) {
  const dialog = $("#add-dialog");
  const form = dialog.querySelector("form");
  const problem = form.querySelector(".problem");
  const submit = form.querySelector("[type=submit]");
  const show = (title, fields) => {
    problem.hidden = !title;
    problem.textContent = title;
    for (const hint of form.querySelectorAll("[data-error]")) {
      const text = fields[hint.dataset.error] ?? "";
      hint.textContent = text;
      form.elements[hint.dataset.error].setAttribute("aria-invalid", String(text !== ""));
    }
    form.querySelector("[aria-invalid=true]")?.focus();
  };
  form.reset();
  show("", {});
  form.onsubmit = async (e) => {
    e.preventDefault();
    const name = form.elements.name.value.trim();
    const price = parsePrice(form.elements.price.value);
    const wrong = {};
    if (!name) wrong.name = "Give it a name.";
    if (Number.isNaN(price)) wrong.price = "An amount such as 12.99.";
    show("", wrong);
    if (Object.keys(wrong).length > 0) return;
    submit.disabled = true;
    try {
      await save({ name, price, venue: form.elements.venue.value, active: form.elements.active.checked });
      dialog.close();
    } catch (err) {
      show(err.message, err.fields ?? {});
    } finally {
      submit.disabled = false;
    }
  };
  form.querySelector("[data-close]").onclick = () => dialog.close();
  return ask(dialog);
}
