package status

import (
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// Binding is what is known about a binding beside its rows.
type Binding struct {
	State State
	// Since is when the state began.
	Since time.Time
	// Err is why the binding is Loading or Stale, nil when there is no reason
	// but that it has just begun.
	Err error
	// UnreadableRows counts the rows that the binding should show and cannot,
	// Unreadable names some of them. A binding that leaves such rows out goes on
	// without them; any other one is Stale, or Loading, until they are mended.
	UnreadableRows int
	Unreadable     []driver.Key
	// Version is the current version, the zero value while Loading.
	Version live.Version
	// Rows is the number of rows, Bytes the length of their encoded forms.
	Rows, Bytes int
	// Subscribers is the number of open subscriptions.
	Subscribers int
	// Events counts the changes that were published to the log, Syncs the full
	// syncs that subscribers got, and Merges the merged events that were made for
	// those who lag.
	Events, Syncs, Merges uint64
}

// Drift is how a binding's rows differed from the database's.
type Drift struct {
	// Missing are the keys of rows that the binding should have held, Extra of
	// those it should not have held, Different of those it held otherwise.
	Missing, Extra, Different []driver.Key
}

// Len returns the number of rows that differed.
func (d Drift) Len() int { return len(d.Missing) + len(d.Extra) + len(d.Different) }
