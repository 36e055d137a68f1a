// Follows a stream with the npm client `eventsource`, which reconnects by
// itself, as it is told on standard input: {"open":URL} or {"close":true}.
import { EventSource } from "eventsource";
import { Replica, commands, report } from "./replica.mjs";

const replica = new Replica();
let source;

function open(url) {
  source = new EventSource(url);
  source.onopen = () => report("open");
  source.onmessage = () => {
    throw new Error("an event without a name");
  };
  // The client's own errors have no data, an error message has.
  source.addEventListener("error", (e) => report("error", { code: e.code, reason: e.data ?? e.message, state: source.readyState }));
  for (const action of ["sync", "create", "update", "delete"]) {
    source.addEventListener(action, (e) => {
      const message = JSON.parse(e.data);
      if (message.action !== action) throw new Error(`an event ${action} that says ${message.action}`);
      replica.take(message, e.lastEventId);
    });
  }
}

await commands((command) => {
  if (command.open) open(command.open);
  if (command.close) {
    source.close();
    report("closed", { state: source.readyState });
  }
});
source.close();
