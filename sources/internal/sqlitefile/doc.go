// Package sqlitefile detects commits in the files of a SQLite database, and whether
// another process made them.
//
// SQLite counts commits: in the header of the WAL index (the file -shm) in WAL
// mode, in the header of the database otherwise. A [Counter] reads the number
// from the file, which takes about a microsecond and no lock. It moves by
// exactly one for each commit that wrote anything, and not for others.
//
// A [Ledger] counts how many of these commits a pool of connections has made: it
// reads the counter before and after each. The rest are the others'.
//
// A [Log] reads from the write-ahead log which rows were changed between two positions:
// all of them, or an error.
//
// An [Alarm] calls a function when the files are written, so that it can compare the
// counter.
package sqlitefile
