// Thread draws the versions that came since the page was opened, one stitch
// each: its colour says what happened, its length how many rows it touched.

const longest = 160; // stitches kept

export class Thread {
  #element;
  #binding = "";

  constructor(element) {
    this.#element = element;
  }

  // show starts an empty thread for a binding.
  show(binding) {
    this.#binding = binding;
    this.#element.replaceChildren();
    this.#describe(0);
  }

  // add sews a version on: change is what Rows.apply returned, total the number
  // of versions so far.
  add(change, total) {
    const counts = [
      ["created", change.created.length],
      ["updated", change.updated.length],
      ["deleted", change.deleted.length],
    ];
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
    this.#element.append(stitch);
    while (this.#element.childElementCount > longest) this.#element.firstElementChild.remove();
    this.#describe(total);
  }

  #describe(total) {
    const versions = total === 0 ? "No new version" : total === 1 ? "1 new version" : `${total} new versions`;
    this.#element.setAttribute("aria-label", `${versions} of ${this.#binding} since this page was opened.`);
    this.#element.dataset.caption = total === 0 ? "Each new version sews a stitch here" : versions;
  }
}
