// Package jetsource binds the bindings that another Bindery node publishes over NATS
// JetStream (transports/nats). It is like followsource, with a stream in between: the
// origin sends each change once for all followers, and need not run when a follower
// starts.
//
// # Setup
//
//	origin := jetsource.New(conn)
//	reg.Add(jetsource.Bind[Product](origin, "products"))
//
// Declare bindings as with sources/followsource. A family has only the members that the
// origin publishes (its Config.Members).
//
// # Delivery
//
// A follower reads the last snapshot and the changes since. If it ran before, and the
// stream reaches back to its position, it reads only the changes since then. It computes
// each version's token and compares it with the origin's; if they differ it counts a
// mismatch and begins again with the snapshot. Tokens are the origin's.
//
// Marks are the origin's. The follower asks the publisher, over core NATS, up to where the
// stream has everything that the mark covers, and waits until it has come to that. While
// nobody publishes, no mark is reached. A mark that the publisher does not understand is
// foreign here too.
//
// # Ordering
//
// The stream has the order of the origin's versions.
//
// # Back-pressure
//
// The server keeps messages back to the second last snapshot. A slower follower begins
// again with the last snapshot.
//
// # Shutdown
//
// A binding's consumer ends with it. The connection is the caller's.
//
// # Errors
//
// The binding is stale while the server is away, while no publisher sends, and
// while the publisher's own rows are stale. It recovers by itself.
//
// # Limits
//
// Everyone who may read the stream sees all published bindings: restrict access in NATS.
// A follower needs leave to publish on PREFIX.*.mark.
package jetsource
