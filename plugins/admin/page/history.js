// The status has counters that only grow. Here they become rates, and the last
// minute of each binding.
import { idOf } from "./format.js";

const samples = 60;

export class History {
  #last; // the status before
  #seconds = 1; // between the two
  #lines = new Map();

  // add takes the next status.
  add(st) {
    const before = new Map(this.#last?.bindings.map((b) => [idOf(b), b]));
    const seconds = this.#last ? (Date.parse(st.now) - Date.parse(this.#last.now)) / 1000 : 0;
    this.#seconds = seconds;
    const lines = new Map();
    for (const b of st.bindings) {
      const id = idOf(b), old = before.get(id);
      const line = this.#lines.get(id) ?? [];
      // A member that has gone and come again counts from nothing.
      if (old && seconds > 0) line.push(Math.max(0, b.events - old.events) / seconds);
      lines.set(id, line.slice(-samples));
    }
    this.#lines = lines;
    this.before = this.#last;
    this.#last = st;
  }

  // line returns the rates of a binding, oldest first.
  line(b) { return this.#lines.get(idOf(b)) ?? []; }

  // rate is what was the case of late: the mean of three samples, so that it can be read.
  rate(b) {
    const last = this.line(b).slice(-3);
    return last.length ? last.reduce((a, n) => a + n, 0) / last.length : undefined;
  }

  // change returns by how much a counter has grown each second.
  change(now, before) {
    return before === undefined || this.#seconds <= 0 ? undefined : Math.max(0, now - before) / this.#seconds;
  }
}

const svg = "http://www.w3.org/2000/svg";

// draw draws the last minute: an area and its upper edge.
export function draw(e, line, label) {
  const width = samples - 1, height = 20;
  e.setAttribute("viewBox", `0 0 ${width} ${height}`);
  e.setAttribute("aria-label", label);
  if (!e.firstChild) {
    for (const name of ["area", "edge"]) {
      const path = document.createElementNS(svg, "path");
      path.setAttribute("class", name);
      e.append(path);
    }
  }
  const top = Math.max(1, ...line);
  const points = line.map((n, i) => `${width - line.length + 1 + i},${(height - 1 - (n / top) * (height - 3)).toFixed(2)}`);
  const [area, edge] = e.children;
  const first = width - line.length + 1;
  area.setAttribute("d", line.length > 1 ? `M${first},${height} L${points.join(" ")} L${width},${height} Z` : "");
  edge.setAttribute("d", line.length > 1 ? `M${points.join(" ")}` : `M0,${height - 1} H${width}`);
  e.classList.toggle("quiet", !line.some((n) => n > 0));
}
