package status

import (
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// Feed counts what a feed has done. All counters only grow.
type Feed struct {
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
	// memory did not tell which come next: those with a limit whose margin was
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
	// beyond the first, ComparedReread the rows that were read anew because it was
	// not known which was newer.
	Comparisons, Compared, ComparedFound, ComparedParts, ComparedReread uint64
}
