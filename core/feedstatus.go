package core

import (
	"log/slog"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// FeedStats counts what a feed has done. All counters only grow.
type FeedStats struct {
	Table driver.Table
	// Reports counts calls that concerned the table, Keys the keys in them.
	Reports, Keys uint64
	// Reads counts batches read, WholeReads those that read the whole table,
	// BatchKeys the keys read in the others, Failures reads that failed.
	Reads, WholeReads, BatchKeys, Failures uint64
	// Overflows counts how often so many keys were gathered that the whole
	// table was read instead.
	Overflows uint64
	// Waited counts batches that waited for the keys of a commit under way,
	// WaitedOut those that read the whole table because the wait was too long.
	Waited, WaitedOut uint64
	// Refills counts bindings that a batch read anew because their rows in
	// memory did not tell which come next: those of a [Limit] whose margin was
	// used up, and those that are ordered by a collation of the database's.
	Refills uint64
	// Behind counts batches that read the whole table because a source that
	// follows the database's log did not catch up in time.
	Behind uint64
	// RelatedKeys are the keys of rows of other tables, which this table's rows
	// may show, in the reports.
	RelatedKeys uint64
	// Waits counts the writers that waited for the table's bindings, WaitTime is
	// how long they have waited together. WaitsInVain counts those that gave up
	// after a second or more; until the bindings have caught up nobody else waits.
	Waits, WaitsInVain uint64
	WaitTime           time.Duration
	// SetAside counts how often a binding was set aside, because it made a read
	// fail or could not show a row, Troubled is how many are at the moment.
	SetAside uint64
	Troubled int
	// Comparisons counts how often the whole table was compared beside the
	// batches, Compared the rows read for that, ComparedFound those that
	// differed. ComparedParts counts the batches in which these were published
	// beyond the first (there were more than [Config].MaxBatchKeys),
	// ComparedReread the rows that were read anew because it was not known
	// which was newer.
	Comparisons, Compared, ComparedFound, ComparedParts, ComparedReread uint64
}

// note records and logs how a read went: a failure once per streak of equal
// texts, and its end.
func (f *feed) note(err error) {
	f.mu.Lock()
	before := f.failure
	if err != nil {
		f.stats.Failures++
	}
	if (err == nil) != (before == nil) {
		f.since = f.now()
	}
	f.failure = err
	f.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		f.logger().Warn("core: reading failed; rows are served from memory until it succeeds",
			slog.String("table", f.table.String()), slog.Any("error", err))
	case err == nil && before != nil:
		f.logger().Info("core: reading succeeds again", slog.String("table", f.table.String()))
	}
}

// stateOf returns the state of one of the feed's bindings.
func (f *feed) stateOf(v *publisher) (State, time.Time, error) {
	watched, since, lost := f.eng.watched(f.table)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case v.current.Load() == nil:
		if t := f.troubles.waiting[v]; t != nil {
			return Loading, t.since, t.err
		}
		return Loading, f.since, f.failure
	case f.troubles.waiting[v] != nil:
		t := f.troubles.waiting[v]
		return Stale, t.since, t.err
	case f.failure != nil:
		return Stale, f.since, f.failure
	case f.compared.failure != nil:
		return Stale, f.since, f.compared.failure
	case !watched:
		return Stale, since, lost
	case len(f.compared.mending) > 0:
		return Stale, since, errMending
	}
	if since.Before(f.since) {
		since = f.since
	}
	return Live, since, nil
}

// troubleOf returns a channel that is closed when the binding's trouble ends, and
// why it is in trouble; nil when it is not.
func (f *feed) troubleOf(v *publisher) (healed <-chan struct{}, why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.troubles.waiting[v]; t != nil {
		return t.healed, t.err
	}
	return nil, nil
}

// unreadableBy returns some of the rows that the binding cannot show, and their
// number.
func (f *feed) unreadableBy(v *publisher) (some []driver.Key, count int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var rows *rowFailures
	if o := f.omissions[v]; o != nil {
		rows = o.rows
	}
	if t := f.troubles.waiting[v]; t != nil && t.rows != nil {
		rows = t.rows
	}
	if rows == nil {
		return nil, 0
	}
	some = rows.keys()
	return some[:min(len(some), maxNamedRows)], rows.count
}

func (f *feed) snapshotStats() FeedStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.stats
	st.Troubled = len(f.troubles.waiting)
	st.Table = f.table
	return st
}
