// Package followsource binds the bindings of another Bindery node, the origin: it
// follows them over the origin's event streams. Any transport can serve them further,
// so origins and followers form a tree.
//
// # Setup
//
//	origin := followsource.New("http://origin:8080/events")
//	reg.Add(
//		followsource.Bind[Product](origin, "products"),
//		followsource.BindFamily[Product](origin, "shelf", core.Where(filter.Eq("venue", filter.Param("venue")))),
//	)
//
// Rows are decoded into T for programs that read them; clients get the origin's
// bytes. Key, order and columns are the origin's, and need not be declared. A family
// declares its parameters, as at the origin, with the types of T's fields. It opens a
// member at the origin when a client opens it here, and leaves it when nobody uses it
// any more. The loaders of this package are [core.Replicator]s: no source watches
// them, and other options (filters, limits, serializers, writes) do not apply.
//
// # Delivery
//
// The follower keeps the origin's versions. It gets each row's key and place and the
// binding's fingerprint, computes the token of every version, and compares it with the
// origin's. If they differ it does not show the version, asks for all rows again, and
// counts a mismatch ([status.Origin].Mismatches). So tokens are the origin's, and
// clients can move between origin and follower without a sync. A follower shows only
// versions that the origin has had; it may skip some, as every client may.
//
// An origin that restarts sends nothing if nothing has changed. After a sync the
// follower sends its own clients only the differences.
//
// Marks are the origin's. The follower asks the origin by HEAD, and then restarts its
// stream with the mark, so that from then on it shows at least everything that the mark
// covers. Concurrent marks of one binding wait for each other. A mark that the origin
// does not understand is foreign here too.
//
// # Ordering
//
// Versions of one binding come in the origin's order. Each binding has its own
// connection, so there is no order between bindings.
//
// # Back-pressure
//
// The origin keeps no queue for a follower: a slow one gets merged changes, or a
// sync. [Config].MaxBytes bounds a batch, and the registry's memory budget bounds the
// rows.
//
// # Shutdown
//
// The connection of a binding ends with it.
//
// # Errors
//
// While the origin is away, or refuses, the binding is stale and its status says why;
// its rows are still served. The follower reconnects with back-off and jitter. If the
// origin rejects a member's parameters (400) or the follower's rights to it (401, 403),
// the client that opens the member gets that error.
//
// # Limits
//
// A follower sees what its own credential may see ([Config].Header), and its clients
// see that at most. An authorizer at the follower allows or denies; it cannot confine
// (core.AllowWhere), nor can clients filter, because the follower does not know the
// origin's filters. If rows do not show the columns that order them, the origin must
// allow following (sse.Config.HiddenOrder). Each binding and member takes one stream of
// the origin, and a binding ordered by a collation is sent whole at each change.
// Rows are held encoded and decoded, as at the origin.
package followsource
