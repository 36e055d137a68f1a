// Package sqlitefile tells from a SQLite database's files that somebody has
// committed, and whether it was another process.
//
// SQLite counts commits: in the header of the WAL index (the file -shm) in WAL
// mode, in the header of the database otherwise. A [Counter] reads the number
// from the file, which takes about a microsecond and no lock. It moves by
// exactly one for each commit that wrote anything, and not for others.
//
// A [Ledger] knows how many of these commits a pool of connections has made: it
// reads the counter before and after each. What is left is somebody else's.
//
// A [Log] tells from the write-ahead log which rows were changed between two positions of
// it: all of them, or that it cannot.
//
// An [Alarm] wakes up whoever compares the counter when the files are written.
package sqlitefile
