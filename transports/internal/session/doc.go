// Package session has the common part of connections on which clients join bindings. A
// connection has any number of joins, which take turns, and one message in flight.
// Answers to requests go before all else.
//
// A [Hub] holds the state that the sessions of a transport share. A [Session] is one
// connection. Its [Carrier] sends its messages; the session may be without one for a
// while, and may change it. A [Channel] is one client on the session: it has the joins,
// the context that identifies the client, and the encoder of its messages. A transport
// whose connections carry several identities has several channels on a session.
//
// # Back-pressure
//
// A session gives its carrier one message, and the next when that was sent. So a client
// that does not read costs a cursor on each binding's log, and no queue. Answers wait
// in a short queue. While it is full, [Session.AwaitRoom] holds up the goroutine that
// reads requests.
//
// # Locks
//
// A session's lock is held while the next message is found and perhaps encoded, and
// while the carrier takes it over. It is not held while the authorizer is asked or
// while anything is written.
package session
