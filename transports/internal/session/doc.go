// Package session is what the connections of streaming transports have in common:
// any number of bindings joined on one connection, which take turns, one message
// in flight, and answers to requests in front of them.
//
// A [Hub] holds what the sessions of a transport share. A [Session] is one
// connection; what carries its messages is its [Carrier], which may be absent for
// a while and may change. A [Channel] is who asks on the session: it has the
// joins, the context that says who it is, and the encoder of its messages. A
// transport whose connections carry several identities has several channels on a
// session.
//
// # Back-pressure
//
// A session gives its carrier one message and the next when that was sent, so a
// client that takes none costs a cursor on each binding's log and no queue.
// Answers wait in a short queue. When it is full, [Session.AwaitRoom] holds up the
// goroutine that reads requests.
//
// # Locks
//
// A session's lock is held while the next message is found, which may build it,
// and while the carrier takes it over. It is not held while the authorizer is
// asked nor while anything is written.
package session
