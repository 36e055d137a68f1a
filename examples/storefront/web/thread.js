// Thread draws the versions of a binding that came while the page was open, one
// stitch each: its colour says what happened, its length how many rows it touched.

const longest = 160; // stitches kept for each binding

export class Thread {
  #element;
  #bindings = new Map(); // name → {stitches: [element], total}
  #shown = "";

  constructor(element) {
    this.#element = element;
  }

  // show turns to the thread of a binding.
  show(name) {
    this.#shown = name;
    this.#element.replaceChildren(...this.#of(name).stitches);
    this.#describe();
  }

  // forget drops what was kept of a binding.
  forget(name) {
    this.#bindings.delete(name);
  }

  // add sews a version on: change is what Rows.apply returned.
  add(name, change) {
    const thread = this.#of(name);
    const stitch = sew(change);
    thread.stitches.push(stitch);
    thread.total++;
    const dropped = thread.stitches.length > longest ? thread.stitches.shift() : null;
    if (name !== this.#shown) return;
    dropped?.remove();
    this.#element.append(stitch);
    this.#describe();
  }

  #of(name) {
    if (!this.#bindings.has(name)) this.#bindings.set(name, { stitches: [], total: 0 });
    return this.#bindings.get(name);
  }

  #describe() {
    const { total } = this.#of(this.#shown);
    const versions = total === 0 ? "No new version" : total === 1 ? "1 new version" : `${total} new versions`;
    this.#element.setAttribute("aria-label", `${versions} of ${this.#shown} while it was followed here.`);
    this.#element.dataset.caption = total === 0 ? "Each new version sews a stitch here" : versions;
  }
}

function sew(change) {
  const counts = ["created", "updated", "deleted"].map((kind) => [kind, change[kind].length]);
  const rows = counts.reduce((sum, [, n]) => sum + n, 0);
  const [kind] = counts.reduce((most, c) => (c[1] > most[1] ? c : most), ["touched", 0]);
  const stitch = document.createElement("i");
  stitch.className = kind;
  // 1 row is a short stitch, 1,000 rows reach the edge.
  stitch.style.setProperty("--length", Math.min(1, 0.3 + 0.7 * (Math.log10(Math.max(1, rows)) / 3)).toFixed(2));
  stitch.title = counts
    .filter(([, n]) => n > 0)
    .map(([what, n]) => `${n} ${what}`)
    .join(", ");
  return stitch;
}
