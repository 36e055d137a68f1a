package core

import (
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
)

// announcement is what one source has announced to one feed.
type announcement struct {
	feed    *feed
	by      *backlog.Reporter
	table   driver.Table
	related bool          // of rows that the feed's rows show
	keys    []driver.Key  // nil: the whole table, the keys are not known yet
	ended   chan struct{} // closed by confirm and withdraw
}
