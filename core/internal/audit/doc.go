// Package audit compares a table of the database with the rows that bindings hold, while
// the table's feed goes on.
//
// An [Auditor] belongs to one feed. Whoever wants a comparison hands it a
// [Ticket]; tickets that come while a comparison is under way share the next.
// A comparison opens one read-only snapshot of the database between two
// batches of the feed (a [Pass]), reads the table in pieces, rests after each
// (a [Limiter] bounds its share of the time), and keeps only the rows that
// differ. The feed then publishes these as they were in the snapshot. It skips
// rows that it has read since, because it holds newer ones.
//
// A comparison needs no second copy of the table. It records the held rows that
// it has found as counts and sums of hashes in a fixed number of buckets. The
// held rows of a bucket that does not balance are read once more, by key. So it
// also finds rows that are gone.
//
// The package knows neither bindings nor loaders: the feed implements [Feed],
// [Pass], [Reading] and [Binding].
package audit
