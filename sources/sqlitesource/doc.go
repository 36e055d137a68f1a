// Package sqlitesource reports what is written to a SQLite database, by key and
// exactly, for the driver [modernc.org/sqlite].
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
// The connector goes wherever a [driver.Connector] is taken, also into the
// wrappers of other packages (bunsource.OpenConnector). The hooks of bunsource
// report by the text of statements then, for this source has the rows. [Wrap] takes a connector
// that was made elsewhere, such as one that attaches databases.
//
// # What it sees
//
// On connections of the connector, everything that changes a row: raw
// SQL and bulk statements, prepared statements, upserts and rows displaced by
// REPLACE, DELETE without WHERE, triggers, foreign keys that cascade, tables
// WITHOUT ROWID, attached databases. SQLite itself tells the source the
// values of each row before and after, so that it reports the keys and not
// what a statement's text suggests.
//
// Whole tables are reported where keys are not to be had: after any change of
// the schema (all bound tables), beyond 65,536 keys of a table in one
// transaction, for keys that are generated columns or whose stored values do
// not convert to the column's kind, for transactions that began before the
// source was watching, and after [Unwrap]. A bound view or virtual table is
// reported whole with every commit, since SQLite does not tell what it shows.
//
// Commits of other processes, and of connections that the connector has not made,
// are found by counting: SQLite counts all commits in its files, and the connector its
// own. The rest is somebody else's. In WAL mode the rows that it has changed are looked up in the log
// and read at once, but for tables WITHOUT ROWID and attached databases; besides,
// every bound table is compared. The source
// looks when the files are written, and at [Config].Interval besides. Where the files
// cannot be read it uses PRAGMA data_version, which does not say whose commit it was:
// then tables are compared every [Config].Audit while this process writes as well.
// The files stay open until the process ends: closing them would drop the locks of
// SQLite's own connections.
//
// # What it does not see
//
//   - Writes of other connections that a database in memory shares, if no
//     connection is made of it by the connector: the number then does not move.
//   - What happens in an attached database through other processes, unless the
//     connector itself attaches it to each connection. Tables of "temp" belong to
//     one connection and are never reported.
//   - Text keys with a NUL character in them: the driver cuts them there.
//   - A commit of somebody else's within the microseconds in which one of this
//     process ends that has written nothing after all.
//   - Hooks replace each other. A program that registers its own pre-update,
//     commit or rollback hook on a connection of the connector blinds the source.
//
// # Delivery
//
// A commit of more than one row is announced from SQLite's commit hook, before
// it is visible, and confirmed when the driver's call that committed has
// returned. Where such a call returned an error, the commit is reported
// nevertheless, since it may have been made. A rollback reports nothing.
//
// By default that call returns when the bindings concerned have caught up, see
// [Config].Async: a program reads its own writes.
//
// # Back-pressure
//
// None: reports never wait. A transaction holds the keys it has written, up to
// the bound above per table, then only the table's name.
//
// # Shutdown
//
// Watch returns when its context is done and leaves nothing behind. The
// connections stay usable; what they write is no longer recorded.
//
// # Errors
//
// Watch fails for a wrong configuration, for good, and when the database cannot
// be opened, to be tried again. A later failure to ask for data_version is told
// to the sink as Lost and retried at the interval; a locked database is not a
// failure.
//
// [modernc.org/sqlite]: https://pkg.go.dev/modernc.org/sqlite
package sqlitesource
