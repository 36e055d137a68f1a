// Package jetsource binds what another Bindery node publishes over NATS JetStream
// (transports/nats): followsource, with a stream in between. The origin sends each
// change once, whatever the number of followers, and need not be there when one
// starts.
//
// # Setup
//
//	origin := jetsource.New(conn)
//	reg.Add(jetsource.Bind[Product](origin, "products"))
//
// Declarations are those of sources/followsource. Members of a family can be had that
// the origin publishes (its Config.Members).
//
// # Delivery
//
// A follower reads the last snapshot and the changes since, or, when it was there
// before and the stream reaches back, what has come since its position. It computes
// each version's token and compares it; where they differ it begins anew with the
// snapshot, and counts. Tokens are the origin's.
//
// # Ordering
//
// That of the stream, which is that of the origin's versions.
//
// # Back-pressure
//
// The server keeps what a follower has not read yet, up to the second last snapshot.
// Who is later than that begins with the last one.
//
// # Shutdown
//
// A binding's consumer ends with it. The connection is the caller's.
//
// # Errors
//
// The binding is stale while the server is away, while no publisher is heard, and
// while the publisher says that its own rows may be old. It heals by itself.
//
// # Limits
//
// Who may read the stream sees all that is published there: NATS has the rights.
package jetsource
