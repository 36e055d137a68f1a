// Package warmstart keeps snapshots of bindings on disk. After a restart the program
// serves them at once, even while its database is away or locked, and then goes on from
// there.
//
//	reg.Use(warmstart.New("/var/lib/shop", "postgres://db.example/shop"))
//
// # What a restart looks like
//
// When the registry starts, every binding with a snapshot serves it: the same rows with
// the same version token. [core.Registry.Start] then does not wait for the database. The
// state of these bindings is [status.Restored]; the registry is ready, and reports them as
// stale. Once the database has been read, subscribers get the differences as events. A
// client that holds the snapshot's version, or an earlier one that the saved log reaches,
// resumes without a sync. A client may hold a later version, which was lost with the
// process: it gets a sync of the snapshot and then the differences.
//
// Go code reads the saved rows too. They are decoded from JSON on demand. If JSON does not
// hold all of a row, such as a field with the tag "-", Go code finds no rows until the
// database has been read. The log says so when the snapshot is written.
//
// # What is kept
//
// Every binding that is declared before Start has its own file, NAME.snapshot; so have
// limited and derived bindings. Members of families, and scopes, are not kept.
//
// # When it is written
//
// A snapshot is written when its binding has not changed for [Config].Quiet, at the latest
// [Config].MaxDelay after a change, and at shutdown, but not within [Config].MinInterval
// of the last time. The new file is written beside the old one, synced, and renamed, so a
// crash leaves either the old file or the new one. All files together take at most
// [Config].MaxBytes.
//
// # Files that are ignored
//
// A file is ignored if it is damaged, truncated, or has another format; if it belongs to
// another database, or to a binding or row type with another declaration; and if its rows
// do not have the version that it names. A warning then names the file, and the binding
// loads as usual. Checksums guard against accidents, not against somebody who can write to
// the directory: keep it as private as the database. It is created for its owner alone.
package warmstart
