// Package warmstart keeps snapshots of bindings on disk, so that a program that is
// started again serves what it held before at once, also while its database is away
// or locked, and then goes on from there.
//
//	reg.Use(warmstart.New("/var/lib/shop", "postgres://db.example/shop"))
//
// # What a restart looks like
//
// When the registry starts, every binding that has a snapshot serves it: the same rows,
// the same version token. [core.Registry.Start] does not
// wait for the database then. The bindings' state is restored ([status.Restored]),
// the registry is ready and names them as stale. Once the database has been read,
// subscribers get what differs, as events; a client that held the snapshot's version
// resumes without a sync. A client at a version that came after the snapshot, and was
// lost with the process, gets a sync of the snapshot and then the difference.
//
// Go code reads the saved rows too, as values decoded from JSON when they are asked
// for. Where JSON does not hold all of a row (a field with the tag "-", for one) Go
// code finds no rows until the database has been read, and a line in the log has said
// so when the snapshot was written.
//
// # What is kept
//
// Every binding that is declared before Start, limited and derived ones too, has a
// file of its own: NAME.snapshot. Members of families and of scopes are not kept.
//
// # When it is written
//
// Seldom: when a binding has been quiet for a while ([Config].Quiet), at the latest
// [Config].MaxDelay after a change, no sooner than [Config].MinInterval after the last
// time, and at shutdown. A file is written beside the old one, synced, and put in its
// place by renaming, so a crash leaves the old one or the new one. Together they take
// no more than [Config].MaxBytes.
//
// # What is not believed
//
// A file that is damaged, truncated, of another format, of another database, or of a
// binding (or row type) that was declared otherwise, is ignored with a warning that
// names it, and the binding loads as usual. So is one whose rows do not amount to the
// version that it says. Checksums guard against accidents, not against somebody who
// may write to the directory: keep it as private as the database is. It is made for
// its owner alone.
package warmstart
