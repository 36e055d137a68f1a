package feed

import (
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
)

// Announcement is what one source has announced to one feed.
type Announcement struct {
	feed    *Feed
	by      *backlog.Reporter
	table   driver.Table
	related bool          // table is one whose rows the feed's rows show
	keys    []driver.Key  // nil: the whole table, the keys are not known yet
	ended   chan struct{} // closed by end
}

// End says that the transaction is over, committed or not. The caller has reported its
// changes before.
func (a *Announcement) End() { a.feed.unannounce(a) }
