// Package natssource lets the nodes of one application see each other's
// commits at once, over NATS. A [Relay] publishes the reports of its own node's
// sources, as keys of rows, and reports what other nodes have published.
// Rows never travel: each node reads them from the database.
//
// It is for nodes that share one database whose changes they cannot follow by
// themselves: a SQLite file, or a Postgres whose log the role may not read.
// Nodes that follow the log need no relay.
//
// # Setup
//
//	relay := natssource.New(conn, "shop")
//	reg.Watch(bunsource.Hooks(db), relay)
//	reg.Use(relay.Publisher())
//
// Core NATS suffices, without JetStream: a node that missed a message reads its tables
// again. Connect with nats.MaxReconnects(-1), so that the connection comes back by
// itself. All nodes of one subject must use the same names for tables and databases.
//
// # Delivery
//
// Each relay numbers its messages and sends its last number with every
// heartbeat. A receiver that misses a number, for whatever reason (a slow consumer,
// a full buffer, a server restart), reads all tables again. If a node falls silent
// without a farewell, its commits may go unreported: the source is lost until the node
// speaks again, for at most [Config.Forget]. After that the node counts as dead, and
// all tables are read once more.
//
// # Ordering
//
// Messages of one node are reported in the order in which it published them;
// those of several nodes in any order.
//
// # Transactions
//
// The keys of one commit travel in one message and are read together. But they
// arrive after the commit. A node that reads one of these rows in between, for another
// reason, may show a part of that commit for a moment. If that matters, follow the
// database's log.
//
// # Marks
//
// A [Relay] is a [driver.Marker]. A mark holds the last number of every node that its
// maker has heard; another node has reached it when it has reported all of these. A mark
// has room for about 18 nodes; with more, a node's marks are valid only on itself. A
// mark is foreign to nodes that have not heard its maker within five heartbeats, and at
// least a second, of being asked.
//
// # Back-pressure
//
// [Config.MaxKeys] bounds the keys that wait to be published; beyond it whole tables
// are. [Config.Pending] bounds the messages that wait to be reported; beyond it
// messages are dropped, which the numbers show.
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
