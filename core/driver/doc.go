// Package driver declares the interfaces of a database: how Bindery reads and writes its
// rows, and how it notices changes. It relates to package core as database/sql/driver does
// to database/sql: programs use core, and only authors of loaders and sources need this
// package.
//
// # Loaders
//
// A [Loader] reads the rows of one table: all of them, or those with given keys. That is
// enough for a binding. Further abilities are small interfaces that the registry looks for
// when it starts:
//
//   - [Querier] runs filters, orders and limits in the database; [Condition] is a filter in
//     the loader's own terms.
//   - [Snapshotter] makes several reads see one state; [ScalarSnapshot] can be questioned by
//     sources.
//   - [Scanner] reads a large table in pieces, to compare it.
//   - [Preparer] learns the table before the first read, [SchemaChecker] notices when it has
//     been altered, and [LiteralChecker] asks the database which values it accepts.
//   - [RelationLoader] shows rows of other tables.
//   - [Writer] carries out clients' writes, and [DocumentWriter] changes parts of JSON
//     documents.
//
// [Describe] helps to write a loader over Go structs.
//
// # Sources
//
// A [Source] reports to a [Sink] which rows may have changed. It never says what a row
// looks like: the engine reads the row again, and the database decides. So a source may
// report too much, twice and in any order, but must report every commit. Package
// sources/sourcetest checks that. Further abilities of sources:
//
//   - [Scoper] says which tables the source sees, and [Validator] checks its configuration.
//   - [Follower] tells when everything that a snapshot shows has been reported, for sources
//     that learn of commits from the database's log.
//   - [ChangeLog] tells which rows changed, for sources that only notice that something did.
//   - [Looker] and [Marker] find out whether a commit has been reported, for marks.
//   - [Chooser] is a source that delegates to another one.
//
// A Sink that is also a [Holder] tells sources which rows bindings hold.
//
// # Tables and keys
//
// A [Schema] describes a table, a [Table] names it, and a [Key] identifies a row in one
// comparable form.
package driver
