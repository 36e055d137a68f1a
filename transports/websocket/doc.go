// Package websocket serves bindings over WebSocket: one endpoint, any number of
// bindings on each connection.
//
// # Setup
//
// [New] takes the Echo group at whose path clients connect. A client joins a
// binding by sending its name, and names the version that it has when it comes
// back:
//
//	{"event":"products","version":"<token>"}
//
// A member of a family is named by its parameters:
//
//	{"event":"shelf","params":{"venue":"store"}}
//
// # Authentication
//
// Pages cannot set headers on a handshake. One that has a token offers it as a
// subprotocol:
//
//	new WebSocket(url, ["bindery", "bindery.bearer." + base64url(token)])
//
// [Config].Bearer says who bears it. Where the application's own middleware reads
// Authorization, [BearerHeader] in front of it moves the token there. Both see
// cookies as before. Origins are checked all the same.
//
// # Delivery
//
// The first batch after a join depends on the version: that it is current, what
// has changed since, or a sync. Every change follows. A join of a binding that
// has not loaded yet waits for it.
//
// The registry's authorizer is asked at each join and each look at a page, with
// the context of the handshake's request; what is joined goes on while it
// thinks. When it withdraws its leave, the last message of the binding is an
// error; when the client may see something else from now on, a sync follows.
//
// # Ordering
//
// Messages of one binding arrive in order, without gap or repetition. The
// joined bindings take turns, message by message, so that the long sync of one
// does not hold up the others; a client gathers batches for each binding of
// its own. Requests of one connection are handled one after the other: once a
// leave is confirmed, nothing of that binding arrives until it is joined again.
// Joining what is joined already completes the batch that is under way and
// then starts afresh, from the version named when that is what the client was
// sent last, and with a sync otherwise: what it said may have crossed with what
// it was sent.
//
// # Back-pressure
//
// A connection has one message in flight and takes the next when that is
// written, so a slow client costs a cursor and not a queue: it gets the changes
// it missed as one batch, or a sync. Answers to requests (errors, leaves, pages)
// wait in a short queue, in front of everything else. When it is full the
// connection's requests are not read until there is room; this is counted in
// [status.Transport].Held.
//
// A client that takes no message within Config.WriteTimeout is disconnected and
// counted in [status.Transport].Dropped. It gets no close code, since it does not read; one
// whose pongs are missing gets 1008.
//
// # Shutdown
//
// Connections complete the batches that are under way and are closed with 1001,
// when the registry shuts down or the HTTP server that they came from.
// [http.Server.Shutdown] does not wait for them; the registry's does, and cuts
// those that are left after Config.DrainTimeout, because their clients do not
// read.
//
// # Errors
//
// What is wrong with a handshake is answered with application/problem+json: 400
// for a malformed token, 401 for one that Config.Bearer refuses, 403 for an origin that is not allowed, 426 for a plain request, 503 with
// Retry-After when Config.MaxConnections are open or the server is shutting
// down. What is wrong with a request is answered by an error message, and the
// connection lives on. A message that is too long closes it with 1009, a binary
// one with 1003, text that is not UTF-8 with 1007. When a binding is removed,
// those who have joined it get an error message and have left it.
//
// # Limits
//
// Connections, joins of each, the size of requests, and the rows and bytes of
// messages are bounded by [Config]. A connection costs two goroutines, those of
// melody; a few shared ones wake idle connections.
package websocket
