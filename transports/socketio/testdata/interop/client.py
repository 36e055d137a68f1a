"""Stock python-socketio, told what to do by lines of JSON on stdin; it reports
what comes as lines of JSON on stdout. See client.mjs."""
import json
import sys
import threading
import time

import socketio

lock = threading.Lock()
clients = {}


def tell(**report):
    with lock:
        sys.stdout.write(json.dumps(report, separators=(",", ":")) + "\n")
        sys.stdout.flush()


def open_client(id, url, transports, auth=None, headers=None, join=(), resume=False, settle=False, patience=60):
    # A first connection that fails is not tried again, so a busy machine is given time.
    client = socketio.Client(reconnection_delay=0.05, reconnection_delay_max=0.3, request_timeout=patience)
    versions = {}
    clients[id] = client

    # It starts a thread for each packet, in which their order is lost.
    trigger = client.eio._trigger_event
    client.eio._trigger_event = lambda event, *args, run_async=False: trigger(event, *args, run_async=False)

    @client.event
    def connect():
        # The thread that connects notes a moment later that it has. A connection that is
        # lost in between raises no event, and is never opened anew.
        for _ in range(1000 if settle else 0):
            if client.connected:
                break
            time.sleep(0.001)
        tell(id=id, on="connect", over=client.transport())
        for event in join:
            if resume and event in versions:
                client.emit(event, {"version": versions[event]})
            else:
                client.emit(event)

    @client.event
    def disconnect():
        tell(id=id, on="disconnect")

    @client.event
    def connect_error(data):
        if isinstance(data, dict):
            tell(id=id, on="connect_error", why=data.get("message"), data=data.get("data"))
        else:
            tell(id=id, on="connect_error", why=str(data))

    @client.on("*")
    def any_event(event, message):
        if message.get("version") and not message.get("more"):
            versions[event] = message["version"]
        tell(id=id, on="message", event=event, message=message)

    try:
        # Without waiting: it would wait for its whole timeout when it is refused.
        client.connect(url, transports=transports, auth=auth, headers=headers or {}, wait=False)
    except socketio.exceptions.ConnectionError:
        pass  # connect_error has told


def emit(id, event, args=(), ack=False):
    data = args[0] if args else None
    callback = (lambda answer: tell(id=id, on="ack", event=event, answer=answer)) if ack else None
    clients[id].emit(event, data, callback=callback)


def binary(id, event):
    clients[id].emit(event, {"data": b"\1\2\3"}, callback=lambda answer: tell(id=id, on="ack", event=event, answer=answer))


def close(id):
    clients.pop(id).disconnect()


commands = {"open": open_client, "emit": emit, "binary": binary, "close": close}
for line in sys.stdin:
    command = json.loads(line)
    commands[command.pop("do")](**command)
for client in clients.values():
    client.disconnect()
