package core

import (
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// State says how far a binding's rows can be trusted.
type State uint8

// The states of a binding.
const (
	// Loading: no rows have been read yet.
	Loading State = iota
	// Live: rows are current, and all sources that cover the table watch for
	// change.
	Live
	// Stale: rows are served from memory, but the database could not be read
	// of late, or a source does not see changes. It heals by itself.
	Stale
	// Ended: the binding was removed or the registry shut down.
	Ended
)

// String returns the state's name in lower case.
func (s State) String() string {
	switch s {
	case Loading:
		return "loading"
	case Live:
		return "live"
	case Stale:
		return "stale"
	case Ended:
		return "ended"
	}
	return "unknown"
}

// Status is what is known about a binding beside its rows.
type Status struct {
	State State
	// Since is when the state began.
	Since time.Time
	// Err is why the binding is Loading or Stale, nil when there is no reason
	// but that it has just begun.
	Err error
	// UnreadableRows counts the rows that the binding should show and cannot,
	// Unreadable names some of them. A binding with [OmitUnreadable] goes on
	// without them; any other one is Stale, or Loading, until they are mended.
	UnreadableRows int
	Unreadable     []driver.Key
	// Version is the current version, the zero value while Loading.
	Version Version
	// Rows is the number of rows, Bytes the length of their encoded forms.
	Rows, Bytes int
	// Subscribers is the number of open subscriptions.
	Subscribers int
	// Events, Syncs and Merges count what was published to the log, the full
	// syncs that subscribers got, and the merged events made for those that lag.
	Events, Syncs, Merges uint64
}

type viewCounters struct{ events, syncs, merges atomic.Uint64 }
