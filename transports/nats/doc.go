// Package nats publishes bindings over NATS JetStream, for other nodes that follow them
// (sources/jetsource). For each binding the stream holds a snapshot and the changes
// since. The package serves no clients by itself.
//
// # Setup
//
//	conn, err := nats.Connect("nats://127.0.0.1:4222")
//	reg.Serve(binderynats.New(conn))
//
// The server needs JetStream. The transport creates the stream, or updates its
// settings.
//
// # Delivery
//
// The messages have the form that followers get (docs/protocol.md), on the subject
// PREFIX.BINDING.log. A snapshot is a sync. When the changes since the last snapshot
// have grown larger than it, another snapshot follows, and everything before the
// previous one is purged. PREFIX.BINDING.at says where the last snapshot begins. A new
// follower reads that snapshot and the changes since.
//
// A node that comes back resumes from the last version in the stream. If nothing has
// changed, it publishes nothing.
//
// Followers ask on PREFIX.BINDING.mark where in the stream a mark is reached. The
// publisher answers once the binding shows what the mark covers and that is published, or
// after a second that it does not, and is asked again. It holds at most 64 questions about one binding.
//
// # Ordering
//
// A binding's messages are in the order of its versions. Each is published only if the
// message before it is still the last of its subject, so two nodes that publish the
// same binding never mix. The second node stands by, and takes over when it hears
// nothing of the first. If each has taken the other for gone, one of them stands by again.
// Beats on PREFIX.BINDING.beat tell who publishes, and the last version that was published.
// They are not stored.
//
// # Back-pressure
//
// Each binding has one message in flight. While the server is slow or away, changes are
// merged, as for any client that lags.
//
// # Shutdown
//
// Publishing ends at once, even in the middle of a batch. Followers do not apply such a
// batch, and the next publisher begins with a snapshot. Shutdown waits for the
// publishers until its context ends.
//
// # Errors
//
// If the server is away, the publisher tries again with back-off; the log says so once.
// A row longer than the server's max_payload cannot be published. The binding's
// followers are then stale.
//
// # Limits
//
// The transport publishes bindings, and the members of families that [Config].Members
// names. It asks the registry's authorizer with [Config].Context: everybody who may
// read the stream sees what that context may see. It leaves out bindings whose rows do
// not show the columns that they are ordered by, unless [Config].HiddenOrder is set.
package nats
