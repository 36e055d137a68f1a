// Package pgsource finds every change of a Postgres database, whoever makes it.
// There are two ways, and a source for each: [New] follows the server's log by
// logical replication, as standbys do; [NewTriggers] reads what triggers record,
// where the server does not offer that. [NewBest] takes the better one that server
// and role allow. What follows is about the first, unless it says otherwise; the
// last section is about the second.
//
// # Setup
//
//	reg.Watch(pgsource.New(dsn))
//
// The server runs Postgres 13 or later with wal_level = logical, and is the
// primary that the bindings read. The source takes two connections, directly and
// not through a pooler, one of the server's max_wal_senders and one of its
// max_replication_slots. The slot is temporary: it ends with the connection, and
// nothing is left behind that would keep the server from throwing its log away.
//
// A publication says which tables are followed. The source creates the one that
// [Config] names and adds what is bound, where its role may. Otherwise the role
// needs no more than LOGIN, REPLICATION and CONNECT to the database, with USAGE of
// the tables' schemas, and the owner of the tables runs once:
//
//	CREATE PUBLICATION bindery FOR TABLE products, orders;
//
// Every table needs a replica identity that holds the binding's key, which its
// primary key does unless somebody changed it. What a table or a publication
// lacks shows as an error that ends with the statement that mends it.
//
// # Delivery
//
// Inserts, updates and deletes are reported by key, under the old and the new
// one where it changed. TRUNCATE, and a table that was altered, are reported as
// the whole table; so are more than Config.MaxKeys keys at once, and keys whose
// text in the log is not certainly the loader's: floats, times of infinity or
// before Christ, and what Go has no kind for. Changes of partitions and
// children concern the tables they belong to.
//
// A commit is reported when it is visible to a read that begins then, which may
// be after it is in the log: always with synchronous standbys, by an instant
// otherwise. After every gap the registry reads everything again.
//
// [Source.CatchUp] makes versions whole: before a batch is published, all that its
// snapshot shows has been reported, so none shows a part of a transaction. It
// works where the loader lets its snapshot be questioned, as that of bunsource
// does. Commits that were not flushed (synchronous_commit = off), and other
// transactions' unflushed writes, are flushed for it, by an empty record
// that the source commits.
//
// # Ordering
//
// Reports come in the order in which commits became visible, those that did at
// once together.
//
// # Back-pressure
//
// There is none: the sink does not block, and keys that nobody has read yet are
// bounded there. Here the keys of transactions that are not reported yet are
// bounded by Config.MaxKeys.
//
// # Shutdown
//
// Watch returns when its goroutines have ended and its connections are closed,
// within a few seconds even if the server does not answer.
//
// # Errors
//
// Any failure ends Watch, and the registry calls it again, with back-off. An
// error of [Source.Validate] is permanent.
//
// # Limits
//
//   - A slot begins when all transactions that were writing have ended, on the
//     whole server. See Config.StartTimeout.
//   - What the log does not tell is not seen: changes of views, foreign and
//     unlogged tables. A table that was altered, or replaced by another one, is
//     noticed within Config.SchemaInterval, one that was taken out of the
//     publication within Config.AuditInterval.
//   - Publications that leave out kinds of changes or rows, or that hide
//     partitions (publish_via_partition_root), are refused.
//   - A transaction is received when it has been committed (protocol version 1 of
//     pgoutput): the server keeps a long one on its disk meanwhile, and while it
//     sends it, reads of other changes may not catch up and read whole tables.
//
// # Triggers
//
//	err := pgsource.Outbox{}.Install(ctx, dsn, tables...) // once, by the owner of the tables
//	reg.Watch(pgsource.NewTriggers(dsn))
//
// Triggers write the keys of what a statement has changed to a table, the
// outbox, in the same transaction, and NOTIFY, whose message is empty: it only
// wakes those who read. Each of them reads the records of the transactions that
// became visible since it last did, at each notification, at an interval, in
// case that one was lost, and in [TriggerSource.CatchUp]. So whole transactions
// are reported, visible ones, as with the log; and catching up is one more
// reading.
//
// Readers do not delete, and store no position: who begins has everything read in
// full. Records are deleted when they are old; who has not read them by then,
// or could not read for so long that writers stopped to record, notices it
// and reports whole tables. While nobody reads, nothing is recorded.
//
// It needs Postgres 13 or later, and two connections to the primary, directly
// and not through a pooler. Its limits:
//
//   - Statements that change rows without firing triggers are noticed within
//     TriggerConfig.AuditInterval, and the whole table is then reported: ALTER
//     TABLE; ATTACH, DETACH and DROP of a partition; TRUNCATE of just a partition
//     that is younger than the triggers.
//   - Rows that logical replication writes fire triggers for each row only, see
//     Outbox.RowTriggers.
//   - A key column is not renamed or dropped without installing again in the same
//     transaction: the triggers would fail, and the writers with them.
//   - Who owns a table may disable its triggers. That is noticed within
//     TriggerConfig.AuditInterval.
package pgsource
