// Package socketio serves bindings to the stock clients of Socket.IO, version 4:
// protocol revision 5 over Engine.IO 4, by HTTP long-polling and WebSocket, with the
// upgrade from one to the other.
//
// # Setup
//
// [New] takes the Echo group at whose path clients connect, usually /socket.io:
//
//	reg.Serve(socketio.New(e.Group("/socket.io")))
//
// A page joins a binding by emitting an event with the binding's name. Messages of the
// binding are events with the same name:
//
//	io.on("products", (data) => { data.action; data.payload });
//	io.emit("products");
//	io.emit("products", {disconnect: true});
//
// The argument may hold the fields of a message of transports/websocket: version, params,
// page, mark. If the client asks for an acknowledgement, it gets {"status":200} for a
// request that was accepted. For one that was refused it gets the error's payload, and an
// error message too.
//
// Bindings are served in the main namespace and in Config.Namespace. A client that is
// connected to both has separate joins in each. Socket.IO reserves some names for events
// of its own ("connect", "disconnect" and others), so bindings with these names are not
// served here.
//
// # Authentication
//
// The application's middleware authenticates the first request of a connection. Later
// requests are recognised by the session's id, which is as secret as a cookie.
// Config.Auth may authenticate the client again for each namespace, from what it sends as
// auth. A client that Config.Auth refuses gets connect_error.
//
// # Delivery, ordering
//
// The same as in package websocket. The first batch after a join is "ok", the changes
// since a version, or a sync. Messages of a binding arrive in order, without gap or
// repetition, for the life of a connection, across the upgrade too. A page that names no
// version when it comes back gets a sync.
//
// # Back-pressure
//
// A session has one message in flight. It takes the next when that is written or, while
// the client polls, at the next poll. So a client that is slow, or does not poll, costs a
// cursor and not a queue. The answer to a poll holds as many messages as there are, up to
// about Config.MessageBytes. Answers to requests wait in a short queue and are sent before
// everything else. While the queue is full, further requests wait;
// [status.Transport].Held counts this.
//
// A client that takes no message within Config.WriteTimeout, or does not answer a
// heartbeat within Config.PingTimeout, is disconnected and counted in
// [status.Transport].Dropped. So is a client that never polls.
//
// # Shutdown
//
// Sessions complete the batches under way. Then the transport is closed, a WebSocket with
// 1001 and a poll with 503. No DISCONNECT packet is sent, because stock clients do not
// come back after one. The registry's Shutdown waits for the sessions, and cuts those
// that are left after Config.DrainTimeout.
//
// # Errors
//
// A bad request of Engine.IO is answered with 400 and the code that its clients know, an
// origin that is not allowed with 403, too many connections with 503 and Retry-After.
// Malformed packets end the session. A bad request for a binding is answered by an error
// message, and the session goes on. So is an event with binary attachments, which are
// skipped.
//
// # Limits
//
// See [Config]. Config.MaxRequestBytes bounds a payload of the client; clients are told
// it as maxPayload. A longer payload ends the session, with 413 or, on WebSocket, 1009.
//
// A session is in the memory of one server. Several servers behind a balancer therefore
// need sticky sessions while clients poll. They need none with Config.WebSocketOnly and
// clients that do not poll (transports: ["websocket"]).
package socketio
