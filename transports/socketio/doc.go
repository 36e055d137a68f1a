// Package socketio serves bindings to the stock clients of Socket.IO, version 4:
// protocol revision 5 over Engine.IO 4, by HTTP long-polling and WebSocket, with
// the upgrade from one to the other.
//
// # Setup
//
// [New] takes the Echo group at whose path clients connect, /socket.io as a rule:
//
//	reg.Serve(socketio.New(e.Group("/socket.io")))
//
// A page joins a binding by emitting its name, and hears of it by the same name:
//
//	io.on("products", (data) => { data.action; data.payload });
//	io.emit("products");
//	io.emit("products", {disconnect: true});
//
// The argument may bear what a message of transports/websocket may: version,
// params, page. An acknowledgement is called with {"status":200} when the request
// was accepted and with the error's payload when it was refused, of which an error
// message tells as well.
//
// Bindings are served in the main namespace and in that of Config.Namespace. A
// client that is connected to both has joins of its own in each. Names that
// Socket.IO reserves ("connect", "disconnect" and others) cannot be events, so
// bindings of these names are not served here.
//
// # Who asks
//
// The application's middleware says it of the first request of a connection; all
// that follow are known by the session's id, which is as secret as a cookie.
// Config.Auth may say it anew for each namespace, from what the client gives as
// auth. A client that it refuses is told connect_error.
//
// # Delivery, ordering
//
// As in package websocket: the first batch after a join is "ok", the changes since
// a version, or a sync; messages of a binding arrive in order, without gap or
// repetition, for the life of a connection, across the upgrade too. A page that
// names no version when it comes back gets a sync.
//
// # Back-pressure
//
// A session has one message in flight and takes the next when that is written, or,
// while it polls, when it polls again: a slow client, and one that does not poll,
// costs a cursor and not a queue. An answer to a poll bears as many messages as
// there are, up to about Config.MessageBytes. Answers to requests wait in a short
// queue, in front of all else; when it is full further requests wait, which is
// counted in [status.Transport].Held.
//
// Who takes no message within Config.WriteTimeout, or does not answer a heartbeat
// within Config.PingTimeout, is disconnected and counted in [status.Transport].Dropped. A client
// that never polls is one of these.
//
// # Shutdown
//
// Sessions complete the batches that are under way. Then the transport is closed,
// a WebSocket with 1001, a poll with 503, and no DISCONNECT packet is sent, after
// which stock clients would not come back. The registry's Shutdown waits, and cuts
// those that are left after Config.DrainTimeout.
//
// # Errors
//
// What is wrong with a request of Engine.IO is answered with 400 and the code that
// its clients know, an origin that is not allowed with 403, too many connections
// with 503 and Retry-After. Malformed packets end the session. What is wrong with a
// request for a binding is answered by an error message, and the session lives on;
// so are events with binary attachments, which are skipped.
//
// # Limits
//
// See [Config]. A payload of the client's is bounded by Config.MaxRequestBytes,
// which clients are told as maxPayload: a longer one ends the session, with 413 or,
// on WebSocket, 1009.
//
// Several servers behind a balancer need sticky sessions while clients poll, since
// a session is in the memory of one. With Config.WebSocketOnly and clients that do
// not poll (transports: ["websocket"]) they need none.
package socketio
