import { showBindings } from "./bindings.js";
import { openDetail, run, showDetail, wireDetail } from "./detail.js";
import { $, set, show } from "./dom.js";
import { History } from "./history.js";
import { Link, operate } from "./link.js";
import { showRail, showTiles } from "./rail.js";

const history = new History();
let last;

function render() {
  if (!last) return;
  showTiles(last, history);
  showBindings(last, history, (id) => openDetail(id, last, history));
  showRail(last, history);
  showDetail(last, history);
}

function take(st) {
  last = st;
  history.add(st);
  render();
}

const notices = {
  away: "The program does not answer. What is shown is how it was.",
  refused: "The token does not hold any more. Open this page with the new one.",
};

function tell(state) {
  const e = $("#connection");
  e.dataset.state = state;
  set(e, { live: "live", polling: "polling", away: "disconnected", refused: "locked out" }[state]);
  show($("#notice"), notices[state] ?? "");
}

wireDetail();
$("#search").addEventListener("input", render);
for (const button of document.querySelectorAll("[data-all]")) button.addEventListener("click", () => run(button, $("#all-result"), () => operate("*", button.dataset.all)));
new Link(take, tell);
