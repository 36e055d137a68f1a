// Package core is the engine of Bindery: query results held in memory, kept current, and
// served by any transports that an application mounts.
//
// # The model
//
// A [Binding] is a named set of rows of one model, with a filter and an order. A
// [driver.Loader] reads its rows. A [driver.Source] reports committed changes: which rows
// may have changed, never what they look like. Each table has a feed, which reads the
// reported rows again, by key and in one batch, and compares them with the rows that the
// bindings hold. The differences become the [live.Event] that leads to the next
// [live.Version]; without differences there is no event.
//
//	source ──report──▶ feed ──read──▶ binding ──▶ snapshot, event
//	                                                 │       │
//	                                              readers  subscriptions
//
// A [Family] is a binding with parameters. Its members are created on first use. An
// [Authorizer] decides who may see and write what.
//
// # Use
//
// A program makes a [Registry], adds bindings, sources and transports, and calls Start,
// which reports every problem at once before anything runs. Shutdown stops everything in
// order. The Bind functions of sources/bunsource make bindings of Bun models; [Bind] makes
// one from any loader. Reads take no lock:
//
//	for p := range products.All() { … }
//	p, ok := products.Get(42)
//
// # Which handle you hold when
//
// Programs hold
//
//   - a [Registry] ([NewRegistry], or [Config].NewRegistry): it assembles, starts and stops
//     everything, and acts on several bindings at once;
//   - a [Binding] for each list they declare ([Bind], with options: [Where], [OrderBy], [Ordered],
//     [Limit], [Columns], [Serialize], [DependsOn], [Writable], [Tune], [ForLoader]). It reads typed rows, calls
//     functions on changes (OnChange, with a [Delta]), and can be resynced, cleared, touched and
//     verified;
//   - a [Family] for each list with parameters ([BindFamily]), and a [Member] of it, selected by
//     [Args], while they use it;
//   - a [Snapshot] to read one version several times; [WithSnapshots] does the same for a whole
//     request;
//   - an [Authorizer] if not everybody may see everything: it answers an [Access] with a [Decision].
//
// Transports implement [Transport] (and [MonitorLinker], [StatusReporter]) and hold
//
//   - a [Grant], from Registry.Open with the client's context, arguments ([TextArgs], [JSONArgs]) and filter: the
//     permission to read and write, until Close;
//   - its [live.View], which has encoded rows, and a [live.Subscription].
//
// Plugins implement [Plugin], and those of [PublishObserver], [ReportObserver],
// [BatchObserver] and [DeliveryObserver] that they need. They hold the Registry passed to
// Start, and find bindings by Lookup and Changed.
//
// A loader that serves another node's rows implements [Replicator] (and [MarkReplicator],
// [OriginReporter]), and publishes to a [Replica].
//
// Support for a database implements [driver.Loader] and [driver.Source], and needs only
// core/driver.
//
// # Promises
//
// A binding shows only rows that a read of the database returned, so it never shows
// uncommitted or rolled back data. Every report leads to a read that begins after it. When
// sources announce their commits, or can catch up with a snapshot, every version is a state
// that the table was in. A version's token is a hash of the content: the same on every node
// and in every run. Snapshots never change, and reading them never waits. At most one read
// of a table is in flight. Every queue is bounded.
//
// # Concurrency
//
// Everything may be called from any goroutine, unless its comment says otherwise. After
// Registry.Shutdown has returned nil, nothing is called any more and no goroutine is left.
package core
