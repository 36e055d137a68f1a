// Package followsource binds what another Bindery node serves: a binding whose rows
// are that node's binding, followed over its event streams. It is served on by any
// transport, so origins and followers form a tree.
//
// # Setup
//
//	origin := followsource.New("http://origin:8080/events")
//	reg.Add(
//		followsource.Bind[Product](origin, "products"),
//		followsource.BindFamily[Product](origin, "shelf", core.Where(filter.Eq("venue", filter.Param("venue")))),
//	)
//
// Rows are decoded into T for programs that read them; clients are sent the origin's
// bytes. Key, order and columns are the origin's, and need not be declared. A family
// declares its parameters, as at the origin, with the types that T's fields have; its
// members are opened at the origin when somebody asks for them, and left when nobody
// does. [driver.Loader]s of this package are [core.Replicator]s: no source watches
// them, and nothing else of a declaration has a meaning here (no further filter, no
// limit, no serializer; not writable).
//
// # Delivery
//
// The follower keeps the origin's versions: it is told each row's key and place and
// the binding's fingerprint, computes the token of what it holds at every version, and
// compares it with the origin's. Where they differ nothing is shown: it asks for
// everything anew, and counts ([status.Origin].Mismatches). So tokens are the origin's, and
// clients go from origin to follower and back without a sync. A version that a follower
// shows is one that the origin has had; it may skip some, as every client may.
//
// An origin that restarts sends nothing where nothing has changed. After a sync the
// follower's own clients are sent what differs.
//
// Marks are the origin's: the follower asks it by HEAD, and then has its stream begun
// anew with the mark, so that what it shows from then on is at least what the mark
// covers. Concurrent marks of one binding wait for each other. A mark that the origin
// does not understand is foreign here too.
//
// # Ordering
//
// Versions of one binding come in the origin's order. Two bindings are followed on
// connections of their own.
//
// # Back-pressure
//
// The origin keeps no queue for a follower: one that lags is sent merged changes, or a
// sync. A batch is bounded by [Config].MaxBytes, and what a registry holds by its
// memory budget.
//
// # Shutdown
//
// The connection of a binding ends with it.
//
// # Errors
//
// While the origin is away, or refuses, the binding is stale and its status says why;
// its rows are served on. It connects again with a back-off that is spread. What the
// origin says of a member's parameters (400) or of the follower's rights to it (401,
// 403) is told to whoever asked for the member.
//
// # Limits
//
// A follower sees what its own credential may see ([Config].Header), and its clients
// see that at most. An authorizer at the follower allows or denies; it cannot confine
// (core.AllowWhere), nor can clients filter, since the origin's filters are not known here.
// A binding whose rows do not show by what they are ordered is followed only if the
// origin says so (sse.Config.HiddenOrder). Each binding and member takes a stream of
// the origin's, and a binding in the order of a collation is sent whole at each change.
// Rows are held encoded and decoded, as at the origin.
package followsource
