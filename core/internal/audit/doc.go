// Package audit compares a table of the database with the rows that are held of
// it, beside the feed that keeps them.
//
// An [Auditor] belongs to one feed. Whoever wants a comparison hands it a
// [Ticket]; tickets that come while a comparison is under way share the next.
// A comparison opens one read-only snapshot of the database between two
// batches of the feed (a [Pass]), reads the table in pieces, rests after each
// (a [Limiter] bounds the share of the time), and keeps only the rows that
// differ. The feed then publishes these as they were in the snapshot, but for
// those that it has read since: what it holds of them is newer.
//
// A comparison holds no second copy of the table. It remembers which held rows
// it has come upon as counts and sums in a fixed number of buckets; the held
// rows of a bucket that does not come out even are read once more, by key. So
// it also finds rows that are gone.
//
// The package knows neither bindings nor loaders: the feed implements [Feed],
// [Pass], [Reading] and [Binding].
package audit
