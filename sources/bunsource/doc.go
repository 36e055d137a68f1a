// Package bunsource is Bindery for [Bun]: it binds Bun models ([Bind]) and
// queries of any kind ([BindSQL]), and reports what a program writes through
// Bun ([Hooks]).
//
// # Setup
//
// Open the database with [Open], or with [OpenConnector] for drivers that are
// configured in code, and watch it with [Hooks]. The driver is then wrapped:
// whatever this process commits is seen, and seen exactly when it has become
// visible, no matter how it was written: by Bun's queries, Bulk, upserts,
// RETURNING, raw SQL, RunInTx or BeginTx with any context, nested
// transactions, prepared statements, writing statements in Query and QueryRow,
// BEGIN and COMMIT as text, or the *sql.DB without Bun.
//
// A *bun.DB that was opened elsewhere can be given to [Hooks] as it is. Then
// there is only Bun's query hook, and the promises are weaker:
//
//   - A statement with the context of a transaction is reported at the commit.
//     Any other is reported at once, and again when the transactions that were
//     open have ended, because it may have been part of one.
//   - A writing statement in Query or QueryRow of the *bun.DB commits when its
//     rows are closed. The query hook does not learn when, so it is reported several
//     times in the minute that follows.
//   - Prepared statements, and writes to the *sql.DB without Bun, are not seen.
//
// # Delivery
//
// modernc.org/sqlite shows each row that a statement changes, before and after.
// On a database opened with it, the hooks read these rows: they report exact
// keys for any statement, and see what the database does by itself: triggers,
// foreign keys that cascade, rows displaced by REPLACE.
//
// With every other driver (Postgres, MySQL, and other drivers for SQLite, or a
// connector that wraps modernc.org/sqlite) the hooks parse the statements. They
// report keys if text and arguments prove which keys the statement touches:
// an INSERT with the keys among its values; an UPDATE or DELETE whose conditions,
// joined by AND, bind the key to values (WherePK and Bulk do); and any statement
// with its key in RETURNING, as in Bun's INSERT for generated keys. Otherwise they
// report the whole table, and for text that they do not understand (CALL, DO, most
// DDL), every table. A statement that changed no row is not reported. The hooks
// understand SQLite, Postgres and MySQL; with any other dialect each write
// reports every table.
//
// The hooks gather a transaction's writes, announce them just before the commit,
// and confirm them when the commit has returned. They treat a statement outside a
// transaction likewise if it may change more than one row. A rollback reports
// nothing. If the answer to a commit is lost, the hooks assume that it succeeded,
// and report its writes several more times within a minute.
//
// # Reading one's own writes
//
// A write through Bun returns when the affected bindings have caught up, or at
// the latest after [HooksConfig].WaitTimeout or when its context ends; see
// [HooksConfig].Async. It does not wait inside a transaction, nor while it
// holds the pool's last connection, because the engine needs one to read. Writes
// to the *sql.DB without Bun do not wait.
//
// # Limits
//
// The hooks do not see other processes. Where they parse statements, they miss
// what the database does by itself: triggers, foreign keys with ON DELETE CASCADE
// or SET NULL, and rules. They ask the catalogue of Postgres and MySQL every ten
// seconds which functions may write; a function that another process has just
// defined is unknown until then. They do not know which tables a view reads: declare
// them with [core.DependsOn], or writes to them do not update a bound view. A write
// to a view of a bound table, or to one of its partitions, does not update the
// binding. Add a source that sees such changes: pollsource for any database.
//
// Where they read rows, a program must not register its own pre-update, commit
// or rollback hook on a connection: it would replace theirs. If the key is a computed
// column, they report the whole table. They miss text keys with a NUL character,
// because the driver cuts the text there.
//
// [Bun]: https://bun.uptrace.dev
package bunsource
