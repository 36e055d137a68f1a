package driver

import (
	"context"
	"slices"
)

// Source watches for committed changes and reports them. It never says what a row looks
// like, only that something may have changed and is committed: the engine reads the rows
// again, and the database decides. So a source may report twice, too much, or in any order.
// But it must report every commit, and never before a fresh read can see it.
//
// A source also implements [Scoper], [Follower], [Chooser] and [Validator] where they fit.
// Its constructor does no I/O and starts no goroutines; all work happens in Watch.
type Source interface {
	// Name names the source in logs, metrics and errors, for example
	// "pgsource". It need not be unique.
	Name() string

	// Watch watches until ctx is done, stops everything that it started, and returns. The
	// registry calls it on a goroutine of its own, one call at a time. Watch calls
	// sink.Watching as soon as it is certain to report every later commit, and again when
	// it has recovered after sink.Lost.
	//
	// A return before ctx is done is a failure, whatever the error: the registry counts it
	// as Lost and calls Watch again, waiting longer after each failure (0.1 to 30 seconds,
	// with jitter). It does not retry after an error marked by [Permanent]. It logs
	// repeated errors with the same text once.
	Watch(ctx context.Context, sink Sink) error
}

// Scoper is implemented by sources that do not see every table. Without it the registry
// assumes that the source sees every bound table.
type Scoper interface {
	// Scope returns which tables the source sees. It is called often, from any goroutine,
	// and must not block. The caller does not modify the result.
	Scope() Scope
}

// Scope says which tables a source sees: those of one database, or only some of
// them, or any.
type Scope struct {
	// Database names the database whose tables the source sees, see [Table].Database. It is
	// ignored when Any or Tables is set.
	Database string
	// Any says that the source sees every table of every database.
	Any bool
	// Tables, when not empty, are the only tables that the source sees, because its user
	// has listed them. An empty Schema matches any. Start fails when one of them is not
	// bound, and names it.
	Tables []Table
}

// Covers reports whether the table is within the scope.
func (s Scope) Covers(t Table) bool {
	if len(s.Tables) > 0 {
		return slices.ContainsFunc(s.Tables, t.matches)
	}
	return s.Any || t.Database == s.Database
}

// Validator is implemented by sources, transports and plugins that can check their
// configuration without I/O. Start returns their errors together with all others, and
// starts nothing.
type Validator interface {
	Validate() error
}

// Follower is implemented by sources that follow the database's own log and so learn of
// commits after they are visible. It closes the gap: a read could otherwise show a part of
// a transaction whose report has not come yet.
type Follower interface {
	// CatchUp returns nil when every commit visible in the snapshot has been reported. The
	// context bounds the wait; the source may query the snapshot with [Scalar]. After an
	// error the engine reads the whole table in the snapshot instead. The feeds of the
	// tables that the source covers call CatchUp concurrently, while the source is
	// watching.
	CatchUp(ctx context.Context, s Snapshot) error
}

// Chooser is implemented by sources that delegate to another source, which they choose once
// they know what the database allows. A Chooser counts as a [Follower] exactly while its
// chosen source is one.
type Chooser interface {
	// Chosen returns the source that watches now, nil while there is none. It is called
	// often, from any goroutine, and must not block.
	Chosen() Source
}

// Change names rows of a table that may have changed.
type Change struct {
	// Table is the table, as [Sink.Tables] spells it. An empty Name means every bound table
	// of the database.
	Table Table
	// Keys are the keys of the rows; nil means the whole table. The engine owns the slice
	// from the call on.
	Keys []Key
	// Compare marks a change of a whole table as not urgent, such as the result of a poll
	// or of a periodic check. The engine then compares the table with the bindings in the
	// background, in pieces and within a share of the time, and publishes the differences.
	// Without Compare it reads the table's bindings in full at once, and the reporter can
	// wait for that. Compare has no effect with Keys, or in an announcement.
	Compare bool
	// Log, with Compare, tells which rows changed. When it covers them all the engine reads
	// these at once, in one state of the database, so that whole commits show before the
	// comparison ends. Otherwise the comparison finds the changes, and until it ends the
	// engine shows nothing from the log.
	Log ChangeLog
	// Writer is the writer's context, where the source knows it: that of the statement, or
	// of the start of the transaction. It carries values only (a trace, a user), and never
	// ends. nil means unknown, as for writes of other processes. Plugins see it, see
	// core.ReportObserver. It has no effect in an announcement.
	Writer context.Context
}

// Sink receives a source's reports. Its methods may be called from any goroutine,
// concurrently; none blocks and none fails. It drops changes of tables that nobody binds,
// and everything after shutdown.
type Sink interface {
	// Tables returns the tables that bindings read or depend on and that the source covers
	// now, and a channel that is closed when that set changes. A table that bindings only
	// depend on has no columns and no key: report it as a whole.
	Tables() ([]Schema, <-chan struct{})

	// Report says that the changes are committed and visible to a read that
	// begins now.
	Report(changes ...Change) Receipt

	// Announce says that the changes are about to be committed: call it before the commit
	// begins. Until the announcement is confirmed, the engine makes sure that no snapshot
	// shows only a part of them: it includes announced rows in every read. Announcing a
	// whole table means that the keys are not known yet. Every announcement must be
	// confirmed, even after a rollback. A commit that changes one row of one table need not
	// be announced, since it has no parts, unless other rows show that row
	// ([Schema].Shown).
	Announce(changes ...Change) Announcement

	// Watching says that from now on every commit is reported. The engine reads again what
	// it loaded before, unless the source has been watching since before that read.
	Watching()

	// Lost says that commits may go unreported until Watching is called again. Meanwhile
	// the bindings of the covered tables are stale, even when another source watches them,
	// since that one may see less.
	Lost(err error)
}

// Holder is implemented by sinks that know which rows bindings hold, as the registry's do.
// It serves sources that compare: their own record of the database may lack a row that a
// binding has read since.
type Holder interface {
	// Held calls visit with the keys of the rows that the table's bindings came to hold
	// since the source's last call for that table. On the first call, and when more has
	// changed than the engine remembers, these are all rows that they hold. It reports
	// whether any binding has changed its version since that call. A key may be visited
	// once for each binding. Only one goroutine at a time may call it for a table; it holds
	// no lock while visit runs.
	Held(table Table, visit func(Key)) (changed bool)
}

// Announcement is a pending commit, see [Sink.Announce].
type Announcement interface {
	// Confirm says that the commit is visible or was rolled back. The given changes replace
	// the announced ones; with none given the announced ones stand. Only the first call
	// counts.
	Confirm(changes ...Change) Receipt
	// Withdraw says that nothing was committed and the engine need read nothing.
	Withdraw()
}

// Receipt lets a writer wait until bindings show its change.
type Receipt interface {
	// Wait returns nil when every binding affected by the report has caught up. It does not
	// wait for bindings in trouble, nor for slow queries that are run anew whenever a table
	// changes, unless these ask for it (core.Tuning.WritesWait). It returns the context's
	// error when that ends first, [ErrLate] when an earlier wait has timed out, and
	// live.ErrClosed when the registry shuts down. It may be called any number of times,
	// from any goroutine.
	Wait(ctx context.Context) error
}
