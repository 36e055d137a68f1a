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
// On a database opened with it, the hooks go by these rows: they report exact
// keys, whatever the statement is, and see what the database does by itself,
// such as triggers, foreign keys that cascade and rows displaced by REPLACE.
//
// With every other driver (Postgres, MySQL, and other drivers for SQLite, or a
// connector that wraps modernc.org/sqlite) they go by the text of statements. A
// statement is reported by key where its text, with its arguments, proves
// which keys it touches: an INSERT with the keys among its values; an UPDATE or
// DELETE whose conditions, joined by AND, bind the key to values (WherePK and
// Bulk do); and whatever returns its key in RETURNING, as Bun's INSERT does for
// keys that the database makes. Otherwise the whole table is reported, and for
// text that is not understood (CALL, DO, most DDL), every table. A statement that
// changed no row is not reported. Text is understood as SQLite, Postgres and
// MySQL write it; with any other dialect each write reports every table.
//
// What a transaction writes is gathered and announced just before the commit,
// and confirmed when the commit has returned; so is a statement of its own
// that may change more than one row. A rollback reports nothing. Where the
// answer to a commit is lost, it is taken to have happened, and is reported
// again several times in the minute that follows.
//
// # Reading one's own writes
//
// A write through Bun returns when the bindings that it concerns have caught
// up, within [HooksConfig].WaitTimeout and the write's context; see
// [HooksConfig].Async. It does not wait inside a transaction, nor while it
// holds the pool's last connection, which the engine needs to read. Writes
// to the *sql.DB without Bun do not wait.
//
// # Limits
//
// The hooks do not see other processes. Where they go by the text of statements,
// they see what this process sends, and not what the database does by itself:
// triggers, foreign keys with ON DELETE CASCADE or SET NULL, and rules. Of functions
// that a statement calls they ask the catalogue of Postgres and MySQL whether they may
// write; what others define is known ten seconds later. Nor do they know what a view shows: a bound
// view is updated by writes to its tables only if it is said to depend on them
// ([core.DependsOn]), and a bound table not by writes to a view of it or to one
// of its partitions. Add a source that sees such changes: pollsource for any
// database.
//
// Where they go by rows, a program must not register its own pre-update, commit
// or rollback hook on a connection: it would replace theirs. Keys of computed
// columns are reported as the whole table. Text keys with a NUL character are
// not seen, for the driver cuts them there.
//
// [Bun]: https://bun.uptrace.dev
package bunsource
