package core

import (
	"context"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// BatchObserver is implemented by plugins that trace or measure how tables are
// read.
type BatchObserver interface {
	// BatchBegan is called before a feed reads a batch. The context that it
	// returns reaches the loader's reads, so that they can be traced as parts of
	// the batch; it must be derived from the one given. nil stands for that.
	// It is called on a goroutine of the table's feed, and must not block.
	BatchBegan(ctx context.Context, b Batch) context.Context

	// BatchEnded is called after the batch was published, or has failed, with the
	// context that BatchBegan returned. Observers are called in reverse order.
	BatchEnded(ctx context.Context, r BatchResult)
}

// Batch is what a feed is about to read.
type Batch struct {
	Table driver.Table
	// Keys is the number of keys that were reported; Whole says that the whole
	// table was. Reloads is the number of bindings that are read in full by
	// themselves: to load them, or because somebody asked.
	Keys    int
	Whole   bool
	Reloads int
	// Retry says that bindings in trouble are read again, beside the batches.
	Retry bool
	// Reported is when the first of the reports came in; the zero time where
	// nothing was reported.
	Reported time.Time
	// Writers are the contexts of those who wrote what the batch covers, in the order
	// of their reports, as far as sources know them ([driver.Change].Writer): 16 at
	// most, and MoreWriters is how many there were beside these. They are for their
	// values, and never end.
	Writers     []context.Context
	MoreWriters int
}

// BatchResult is what came of a batch.
type BatchResult struct {
	Batch
	// Err is why nobody could be read, nil when the batch was published. SetAside is
	// the number of bindings that were set aside, see [status.Binding].
	Err      error
	SetAside int
	// Published is the number of bindings that got a new version; Created, Updated
	// and Deleted count the rows in their events.
	Published                 int
	Created, Updated, Deleted int
	// Read is how long the statements took, without waits for commits or for
	// sources. It is 0 when there was nothing to read.
	Read time.Duration
	// Delay is the time from Reported until the batch was published. It is 0
	// where nothing was reported.
	Delay time.Duration
}
