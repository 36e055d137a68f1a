// Package pollsource finds changes by asking, at an interval. It is for what
// other sources cannot see (writes by other programs, by triggers, by hand)
// and for auditing the sources that see more.
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
// What a check misses is found by the full pass: now and then every table is
// compared, as often as Config.FullPass says or, by default, as the
// table above. DataVersion and XMin make none while nothing is committed. [Config] also restricts a source to some tables or to another
// database, and lets the interval grow while nothing changes.
//
// Checks take a *bun.DB for its dialect; their statements run on the *sql.DB
// beneath it, past Bun's hooks. It must be the database that the bindings
// read, not a replica that lags behind it.
//
// # Delivery
//
// A change is reported, by key or as a table to be compared, at the first poll that
// begins after its commit, if the check can see it, and at the next full pass
// otherwise. What changes twice between two polls is seen once, and what comes
// and goes not at all. A poll first asks and then reports, so that what is
// committed in between is found by the next.
//
// Nothing is announced. A table that is compared shows a transaction as a whole,
// but for the exceptions in docs/guarantees.md; one that writes several tables may
// show in one of them before it shows in the others.
//
// A table that is bound while the source runs is looked at right away, and
// read once more after that.
//
// # Ordering
//
// There is none to speak of: the findings of one poll are reported together,
// after those of the polls before.
//
// # Back-pressure
//
// One statement runs at a time. The interval counts from the end of a poll, and
// a poll that reported something ends when the engine has caught up, or after
// one more interval. After a poll whose statements took long the next one waits at
// least three times as long. Comparisons have a share of the time of their own.
//
// # Shutdown
//
// Watch returns as soon as the statement under way has been cancelled, and the
// watching of SQLite's files has ended. The connection that [DataVersion] keeps goes back
// to its pool.
//
// # Errors
//
// A look that fails, or takes longer than Config.Timeout, makes the source
// lost: bindings that no other source watches are stale. The same text is told
// once. The table is looked at again at the next poll, while the others go on;
// when no table answers, the waits double from one interval to 30 seconds (or
// one interval, if that is longer). After a failure nothing of what was known
// about the table is trusted: it is read whole, and when all tables answer the
// source is watching again.
//
// Mistakes in the setup are permanent errors of Watch; [Source.Validate] tells
// them earlier.
//
// # Limits
//
// [XMin] and [Watermark] remember rows, see their MaxRows; everything else
// takes a constant amount of memory for each table. Tables are looked at one
// after the other, so one that is slow delays the rest of its poll by
// Config.Timeout at most; give it a source of its own. Intervals are measured
// by the monotonic clock: setting the system's clock has no effect on them.
package pollsource
