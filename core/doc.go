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
// A [Family] is a binding with parameters, whose members come alive when
// somebody asks for them. An [Authorizer] says who may see and write what.
//
// # Use
//
// A program makes a [Registry], gives it bindings, sources and transports, and
// calls Start, which reports every problem at once before anything runs. Shutdown
// ends it in order. The Bind functions of sources/bunsource make bindings of Bun
// models; [Bind] makes one of any loader. Reading takes no lock:
//
//	for p := range products.All() { … }
//	p, ok := products.Get(42)
//
// # Which handle you hold when
//
// Programs hold
//
//   - a [Registry]: [NewRegistry], or [Config].NewRegistry. It assembles, starts, stops, and does
//     things to several bindings at once;
//   - a [Binding] for each list they declare ([Bind], with options: [Where], [OrderBy], [Ordered],
//     [Limit], [Columns], [Serialize], [DependsOn], [Writable], [Tune], [ForLoader]). It reads typed rows, tells of
//     changes (OnChange, with a [Delta]), and is resynced, cleared, touched and verified;
//   - a [Family] for each list with parameters ([BindFamily]), and a [Member] of it while they use one
//     ([Args] name it);
//   - a [Snapshot] to read one version several times; [WithSnapshots] does the same for a whole
//     request;
//   - an [Authorizer] if not everybody may see everything: it answers an [Access] with a [Decision].
//
// Transports implement [Transport] (and [MonitorLinker], [StatusReporter]) and hold
//
//   - a [Grant], from Registry.Open with the client's context, arguments ([TextArgs], [JSONArgs]) and filter: the
//     leave to read and write, until Close;
//   - the [live.View] that it gives, which speaks in encoded rows, and a [live.Subscription].
//
// Plugins implement [Plugin], and what they need of [PublishObserver], [ReportObserver],
// [BatchObserver] and [DeliveryObserver]. They hold
// the Registry that Start gives them, and look bindings up by Lookup and Changed.
//
// Who brings another node's rows implements [Replicator] (and [MarkReplicator], [OriginReporter]), and publishes to a [Replica].
//
// Who brings a database implements [driver.Loader] and [driver.Source], and imports core/driver alone.
//
// # Promises
//
// A binding shows only what a read of the database returned, so it never shows
// what was rolled back. Every report leads to a read that begins after it. Where
// sources announce their commits, or can catch up with a snapshot, every version
// is a state that the table was in. A version's token is a hash of the content:
// the same on every node and in every run. Snapshots do not change, and reading
// them waits for nobody. At most one read of a table is in flight. Every queue is
// bounded.
//
// # Concurrency
//
// Everything may be called from any goroutine, unless its comment says
// otherwise. After Registry.Shutdown has returned nothing is called any more, and
// no goroutine is left.
package core
