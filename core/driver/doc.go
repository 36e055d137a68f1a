// Package driver declares what a database brings to Bindery: how its rows are
// read and written, and how its changes are noticed. It stands to package core
// as database/sql/driver stands to database/sql: programs use core, and only
// those who write a loader or a source need this package.
//
// # Loaders
//
// A [Loader] reads the rows of one table: all of them, or those of given keys.
// Its further abilities are small interfaces, found by assertion when the
// registry starts: [Querier] runs conditions in the database, [Snapshotter]
// reads several statements from one state, [Preparer] learns the table before
// the first read, [Writer] carries out clients' writes, [RelationLoader] shows rows of
// other tables. [Describe] is the beginning of a loader over Go structs.
//
// # Sources
//
// A [Source] reports to a [Sink] which rows may have changed. It never says
// how a row looks: the engine reads the row again, and the database decides. So
// a source may report too much, twice and in any order, but must not stay
// silent about a commit. Package sources/sourcetest holds sources to that.
//
// # Tables and keys
//
// A [Schema] describes a table, a [Table] names it, and a [Key] names a row in
// one comparable form.
package driver
