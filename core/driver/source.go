package driver

import (
	"context"
	"slices"
)

// Source watches for committed change and reports it. It never says what a row
// is, only that something may have changed and is committed: the engine reads
// the rows again and the database decides. So a source may report twice, too
// much, or in any order; what it must never do is stay silent about a commit,
// or report one before a fresh read can see it.
//
// A source implements Source, and [Scoper], [Follower], [Chooser] and [Validator] where
// they fit. Its constructor does no input or output and starts no goroutines; all of
// its work happens in Watch.
type Source interface {
	// Name names the source in logs, metrics and errors, for example
	// "pgsource". It need not be unique.
	Name() string

	// Watch watches until ctx is done, and then returns once nothing of it is
	// running any more. The registry calls it on a goroutine of its own, once
	// at a time. It calls sink.Watching as soon as every later commit is
	// certain to be reported, and again whenever that becomes true anew after
	// sink.Lost.
	//
	// A return before ctx is done is a failure, whatever the error: the
	// registry counts it as Lost and calls Watch again, waiting longer after
	// each failure (0.1 to 30 seconds, with jitter). An error wrapped by
	// [Permanent] is not retried. The error is logged once per streak of equal
	// texts.
	Watch(ctx context.Context, sink Sink) error
}

// Scoper is implemented by sources that do not see every table. Without it a
// source is taken to see all tables that are bound.
type Scoper interface {
	// Scope returns which tables the source sees. It is called often, from any
	// goroutine, and answers from memory. The caller does not modify it.
	Scope() Scope
}

// Scope says which tables a source sees: those of one database, or only some of
// them, or any.
type Scope struct {
	// Database names the database whose tables the source sees, see
	// [Table].Database. It does not count where Any or Tables is set.
	Database string
	// Any says that the source sees every table of every database.
	Any bool
	// Tables are the only tables that the source sees, when there are any,
	// because its user has named them. A Schema left empty matches any. Start
	// refuses a registry in which one of them is not bound, and says which.
	Tables []Table
}

// Covers reports whether the table is within the scope.
func (s Scope) Covers(t Table) bool {
	if len(s.Tables) > 0 {
		return slices.ContainsFunc(s.Tables, t.matches)
	}
	return s.Any || t.Database == s.Database
}

// Validator is implemented by sources, transports and plugins that can tell, without
// input or output, that they are configured wrongly. Start returns what they say
// together with everything else, and nothing is started.
type Validator interface {
	Validate() error
}

// Follower is implemented by sources that follow the database's own log and
// learn of commits after they are visible. It closes the gap in between: a read
// that sees a part of a transaction before its report has come.
type Follower interface {
	// CatchUp returns nil when every commit that the snapshot shows has been
	// reported. The context bounds the wait; the source may question the snapshot
	// with [Scalar]. After an error the engine reads the whole table in the
	// snapshot instead. CatchUp is called by the feeds of the tables that the
	// source covers, concurrently, while the source is watching.
	CatchUp(ctx context.Context, s Snapshot) error
}

// Chooser is implemented by sources that leave the work to another source, which
// they choose when they know what the database allows. A Chooser is a [Follower]
// exactly while the source that it has chosen is one.
type Chooser interface {
	// Chosen returns the source that watches now, nil while there is none. It is
	// called often, from any goroutine, and answers from memory.
	Chosen() Source
}

// Change names rows of a table that may have changed.
type Change struct {
	// Table is the table, as [Sink.Tables] spells it. A Name left empty means
	// every bound table of the database.
	Table Table
	// Keys are the keys of the rows; nil means the whole table. The slice is
	// the engine's from the call on.
	Keys []Key
	// Compare says of a whole table that nobody waits for what has changed, if
	// anything has: the finding of a poll, a pass to be safe. The engine then
	// compares the table with what it holds beside everything else that it does,
	// in pieces and within a share of the time, and publishes what differs.
	// Without it the bindings of the table are read in full at once, and whoever reports
	// it can wait for that. With Keys, and in an announcement, it has no effect.
	Compare bool
	// Log, with Compare, tells which rows were changed. When it tells all of them the
	// engine reads these at once, in one state of the database, so that the commits show
	// as a whole before the comparison ends. Otherwise the comparison finds them, and
	// until it ends nothing of what the log tells is shown.
	Log ChangeLog
	// Writer is the context of who wrote, where the source knows it: of the statement,
	// or of the transaction's beginning. It is for its values alone (a trace, a user),
	// and never ends. nil says that nobody knows, as of what other processes write.
	// Plugins see it, see core.ReportObserver. In an announcement it has no effect.
	Writer context.Context
}

// Sink is where a source reports to. Its methods may be called from any
// goroutine, concurrently; none of them blocks, and none fails: changes of
// tables that nobody binds, and whatever comes after shutdown, are dropped.
type Sink interface {
	// Tables returns what is bound, or depended on by what is bound, and covered
	// by the source now, and a channel that is closed when that set changes. A
	// table that is only depended on has no columns and no key, and is reported
	// as a whole.
	Tables() ([]Schema, <-chan struct{})

	// Report says that the changes are committed and visible to a read that
	// begins now.
	Report(changes ...Change) Receipt

	// Announce says that the changes are about to be committed: it is called
	// before the commit begins. From then on until it is confirmed the engine
	// takes care that no snapshot shows a part of them: rows announced are
	// read together with whatever else is read. An announcement of a whole
	// table says that the keys are not known yet. Every announcement must be
	// confirmed, also when the transaction was rolled back. A commit that
	// changes one row of one table need not be announced: nobody can see a part
	// of it, unless other rows show that row ([Schema].Shown).
	Announce(changes ...Change) Announcement

	// Watching says that from now on no commit goes unreported. What was
	// loaded before is read again, unless the source has been watching
	// all the time since before that read.
	Watching()

	// Lost says that commits may go unreported until Watching is called
	// again. The bindings of the tables that the source covers are marked stale
	// meanwhile, also when another source watches them: it may see less.
	Lost(err error)
}

// Holder is implemented by sinks that can tell what bindings hold; that of the
// registry does. It is for sources that compare: what they remember of the
// database can lack a row that a binding has read in the meantime.
type Holder interface {
	// Held calls visit with the keys of the rows that the table's bindings came to
	// hold since the source's last call for that table: of all that they hold at the
	// first call, and where more has changed than is remembered. It reports whether
	// any binding has another version than then. Keys that several bindings came to
	// hold are visited several times. One goroutine at a time calls it for a table;
	// no lock is held while visit runs.
	Held(table Table, visit func(Key)) (changed bool)
}

// Announcement is a commit under way, see [Sink.Announce].
type Announcement interface {
	// Confirm says that the commit is visible, or has been rolled back. The
	// changes given replace those announced; with none given the announced
	// ones stand. Only the first call counts.
	Confirm(changes ...Change) Receipt
	// Withdraw says that nothing was committed and nothing need be read.
	Withdraw()
}

// Receipt lets a writer wait until its change shows.
type Receipt interface {
	// Wait returns nil when every binding that the report concerns has caught
	// up with it. Bindings that are read in full whenever a table changes are not
	// waited for, unless they ask for it, and neither are bindings in trouble.
	// It returns the context's error when that ends first, [ErrLate] when
	// somebody else has waited in vain, and live.ErrClosed when the registry
	// shuts down. It may be called any number
	// of times, from any goroutine.
	Wait(ctx context.Context) error
}
