// Package sqlitesource reports writes to a SQLite database by exact keys, for the
// driver [modernc.org/sqlite].
//
// # Setup
//
// Make the source, and open the database through it:
//
//	src, err := sqlitesource.New("file:shop.db?_pragma=journal_mode(WAL)")
//	…
//	db := bun.NewDB(sql.OpenDB(src.Connector()), sqlitedialect.New())
//	reg.Watch(src)
//
// The connector can be used like any [driver.Connector], also in the wrappers of other
// packages (bunsource.OpenConnector). The hooks of bunsource then parse statements,
// because this source observes the rows. [Wrap] takes a connector that was made
// elsewhere, such as one that attaches databases.
//
// # What it sees
//
// On the connector's connections, the source sees everything that changes a row: raw
// SQL and bulk statements, prepared statements, upserts and rows displaced by
// REPLACE, DELETE without WHERE, triggers, foreign keys that cascade, tables
// WITHOUT ROWID, attached databases. SQLite passes it the values of each row before and
// after the change, so it need not parse statements.
//
// It reports a whole table if it has no keys: after any change of
// the schema (all bound tables), beyond 65,536 keys of a table in one
// transaction, for keys that are generated columns or whose stored values do
// not convert to the column's kind, for transactions that began before the
// source was watching, and after [Unwrap]. It reports a bound view or virtual table
// whole with every commit, because SQLite does not tell which tables it shows.
//
// It finds commits of other processes and connections by counting: SQLite counts all
// commits in its files, and the connector its own. In WAL mode the rows that others have
// changed are looked up in the log and read at once, except in tables WITHOUT ROWID and
// attached databases; then every bound table is compared. The source
// looks when the files are written, and at [Config].Interval. If the files
// cannot be read it uses PRAGMA data_version, which does not say whose commit it was:
// then tables are compared every [Config].Audit while this process writes too.
// The source keeps the files open until the process ends, because closing them would
// drop the locks of SQLite's own connections.
//
// # What it does not see
//
//   - Writes of other connections to a shared database in memory, while the
//     connector has no connection to it: data_version then does not change.
//   - Writes of other processes to an attached database, unless the
//     connector itself attaches it to each connection. Tables of "temp" belong to
//     one connection and are never reported.
//   - Text keys with a NUL character in them: the driver cuts them there.
//   - Another's commit within the microseconds in which a commit of this process
//     ends that has written nothing.
//   - Hooks replace each other. A program that registers its own pre-update,
//     commit or rollback hook on a connection of the connector blinds the source.
//
// # Delivery
//
// A commit of more than one row is announced from SQLite's commit hook, before
// it is visible, and confirmed when the committing call of the driver has
// returned. If that call returns an error, the commit is reported all the same,
// because it may have succeeded. A rollback reports nothing.
//
// By default that call returns when the affected bindings have caught up, so that a
// program reads its own writes; see [Config].Async.
//
// # Back-pressure
//
// None: reports never wait. A transaction holds the keys it has written, up to
// the bound above per table, then only the table's name.
//
// # Shutdown
//
// Watch returns when its context is done. The connections stay usable; their writes
// are no longer recorded.
//
// # Errors
//
// Watch returns a permanent error for a wrong configuration, and an error that is
// retried if the database cannot be opened. If a later look fails, the source is lost,
// and looks again at the interval; a locked database is not a failure.
//
// [modernc.org/sqlite]: https://pkg.go.dev/modernc.org/sqlite
package sqlitesource
