// Package core is the engine of Bindery: live query results, held in memory,
// always current, and served by whatever transports an application mounts.
//
// # The model
//
// A [Binding] is a named set of rows of one model, by a filter and in an order.
// A [driver.Loader] reads its rows. A [driver.Source] reports what may have changed and is
// committed; it never says what a row is. A report on a table reaches its feed,
// which reads the rows again, by key and in one batch, and compares them with
// what the bindings hold. What differs is the [live.Event] that leads to the next
// [live.Version]; what reads back the same is none.
//
//	source ──report──▶ feed ──read──▶ binding ──▶ snapshot, event
//	                                                 │       │
//	                                              readers  subscriptions
//
// A [Family] is a binding with parameters, whose members come alive when they
// are asked for. An [Authorizer] says who may see and write what.
//
// # Use
//
// A program makes a [Registry], gives it bindings, sources and transports, and
// calls Start, which tells every problem at once before anything runs; Shutdown
// ends it in order. Bindings of Bun models are made by sources/bunsource, others
// by [Bind] from a loader of one's own. Reading them takes no lock:
//
//	for p := range products.All() { … }
//
// # For whom the interfaces are
//
//   - Programs hold [Registry], [Binding], [Family] and [Authorizer].
//   - Loaders implement [driver.Loader], and what pays of [driver.Querier], [driver.Snapshotter],
//     [driver.Preparer], [driver.Writer] and [driver.Relating]; [driver.Describe] makes
//     the schema.
//   - Sources implement [driver.Source], and are given a [driver.Sink]; see [driver.Announcement],
//     [driver.Scoped], [driver.Follower] and [driver.Validator] for what else they may do.
//   - Transports implement [Transport]. Registry.Open gives them a [Grant], with
//     the [live.View] of a binding, which speaks in encoded rows, and a [live.Subscription].
//   - Plugins implement [Plugin], and [PublishObserver] to see every version.
//
// # Promises
//
// Nothing is shown but what a read of the database returned, so what was rolled
// back never is. Every report leads to a read that begins after it. Where
// sources announce their commits, or can catch up with a snapshot, every version
// is a state that the table was in. A version's token is a hash of the content:
// the same on every node and in every run. Snapshots do not change, and reading
// them waits for nobody. At most one read of a table is in flight. Whatever
// queues is bounded.
//
// # Concurrency
//
// Everything may be called from any goroutine, unless its comment says
// otherwise. After Registry.Shutdown has returned nothing is called any more, and
// no goroutine is left.
package core
