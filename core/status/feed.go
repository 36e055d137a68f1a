package status

import (
	"encoding/json"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// Feed counts what a feed has done. All counters only grow.
type Feed struct {
	Table driver.Table `json:"-"`
	// Reports counts calls that concerned the table, Keys the keys in them.
	Reports uint64 `json:"reports"`
	Keys    uint64 `json:"keys"`
	// Reads counts batches read, WholeReads those that read the whole table,
	// BatchKeys the keys read in the others, Failures reads that failed.
	Reads      uint64 `json:"reads"`
	WholeReads uint64 `json:"whole_reads"`
	BatchKeys  uint64 `json:"batch_keys"`
	Failures   uint64 `json:"failures"`
	// Overflows counts how often so many keys were gathered that the whole
	// table was read instead.
	Overflows uint64 `json:"overflows"`
	// Waited counts batches that waited for the keys of a commit under way,
	// WaitedOut those that read the whole table because the wait was too long.
	Waited    uint64 `json:"waited"`
	WaitedOut uint64 `json:"waited_out"`
	// Refills counts bindings that a batch read anew because their rows in
	// memory did not tell which come next: those with a limit whose margin was
	// used up, and those that are ordered by a collation of the database's.
	Refills uint64 `json:"refills"`
	// Behind counts batches that read the whole table because a source that
	// follows the database's log did not catch up in time.
	Behind uint64 `json:"behind"`
	// RelatedKeys are the keys of rows of other tables, which this table's rows
	// may show, in the reports.
	RelatedKeys uint64 `json:"related_keys"`
	// Waits counts the writers that waited for the table's bindings, WaitTime is
	// how long they have waited together. WaitsInVain counts those that gave up
	// after a second or more; until the bindings have caught up nobody else waits.
	Waits       uint64        `json:"waits"`
	WaitsInVain uint64        `json:"waits_in_vain"`
	WaitTime    time.Duration `json:"-"`
	// SetAside counts how often a binding was set aside, because it made a read
	// fail or could not show a row, Troubled is how many are at the moment.
	SetAside uint64 `json:"set_aside"`
	Troubled int    `json:"troubled"`
	// Comparisons counts how often the whole table was compared beside the
	// batches, Compared the rows read for that, ComparedFound those that
	// differed. ComparedParts counts the batches in which these were published
	// beyond the first, ComparedReread the rows that were read anew because it was
	// not known which was newer.
	Comparisons    uint64 `json:"comparisons"`
	Compared       uint64 `json:"compared"`
	ComparedFound  uint64 `json:"compared_found"`
	ComparedParts  uint64 `json:"compared_parts"`
	ComparedReread uint64 `json:"compared_reread"`
}

// MarshalJSON encodes the table as text and times as seconds.
func (f Feed) MarshalJSON() ([]byte, error) {
	type plain Feed
	return json.Marshal(struct {
		Table string `json:"table"`
		plain
		WaitSeconds float64 `json:"wait_seconds"`
	}{f.Table.String(), plain(f), f.WaitTime.Seconds()})
}
