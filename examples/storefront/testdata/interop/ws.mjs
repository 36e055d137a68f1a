// Follows bindings with the npm client `ws`, as it is told on standard input:
// {"open":URL}, {"send":MESSAGE}, {"text":STRING}, {"base64":BYTES,"binary":BOOL},
// {"close":true} or, without a goodbye, {"drop":true}.
import WebSocket from "ws";
import { Replica, commands, report } from "./replica.mjs";

const replica = new Replica();
let socket;

function open(url) {
  socket = new WebSocket(url);
  socket.on("open", () => report("open", { extensions: socket.extensions }));
  socket.on("close", (code, reason) => report("close", { code, reason: String(reason) }));
  socket.on("error", (err) => report("error", { reason: String(err) }));
  socket.on("message", (data, binary) => {
    if (binary) throw new Error("a binary message");
    const message = JSON.parse(data);
    if (["sync", "create", "update", "delete"].includes(message.action)) replica.take(message);
    else report(message.action, { message });
  });
}

await commands((command) => {
  if (command.open) open(command.open);
  if (command.send) socket.send(JSON.stringify(command.send));
  if (command.text) socket.send(command.text);
  if (command.base64) socket.send(Buffer.from(command.base64, "base64"), { binary: command.binary });
  if (command.close) socket.close(1000);
  if (command.drop) socket.terminate();
});
socket.terminate();
