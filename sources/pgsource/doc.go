// Package pgsource finds every change of a Postgres database, whoever makes it.
// It has two sources: [New] follows the server's log by logical replication;
// [NewTriggers] reads what triggers record, for servers without logical replication.
// [NewBest] uses the better one that server and role allow. The following sections
// are about New; the last one is about NewTriggers.
//
// # Setup
//
//	reg.Watch(pgsource.New(dsn))
//
// The server runs Postgres 13 or later with wal_level = logical, and is the
// primary that the bindings read. The source takes two connections, directly and
// not through a pooler, one of the server's max_wal_senders and one of its
// max_replication_slots. The slot is temporary: it ends with the connection, so
// the server never keeps its log for a source that is gone.
//
// A publication says which tables are followed. If its role may, the source creates
// the one that [Config] names and adds the bound tables. Otherwise the role
// needs only LOGIN, REPLICATION and CONNECT to the database, with USAGE of
// the tables' schemas, and the owner of the tables runs once:
//
//	CREATE PUBLICATION bindery FOR TABLE products, orders;
//
// Every table needs a replica identity that holds the binding's key. By default that
// is the primary key. If a table or a publication lacks something, the error ends
// with the statement that adds it.
//
// # Delivery
//
// Inserts, updates and deletes are reported by key; an update that changes the key,
// by the old and the new one. The whole table is reported for TRUNCATE, for an altered
// table, for more than Config.MaxKeys keys at once, and for keys whose text in the log
// may differ from the loader's: floats, times of infinity or before Christ, and types
// without a Go kind. Changes of partitions and children concern the tables they belong
// to.
//
// A commit is reported as soon as new reads see it. That may be after it is in the
// log: always with synchronous standbys, by an instant otherwise. After every gap the
// registry reads everything again.
//
// [Source.CatchUp] keeps transactions whole: before a batch is published, the source
// has reported every commit that the batch's snapshot shows. It needs a loader whose
// snapshot can run a query ([driver.ScalarSnapshot]), such as bunsource's. If commits
// or other writes are not flushed yet (synchronous_commit = off), the source flushes
// them by committing an empty record.
//
// # Ordering
//
// Reports come in the order in which commits became visible. Commits that became
// visible at the same time are reported together.
//
// # Back-pressure
//
// There is none: the sink does not block, and bounds the keys that wait to be read.
// Config.MaxKeys bounds the keys of transactions that are not reported yet.
//
// # Shutdown
//
// Watch returns when its goroutines have ended and its connections are closed,
// within a few seconds even if the server does not answer.
//
// # Errors
//
// Any failure ends Watch, and the registry calls it again, with back-off. Errors of
// [Source.Validate] are permanent.
//
// # Limits
//
//   - A slot begins when all transactions that are writing, on the whole server, have
//     ended. See Config.StartTimeout.
//   - The log has no changes of views, foreign and unlogged tables, so the source
//     does not see them. It notices within Config.SchemaInterval that a table was
//     altered or replaced, and within Config.AuditInterval that it was removed
//     from the publication.
//   - Publications that leave out kinds of changes or rows, or that hide
//     partitions (publish_via_partition_root), are refused.
//   - The server sends a transaction after its commit (protocol version 1 of
//     pgoutput), and keeps a long one on its disk until then. While it sends a long
//     one, reads of other changes may fail to catch up, and then read whole tables.
//
// # Triggers
//
//	err := pgsource.Outbox{}.Install(ctx, dsn, tables...) // once, by the owner of the tables
//	reg.Watch(pgsource.NewTriggers(dsn))
//
// Triggers write the keys of the rows that a statement changes to a table, the
// outbox, in the same transaction. They also NOTIFY with an empty message, to wake
// the sources. A source reads the records of all transactions that became visible
// since its last read: at each notification, at an interval in case one was lost,
// and in [TriggerSource.CatchUp]. So it reports whole, visible transactions, as with
// the log.
//
// Sources do not delete records, and store no position: a source that begins has all
// tables read in full. Old records are deleted. A source that has not read them by
// then, or was away for so long that the triggers stopped recording, notices that
// and reports whole tables. While no source reads, the triggers record nothing.
//
// It needs Postgres 13 or later, and two connections to the primary, directly
// and not through a pooler. Its limits:
//
//   - Statements that change rows without firing triggers are noticed within
//     TriggerConfig.AuditInterval, and the whole table is then reported: ALTER
//     TABLE; ATTACH, DETACH and DROP of a partition; TRUNCATE of just a partition
//     that is younger than the triggers.
//   - Rows that logical replication writes fire row triggers only, see
//     Outbox.RowTriggers.
//   - A migration that renames or drops a key column must install the triggers again
//     in the same transaction. Otherwise they fail, and the writes with them.
//   - The owner of a table may disable its triggers. The source notices that within
//     TriggerConfig.AuditInterval.
package pgsource
