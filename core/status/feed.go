package status

import (
	"encoding/json"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// Feed holds the counters of a feed. They only grow, except Troubled.
type Feed struct {
	Table driver.Table `json:"-"`
	// Reports counts the reports about the table, Keys the keys in them.
	Reports uint64 `json:"reports"`
	Keys    uint64 `json:"keys"`
	// Reads counts the batches read, WholeReads those that read the whole table, BatchKeys
	// the keys read in the others, and Failures the failed reads.
	Reads      uint64 `json:"reads"`
	WholeReads uint64 `json:"whole_reads"`
	BatchKeys  uint64 `json:"batch_keys"`
	Failures   uint64 `json:"failures"`
	// Overflows counts the batches that read the whole table because too many keys were
	// gathered.
	Overflows uint64 `json:"overflows"`
	// Waited counts the batches that waited for the keys of a commit under way, WaitedOut
	// those that waited too long and read the whole table.
	Waited    uint64 `json:"waited"`
	WaitedOut uint64 `json:"waited_out"`
	// Refills counts the bindings that a batch read anew because the rows in memory did not
	// determine which come next: limited ones that had used up their margin, and ones
	// ordered by a collation of the database.
	Refills uint64 `json:"refills"`
	// Behind counts batches that read the whole table because a source that
	// follows the database's log did not catch up in time.
	Behind uint64 `json:"behind"`
	// RelatedKeys counts the reported keys of rows of other tables that this table's rows
	// may show.
	RelatedKeys uint64 `json:"related_keys"`
	// Waits counts the writers that waited for the table's bindings, and WaitTime is their
	// total wait. WaitsInVain counts those that gave up after a second or more; after that
	// no writer waits until the bindings have caught up.
	Waits       uint64        `json:"waits"`
	WaitsInVain uint64        `json:"waits_in_vain"`
	WaitTime    time.Duration `json:"-"`
	// SetAside counts how often a binding was set aside, because it made a read fail or
	// could not show a row. Troubled is how many are set aside now.
	SetAside uint64 `json:"set_aside"`
	Troubled int    `json:"troubled"`
	// Comparisons counts the comparisons of the whole table, apart from batches; Compared
	// counts the rows read for them, and ComparedFound those that differed. ComparedParts
	// counts the batches beyond the first in which these were published. ComparedReread
	// counts the rows read again because it was unclear which version was newer.
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
