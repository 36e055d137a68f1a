// Package websocket serves bindings over WebSocket: one endpoint, any number of
// bindings on each connection.
//
// # Setup
//
// [New] takes the Echo group at whose path clients connect. A client joins a binding by
// sending its name. When it comes back it also sends the version that it holds:
//
//	{"event":"products","version":"<token>"}
//
// The parameters name a member of a family:
//
//	{"event":"shelf","params":{"venue":"store"}}
//
// # Authentication
//
// Pages cannot set headers on a handshake. A page with a token offers it as a
// subprotocol:
//
//	new WebSocket(url, ["bindery", "bindery.bearer." + base64url(token)])
//
// [Config].Bearer finds the user of the token. If the application's own middleware reads
// Authorization, put [BearerHeader] in front of it: it moves the token to that header.
// Cookies work as before, and origins are checked in every case.
//
// # Delivery
//
// The first batch after a join depends on the version that the client holds: it
// confirms the version, or tells what has changed since, or is a sync. Every later change
// follows. A join of a binding that has not loaded yet waits until it has.
//
// The registry's authorizer is asked at each join and each look at a page, with the
// context of the handshake's request. Other joins go on while it decides. When it
// withdraws the right to read a binding, an error is the last message of that binding.
// When it changes what the client may see, a sync follows.
//
// # Ordering
//
// Messages of one binding arrive in order, without gap or repetition. The joined
// bindings take turns, message by message, so a long sync of one does not hold up the
// others. A client therefore gathers the batches of each binding separately. Requests of
// one connection are handled one after the other: once a leave is confirmed, nothing of
// that binding arrives until the client joins it again.
//
// A client may join a binding that it has joined already. The batch under way is then
// completed, and the binding starts afresh: from the version in the request if that is
// the last one sent to the client, and otherwise with a sync, because request and
// messages may have crossed.
//
// # Back-pressure
//
// A connection has one message in flight and takes the next when that is written. So a
// slow client costs a cursor and not a queue: it gets the changes that it missed as one
// batch, or a sync. Answers to requests (errors, leaves, pages) wait in a short queue
// and are sent before everything else. While the queue is full, the connection's
// requests are not read; [status.Transport].Held counts this.
//
// A client that takes no message within Config.WriteTimeout is disconnected, and counted
// in [status.Transport].Dropped. It gets no close code, since it does not read. A client
// that does not answer pings gets 1008.
//
// # Shutdown
//
// When the registry shuts down, or the HTTP server that accepted them, connections
// complete the batches under way and are closed with 1001. [http.Server.Shutdown] does
// not wait for them. The registry's does: after Config.DrainTimeout it cuts those that
// are left, because their clients do not read.
//
// # Errors
//
// A bad handshake is answered with application/problem+json: 400 for a malformed token,
// 401 for a token that Config.Bearer refuses, 403 for an origin that is not allowed, 426
// for a plain request, and 503 with Retry-After if Config.MaxConnections are open or the
// server is shutting down. A bad request is answered by an error message, and the
// connection stays open. A message that is too long closes it with 1009, a binary one
// with 1003, text that is not UTF-8 with 1007. When a binding is removed, the clients
// that have joined it get an error message, and have then left it.
//
// # Limits
//
// [Config] bounds connections, the joins of each, the size of requests, and the rows and
// bytes of messages. A connection costs two goroutines, which melody starts; a few shared
// goroutines wake idle connections.
package websocket
