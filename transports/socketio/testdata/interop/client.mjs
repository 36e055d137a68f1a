// A stock socket.io-client. It takes commands as lines of JSON on stdin, and reports
// what it receives as lines of JSON on stdout.
import { io } from "socket.io-client";
import readline from "node:readline";

const clients = new Map();
const tell = (report) => process.stdout.write(JSON.stringify(report) + "\n");

const commands = {
  // Opens a client that emits the events in "join" at every connect, as pages do.
  open({ id, url, transports, auth, headers, join = [], resume = false }) {
    const socket = io(url, {
      transports, auth, extraHeaders: headers, forceNew: true,
      reconnectionDelay: 20, reconnectionDelayMax: 200, randomizationFactor: 0.1,
    });
    const versions = {};
    clients.set(id, socket);
    socket.on("connect", () => {
      tell({ id, on: "connect", over: socket.io.engine.transport.name });
      for (const event of join) {
        if (resume && versions[event]) socket.emit(event, { version: versions[event] });
        else socket.emit(event);
      }
    });
    socket.io.on("open", () => socket.io.engine.on("upgrade", (t) => tell({ id, on: "upgrade", over: t.name })));
    socket.on("disconnect", (why) => tell({ id, on: "disconnect", why }));
    socket.on("connect_error", (error) => tell({ id, on: "connect_error", why: error.message, data: error.data }));
    socket.onAny((event, message) => {
      if (message.version && !message.more) versions[event] = message.version;
      tell({ id, on: "message", event, message });
    });
  },
  emit({ id, event, args, ack = false }) {
    const socket = clients.get(id);
    if (ack) socket.emit(event, ...(args ?? []), (answer) => tell({ id, on: "ack", event, answer }));
    else socket.emit(event, ...(args ?? []));
  },
  binary({ id, event }) {
    clients.get(id).emit(event, { data: Buffer.from([1, 2, 3]) }, (answer) => tell({ id, on: "ack", event, answer }));
  },
  close({ id }) {
    clients.get(id).disconnect();
    clients.delete(id);
  },
  // Opens many clients, spread over the transports, and reports when all have reached a
  // version.
  crowd({ id, url, n, ways, event }) {
    const crowd = Array.from({ length: n }, (_, i) => {
      const socket = io(url, { transports: ways[i % ways.length], forceNew: true });
      const one = { socket, version: "", messages: 0 };
      socket.on("connect", () => socket.emit(event));
      socket.on("connect_error", (error) => tell({ id, on: "connect_error", why: error.message }));
      socket.on("disconnect", (why) => tell({ id, on: "disconnect", why }));
      socket.on(event, (message) => {
        one.messages++;
        if (!message.more) one.version = message.version;
        commands.crowd.check();
      });
      return one;
    });
    commands.crowd.check = () => {
      const at = commands.crowd.at;
      if (at && crowd.every((one) => one.version === at)) {
        commands.crowd.at = "";
        tell({ id, on: "all", version: at });
      }
    };
    commands.crowd.end = () => {
      for (const { socket } of crowd) socket.off("disconnect").disconnect();
    };
  },
  await({ version }) {
    commands.crowd.at = version;
    commands.crowd.check();
  },
  disperse() {
    commands.crowd.end();
  },
};

readline.createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line);
    commands[command.do](command);
  })
  .on("close", () => process.exit(0));
