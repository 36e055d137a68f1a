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

// noteApart records and logs how a read went that says nothing about the feed as
// a whole.
func (f *feed) noteApart(err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	f.stats.Failures++
	news := f.retries.lastError != err.Error()
	f.retries.lastError = err.Error()
	f.mu.Unlock()
	if news {
		f.logger().Warn("core: members of a family cannot be loaded for now; others are not held up",
			slog.String("table", f.table.String()), slog.Any("error", err))
	}
}

// stateOf returns the state of one of the feed's bindings.
func (f *feed) stateOf(v *publisher) (State, time.Time, error) {
	watched, since, lost := f.eng.watched(f.table)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case v.current.Load() == nil:
		if one := f.retries.waiting[v]; one != nil {
			return Loading, f.since, one.err
		}
		return Loading, f.since, f.failure
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

func (f *feed) snapshotStats() FeedStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.stats
	st.Table = f.table
	return st
}
