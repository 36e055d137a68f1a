// Package natssource lets the nodes of one application see each other's
// commits at once, over NATS. A [Relay] publishes what the sources of its own
// node report, as keys of rows, and reports what other nodes have published.
// The rows themselves never travel: each node reads its own from the database.
//
// It is for nodes that share one database whose changes they cannot follow by
// themselves: a SQLite file, or a Postgres whose log the role may not read.
// Where each node follows the log, nothing need be relayed.
//
// # Setup
//
//	relay := natssource.New(conn, "shop")
//	reg.Watch(bunsource.Hooks(db), relay)
//	reg.Use(relay.Publisher())
//
// Core NATS suffices; JetStream would only keep what nobody needs: a node that
// missed a message reads its tables again, and the database is the truth.
// Connect with nats.MaxReconnects(-1), so that the connection comes back by
// itself. All nodes of one subject must name their tables and databases alike.
//
// # Delivery
//
// Each relay numbers its messages and tells its last number with every
// heartbeat. A receiver that finds a number missing, however it was lost (a
// slow consumer, a full buffer, a server that restarted), reads all tables
// again. A node that falls silent without a word of farewell makes the source
// lost until it speaks again, at most for [Config.Forget]: its commits may go
// unreported. After that it counts as dead, and all tables are read once more.
//
// # Ordering
//
// Messages of one node are reported in the order in which it published them;
// those of several nodes in any order.
//
// # Transactions
//
// The keys of one commit travel in one message and are read together. But they
// arrive after the commit, so a node that reads one of these rows in between,
// for reasons of its own, may show a part of that commit for a moment. Follow
// the database's log where that matters.
//
// # Marks
//
// A [Relay] is a [driver.Marker]: a mark of one node names the numbers of all nodes
// that it has heard, and another has reached it when it has reported as much. A mark
// has room for the numbers of about 18 nodes; beyond that a node's marks are its own.
// They are foreign to nodes that have not heard the one that made it.
//
// # Back-pressure
//
// What waits to be published is one set of keys, bounded by [Config.MaxKeys];
// beyond it whole tables are published. What waits to be reported is bounded by
// [Config.Pending] messages; beyond it messages are dropped, which the numbers
// find.
//
// # Shutdown
//
// The publisher says farewell, so that its peers do not wait for it. The
// connection belongs to the application, which closes it after Shutdown.
//
// # Errors
//
// Watch fails, and is called again, when the connection is closed or refuses
// the subscription. A message that cannot be read is logged once per peer and
// read as "everything may have changed".
//
// # Limits
//
// The relay trusts whoever may publish on its subject: a forged message costs
// reads, but cannot change what is served. Protect subjects with NATS accounts
// or permissions.
package natssource
