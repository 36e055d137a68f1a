// Package nats publishes bindings over NATS JetStream, for other nodes that follow
// them (sources/jetsource): a stream holds, for each binding, a snapshot and the
// changes since. It serves no clients by itself.
//
// # Setup
//
//	conn, err := nats.Connect("nats://127.0.0.1:4222")
//	reg.Serve(binderynats.New(conn))
//
// The server needs JetStream. The stream is made when it is not there.
//
// # Delivery
//
// The messages are those of the wire, with what followers are told (docs/protocol.md),
// on the subject PREFIX.BINDING.log. A snapshot is a sync. When the changes since the
// last one have grown larger than it another one follows, and everything before the
// one before is purged; so a late node reads a snapshot at most, and twice as much of
// changes. PREFIX.BINDING.at says where the last snapshot begins.
//
// A node that comes back publishes on from the version that stands in the stream:
// nothing when nothing has changed.
//
// # Ordering
//
// A binding's messages are in the order of its versions. Each is published only if the
// one before it is the last of its subject, so two nodes that publish the same
// binding never mix: the one that was later stands by, and goes on when nothing is heard
// of the other. Beats tell who publishes, and up to where, on PREFIX.BINDING.beat; they
// are not kept.
//
// # Back-pressure
//
// One message is under way for a binding. When the server is slow or away, changes are
// merged meanwhile, as for any client that lags.
//
// # Shutdown
//
// Publishing ends after the current batch, or with the share of the time. A batch that
// was cut is not applied by anybody, and the next publisher begins with a snapshot.
//
// # Errors
//
// A server that is away is tried again, with back-off; the log says so once. A row that
// is longer than the server's max_payload cannot be published: the binding's followers
// are stale then.
//
// # Limits
//
// Bindings are published, and those members of families that [Config].Members names.
// The registry's authorizer is asked with [Config].Context: who may read the stream sees
// what that may see. Bindings whose rows do not show by what they are ordered are left
// out unless [Config].HiddenOrder says otherwise.
package nats
