// Table shows the rows of a binding: filtered, ordered, one page at a time, and
// editable in place. It draws at most once a frame however many batches come,
// and touches only the rows of the page that is shown.

import { save, begin, remove } from "./editing.js";
import { confirmDelete, formatField } from "./dialogs.js";
import { formatAge, formatCount, formatMoment, formatPrice, parsePrice, sleeveOf, splitName } from "./format.js";
import { comparer, keyOf, sameRow } from "./rows.js";

const pageSize = 25;
const flashTime = 2_400; // milliseconds; the style sheet's animation is as long
const ghostTime = 1_600; // how long a row that left stays to be seen
const saveSettles = 1_500; // how long a saved value waits for its event

const venues = { store: "Store", online: "Online" };
const $ = (selector) => document.querySelector(selector);

export class Table {
  #rows = null;
  #lines = new Map(); // key → Line, of the page that is shown
  #marks = new Map(); // key → {kind, fields, until}: rows to flash
  #ghosts = new Map(); // key → {row, until}: rows that have left
  #page = 0;
  #sort = "id";
  #search = "";
  #frame = 0;
  #revealed = null;
  #body = $("#rows");
  #report;

  // report(problem) tells the user of a write that failed.
  constructor({ report }) {
    this.#report = report;
    $("#search").addEventListener("input", (e) => this.#filter(() => (this.#search = fold(e.target.value))));
    $("#sort").addEventListener("change", (e) => this.#filter(() => (this.#sort = e.target.value)));
    for (const head of document.querySelectorAll("th[data-sort] button")) {
      const column = head.parentElement.dataset.sort;
      head.addEventListener("click", () => {
        // Times are looked at latest first, everything else from the start.
        const [first, second] = column === "updated_at" ? ["-updated_at", "updated_at"] : [column, `-${column}`];
        this.#filter(() => (this.#sort = this.#sort === first ? second : first));
      });
    }
    $("#previous").addEventListener("click", () => this.#turn(-1));
    $("#next").addEventListener("click", () => this.#turn(1));
    setInterval(() => this.#tellAges(), 1_000);
  }

  // show turns to the rows of another binding.
  show(rows) {
    this.#rows = rows;
    this.#marks.clear();
    this.#ghosts.clear();
    this.#lines.clear(); // a line belongs to the rows it was made for
    this.#body.replaceChildren();
    this.#page = 0;
    this.redraw();
  }

  // changed takes note of what a batch changed in the rows shown.
  changed({ first, created, updated, deleted }) {
    if (!first) {
      const now = performance.now();
      for (const row of created) {
        this.#ghosts.delete(keyOf(row));
        this.#mark(keyOf(row), "created", now);
      }
      for (const [, after] of updated) this.#mark(keyOf(after), "updated", now);
      for (const row of deleted) {
        this.#marks.delete(keyOf(row));
        // Only what is seen to go needs to be shown going.
        if (this.#lines.has(keyOf(row))) this.#ghosts.set(keyOf(row), { row, until: now + ghostTime });
      }
      if (deleted.length > 0) setTimeout(() => this.redraw(), ghostTime + 20);
    }
    this.redraw();
  }

  // reveal turns to the page that has the row, without filters, and flashes it.
  reveal(key) {
    if (!this.#rows.get(key)) return false;
    this.#search = $("#search").value = "";
    const at = this.#ordered().findIndex((row) => keyOf(row) === key);
    this.#page = Math.floor(at / pageSize);
    this.#mark(key, "found", performance.now());
    this.#revealed = key;
    this.redraw();
    return true;
  }

  redraw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #filter(change) {
    change();
    this.#page = 0;
    this.redraw();
  }

  #turn(by) {
    this.#page += by;
    this.redraw();
    $("#catalogue").scrollIntoView({ block: "start" });
  }

  #mark(key, kind, now) {
    this.#marks.set(key, { kind, until: now + flashTime });
  }

  // #ordered returns the rows that pass the filters, and the ghosts among them.
  #ordered() {
    let rows = this.#rows.sorted();
    if (this.#ghosts.size > 0) {
      const now = performance.now();
      for (const [key, ghost] of this.#ghosts) if (ghost.until <= now) this.#ghosts.delete(key);
      rows = [...rows, ...[...this.#ghosts.values()].map((g) => g.row)];
    }
    if (this.#search) {
      const words = this.#search.split(/\s+/);
      rows = rows.filter((row) => words.every((w) => fold(row.name).includes(w) || String(row.id) === w));
    }
    const order = this.#sort === "id" ? ["id"] : [this.#sort, "id"];
    return [...rows].sort(comparer(order));
  }

  #draw() {
    const loaded = this.#rows.loaded;
    const rows = this.#ordered();
    const pages = Math.max(1, Math.ceil(rows.length / pageSize));
    this.#page = Math.min(Math.max(0, this.#page), pages - 1);
    const from = this.#page * pageSize;
    const shown = rows.slice(from, from + pageSize);
    // A row whose editor is open stays, wherever its values take it.
    for (const line of this.#lines.values()) {
      const row = this.#rows.get(line.key);
      if (line.editing && row && !shown.some((r) => keyOf(r) === line.key)) shown.push(row);
    }
    this.#place(shown);

    $("#empty").hidden = shown.length > 0;
    $("#empty").textContent = !loaded
      ? "Waiting for the first sync…"
      : this.#search
        ? "No record matches. Clear the search, or look on another rack."
        : "The racks are empty. Add the first record.";
    const visible = Math.min(pageSize, rows.length - from);
    $("#range").textContent =
      rows.length === 0 ? "0 records" : `${formatCount(from + 1)}–${formatCount(from + visible)} of ${formatCount(rows.length)}`;
    $("#previous").disabled = this.#page === 0;
    $("#next").disabled = this.#page >= pages - 1;

    $("#sort").value = this.#sort;
    for (const head of document.querySelectorAll("th[data-sort]")) {
      const [column, descending] = this.#sort.startsWith("-") ? [this.#sort.slice(1), true] : [this.#sort, false];
      if (head.dataset.sort === column) head.ariaSort = descending ? "descending" : "ascending";
      else head.removeAttribute("aria-sort");
    }
    if (this.#revealed !== null) {
      this.#lines.get(this.#revealed)?.element.scrollIntoView({ block: "center" });
      this.#revealed = null;
    }
  }

  // #place puts the lines of the rows into the table, moving no element that is
  // where it should be: focus and selection stay.
  #place(rows) {
    const keys = new Set(rows.map(keyOf));
    for (const [key, line] of this.#lines) {
      if (keys.has(key)) continue;
      line.element.remove();
      this.#lines.delete(key);
    }
    const now = performance.now();
    let next = this.#body.firstElementChild;
    for (const row of rows) {
      const key = keyOf(row);
      let line = this.#lines.get(key);
      if (!line) {
        line = new Line(key, this.#report, this.#rows, () => this.redraw());
        this.#lines.set(key, line);
      }
      line.draw(row, this.#ghosts.has(key));
      const mark = this.#marks.get(key);
      if (mark) {
        this.#marks.delete(key);
        if (mark.until > now) line.flash(mark.kind);
      }
      if (line.element === next) next = next.nextElementSibling;
      else this.#body.insertBefore(line.element, next);
    }
    // Marks of rows that nobody saw in time are worth nothing.
    for (const [key, mark] of this.#marks) if (mark.until <= now) this.#marks.delete(key);
  }

  #tellAges() {
    for (const line of this.#lines.values()) line.tellAge();
  }
}

const fold = (text) =>
  text
    .trim()
    .normalize("NFD")
    .replace(/\p{M}/gu, "")
    .toLowerCase();

// Line is one row of the page: its element, and the editor that may be open in
// it.
class Line {
  editing = null; // {field, edit, input, cell}
  #row = null;
  #busy = false;
  #flashTimer = 0;
  #parts;
  #report;
  #rows;
  #redraw;

  constructor(key, report, rows, redraw) {
    this.key = key;
    this.#report = report;
    this.#rows = rows;
    this.#redraw = redraw;
    this.element = $("#row-template").content.firstElementChild.cloneNode(true);
    const part = (selector) => this.element.querySelector(selector);
    this.#parts = {
      id: part(".c-id"),
      sleeve: part(".sleeve"),
      name: part("[data-field=name]"),
      album: part(".album"),
      artist: part(".artist"),
      venue: part(".venue"),
      price: part("[data-field=price]"),
      active: part(".switch"),
      time: part("time"),
      delete: part(".delete"),
    };
    this.#parts.name.addEventListener("click", () => this.#open("name"));
    this.#parts.price.addEventListener("click", () => this.#open("price"));
    this.#parts.venue.addEventListener("change", (e) => this.#saveNow({ venue: e.target.value }));
    this.#parts.active.addEventListener("change", (e) => this.#saveNow({ active: e.target.checked }));
    this.#parts.delete.addEventListener("click", () => this.#delete());
  }

  draw(row, ghost) {
    this.element.classList.toggle("gone", ghost);
    this.element.classList.toggle("off-sale", !row.active);
    for (const control of ["name", "price", "venue", "active", "delete"]) this.#parts[control].disabled = ghost || this.#busy;
    if (this.#row && sameRow(this.#row, row)) return;
    this.#row = row;
    const parts = this.#parts;
    const { album, credit } = splitName(row.name);
    const { palette, pattern, format } = sleeveOf(row.name);
    parts.id.textContent = row.id;
    parts.sleeve.className = `sleeve palette-${palette} pattern-${pattern} ${format}`;
    parts.album.textContent = album;
    parts.artist.textContent = credit;
    parts.name.title = row.name;
    parts.name.ariaLabel = `Edit the name: ${row.name}`;
    parts.price.textContent = formatPrice(row.price);
    parts.price.ariaLabel = `Edit the price: ${formatPrice(row.price)}`;
    this.#drawVenue(row.venue);
    parts.venue.ariaLabel = `Venue of ${row.name}`;
    if (!this.#busy) parts.active.checked = row.active;
    parts.active.ariaLabel = `${row.name} is on sale`;
    parts.delete.ariaLabel = `Delete ${row.name}`;
    parts.time.dateTime = row.updated_at;
    parts.time.title = formatMoment(new Date(row.updated_at));
    this.tellAge();
    this.#warn();
  }

  // #drawVenue offers the known venues, and the row's own when another writer
  // made up a new one.
  #drawVenue(venue) {
    const select = this.#parts.venue;
    const wanted = Object.keys(venues);
    if (!(venue in venues)) wanted.push(venue);
    if (wanted.join() !== [...select.options].map((o) => o.value).join()) {
      select.replaceChildren(...wanted.map((v) => new Option(venues[v] ?? v, v)));
    }
    if (!this.#busy) select.value = venue;
  }

  tellAge() {
    const text = formatAge(Date.parse(this.#row.updated_at));
    if (this.#parts.time.textContent !== text) this.#parts.time.textContent = text;
  }

  flash(kind) {
    const classes = this.element.classList;
    classes.remove("created", "updated", "found");
    void this.element.offsetWidth; // so that a flash under way begins anew
    classes.add(kind);
    clearTimeout(this.#flashTimer);
    this.#flashTimer = setTimeout(() => classes.remove(kind), flashTime);
  }

  // #open puts an editor in the place of a value. The ETag is fetched now: what
  // changes while the user types is a conflict, and is asked about.
  #open(field) {
    if (this.editing || this.#busy) return;
    const row = this.#row;
    const button = this.#parts[field];
    const form = document.createElement("form");
    form.className = `editor editor-${field}`;
    form.noValidate = true;
    const input = document.createElement("input");
    input.type = "text";
    input.autocomplete = "off";
    input.spellcheck = false;
    if (field === "price") input.inputMode = "decimal";
    input.ariaLabel = field === "price" ? `New price of ${row.name}` : "New name";
    input.value = field === "price" ? row.price.toFixed(2) : row[field];
    const hint = document.createElement("span");
    hint.className = "hint";
    hint.id = `hint-${this.key}-${field}`;
    hint.setAttribute("role", "status");
    input.setAttribute("aria-describedby", hint.id);
    form.append(input, hint);
    button.hidden = true;
    button.after(form);
    this.editing = { field, input, hint, form, button, edit: begin(row), saving: false };
    form.addEventListener("submit", (e) => {
      e.preventDefault();
      this.#submit();
    });
    input.addEventListener("keydown", (e) => {
      if (e.key !== "Escape") return;
      e.stopPropagation();
      this.#close(true);
    });
    // Leaving a field that was not touched is no wish to change anything;
    // leaving one that was is a wish to save it.
    input.addEventListener("blur", () => {
      if (this.editing?.input === input && !this.editing.saving && document.hasFocus()) this.#submit();
    });
    input.focus();
    input.select();
  }

  #close(focus) {
    const { form, button } = this.editing;
    this.editing = null; // first: removing a focused element blurs it
    form.remove();
    button.hidden = false;
    if (focus) button.focus();
    this.#redraw();
  }

  async #submit() {
    const editing = this.editing;
    const { field, input, hint, edit } = editing;
    if (editing.saving) return;
    const value = field === "price" ? parsePrice(input.value) : input.value.trim();
    const wrong = field === "price" ? Number.isNaN(value) && "An amount such as 12.99" : value === "" && "Give it a name";
    if (wrong) {
      input.ariaInvalid = "true";
      hint.textContent = wrong;
      hint.classList.add("wrong");
      return;
    }
    const hadFocus = document.activeElement === input;
    if (value === edit.seen[field]) return this.#close(hadFocus);
    editing.saving = true;
    input.readOnly = true;
    hint.classList.remove("wrong");
    hint.textContent = "Saving…";
    try {
      const settled = this.#settles();
      const row = await save(edit, { [field]: value });
      if (row) await settled(row);
      this.#close(hadFocus);
    } catch (problem) {
      editing.saving = false;
      // What was typed stays, to be mended; and the row is looked at anew.
      editing.edit = begin(this.#row);
      input.readOnly = false;
      input.ariaInvalid = "true";
      hint.textContent = problem.fields?.[field] ?? problem.title ?? problem.message;
      hint.classList.add("wrong");
      if (!problem.fields?.[field]) this.#report(problem);
      input.focus();
    }
  }

  // #saveNow writes the change of a control that needs no editor.
  async #saveNow(wanted) {
    this.#setBusy(true);
    try {
      const settled = this.#settles();
      const row = await save(begin(this.#row), wanted);
      if (row) await settled(row);
    } catch (problem) {
      this.#report(problem);
    }
    this.#setBusy(false);
  }

  async #delete() {
    const edit = begin(this.#row);
    if (!(await confirmDelete(this.#row))) return;
    this.#setBusy(true);
    try {
      await remove(edit);
    } catch (problem) {
      this.#report(problem);
    }
    this.#setBusy(false);
  }

  #setBusy(busy) {
    this.#busy = busy;
    this.element.ariaBusy = String(busy);
    if (busy) return;
    // Controls go back to what the row says, whatever the user had set.
    this.#parts.active.checked = this.#row.active;
    this.#parts.venue.value = this.#row.venue;
    this.#redraw();
  }

  // #settles returns a function that waits, for a moment, until the row that
  // was saved has come back over the live connection. So the old value does not
  // show once more in between; the row itself is never taken from the answer,
  // which may be older than what the connection brought.
  #settles() {
    const before = this.#rows.get(this.key);
    return async (saved) => {
      const deadline = performance.now() + saveSettles;
      const arrived = () => {
        const now = this.#rows.get(this.key);
        return now !== before || sameRow(now ?? {}, saved);
      };
      while (!arrived() && performance.now() < deadline) await new Promise((r) => setTimeout(r, 30));
    };
  }

  // #warn says, beside an open editor, that the value under it has moved.
  #warn() {
    if (!this.editing || this.editing.saving) return;
    const { field, edit, hint } = this.editing;
    const moved = this.#row[field] !== edit.seen[field];
    hint.textContent = moved ? `Meanwhile changed to ${formatField(field, this.#row[field])}` : "";
    hint.classList.toggle("wrong", moved);
  }
}
