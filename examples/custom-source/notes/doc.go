// Package notes is a loader of one's own over database/sql: a table of SQLite, read and
// written by plain SQL. It shows what a program without Bun needs for bindings that
// clients may write.
//
// [Table.Load] reads rows by key. The methods of [driver.Writer] carry out what clients
// write, in one transaction each. A source reports the changes: sources/sqlitesource, for
// the connections that it makes.
package notes
