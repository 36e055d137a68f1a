// Follows bindings with the npm client `socket.io-client`, as it is told on standard
// input: {"open":URL,"transports":[…]}, {"emit":[EVENT, ARGUMENT]}, {"close":true}.
import { io } from "socket.io-client";
import { Replica, commands, report } from "./replica.mjs";

const replica = new Replica();
let socket;

function open(url, transports) {
  socket = io(url, { transports, forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 200 });
  socket.on("connect", () => report("open"));
  socket.on("disconnect", (reason) => report("close", { reason }));
  socket.onAny((event, message) => {
    if (message.event !== event) throw new Error(`event ${event} bears ${JSON.stringify(message)}`);
    if (["sync", "create", "update", "delete"].includes(message.action)) replica.take(message);
    else report(message.action, { message });
  });
}

await commands((command) => {
  if (command.open) open(command.open, command.transports);
  if (command.emit) socket.emit(...command.emit);
  if (command.close) socket.disconnect();
});
socket.disconnect();
