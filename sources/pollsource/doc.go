// Package pollsource finds changes by polling. It is for changes that other sources
// cannot see (writes by other programs, by triggers, by hand), and for auditing the
// other sources.
//
// # Setup
//
//	reg.Watch(bunsource.Hooks(db), pollsource.Every(time.Minute))
//
// has every bound table read and compared once a minute. A [Check] makes polls
// cheap enough to be frequent:
//
//	reg.Watch(pollsource.New(time.Second, pollsource.XMin(db, 0)))
//
//	check        database          finds                     reads at each poll       full pass
//	none         any               everything                every row                every poll
//	Query        any               what the query shows      the query's one row      10 minutes
//	Probe        any               what the function shows   what the function reads  10 minutes
//	DataVersion  SQLite            everything, not where     one number               10 minutes
//	XMin         Postgres          rows that differ, by key  the keys written         1 minute
//	Watermark    Postgres, SQLite  rows written, by key      the keys of recent rows  10 minutes
//
// The full pass finds the changes that a check misses: it compares every table, as
// often as Config.FullPass says; the table above has the defaults. DataVersion and XMin
// make none while nothing is committed. [Config] also restricts a source to some tables
// or to another database, and lets the interval grow while nothing changes.
//
// Checks take a *bun.DB for its dialect; their statements run on the *sql.DB
// beneath it, past Bun's hooks. It must be the database that the bindings
// read, not a replica that lags behind it.
//
// # Delivery
//
// A change is reported, by key or as a table to be compared, at the first poll that
// begins after its commit, if the check can see it, and at the next full pass
// otherwise. A row that changes twice between two polls is seen once, and a row that
// comes and goes not at all. A poll first looks and then reports; the next one finds
// commits in between.
//
// Nothing is announced. A compared table shows a transaction as a whole, with the
// exceptions in docs/guarantees.md; a transaction that writes several tables may show
// in one of them before the others.
//
// A table that is bound while the source runs is looked at right away, and
// read once more after that.
//
// # Ordering
//
// The findings of one poll are reported together, after those of earlier polls. There
// is no order among them.
//
// # Back-pressure
//
// One statement runs at a time. The interval counts from the end of a poll, and
// a poll that reported something ends when the engine has caught up, or after
// one more interval. The wait is at least three times as long as the poll's
// statements took. The engine paces comparisons separately.
//
// # Shutdown
//
// Watch returns when the running statement has been cancelled, and the watching of
// SQLite's files has ended. The connection that [DataVersion] keeps goes back to its
// pool.
//
// # Errors
//
// A look that fails, or takes longer than Config.Timeout, makes the source
// lost: bindings that no other source watches are stale. Repeated errors with the same
// text are reported once. The source retries the table at the next poll, while the
// others go on; when every look fails, the waits double from one interval to 30 seconds
// (or one interval, if that is longer). After a failure the source forgets what it knew
// about the table, which is then read in full. When all looks succeed the source is
// watching again.
//
// Mistakes in the setup are permanent errors of Watch; [Source.Validate] tells
// them earlier.
//
// # Limits
//
// [XMin] and [Watermark] remember rows, see their MaxRows; the other checks
// take a constant amount of memory for each table. Tables are looked at one
// after the other, so a slow one delays the rest of its poll, by Config.Timeout at
// most; give it a source of its own. Intervals use the monotonic clock: setting the
// system's clock does not affect them.
package pollsource
