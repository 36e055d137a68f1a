// Package driver declares the interfaces of a database: how Bindery reads and writes its
// rows, and how it notices changes. It relates to package core as database/sql/driver does
// to database/sql: programs use core, and only authors of loaders and sources need this
// package.
//
// # Loaders
//
// A [Loader] reads the rows of one table: all of them, or those with given keys. Further
// abilities are small interfaces that the registry looks for when it starts: [Querier] runs
// conditions in the database, [Snapshotter] makes several reads see one state, [Preparer]
// learns the table before the first read, [Writer] carries out clients' writes,
// [RelationLoader] shows rows of other tables. [Describe] helps to write a loader over Go
// structs.
//
// # Sources
//
// A [Source] reports to a [Sink] which rows may have changed. It never says what a row
// looks like: the engine reads the row again, and the database decides. So a source may
// report too much, twice and in any order, but must report every commit. Package
// sources/sourcetest checks that.
//
// # Tables and keys
//
// A [Schema] describes a table, a [Table] names it, and a [Key] identifies a row in one
// comparable form.
package driver
