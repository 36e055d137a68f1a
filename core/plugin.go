package core

import (
	"context"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// Plugin looks across all bindings: metrics, admin, relay. A plugin that wants
// more than Start and Shutdown implements the small interfaces of this file too.
// Start looks for them once.
type Plugin interface {
	// Name names the plugin in logs and errors. It need not be unique.
	Name() string

	// Start is called once by [Registry.Start], before sources watch and
	// bindings load. The context bounds starting only. An error fails Start.
	Start(ctx context.Context, reg *Registry) error

	// Shutdown is called once, after transports and sources have stopped. It
	// returns when the plugin's goroutines have ended, or with the context's error
	// when the context ends first. The context ends with the plugin's share of the
	// time, see [Registry.Shutdown].
	Shutdown(ctx context.Context) error
}

// PublishObserver is implemented by plugins that want to see every new
// version.
type PublishObserver interface {
	// Published is called after a binding got a new version, in order for each
	// binding. It runs on the goroutine of the table's feed, so it must not block
	// and must not call Flush, Resync, Clear or Verify, which wait for that
	// goroutine. A panic is logged, and later versions are still observed.
	Published(v *live.View, e *live.Event)
}

// ReportObserver is implemented by plugins that want to know what the sources
// report, for example to tell other nodes of it.
type ReportObserver interface {
	// Reported is called after the engine has taken over a report, before
	// [driver.Sink] returns to the source: whoever waits for the commit has not
	// been told yet. It must not block and must not keep or change the keys. A change
	// tells who wrote, where the source knows ([driver.Change].Writer).
	// Calls are concurrent. A panic is logged and the plugin is kept.
	Reported(by driver.Source, changes []driver.Change)
}

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

// DeliveryObserver is implemented by plugins that follow a change to the clients.
type DeliveryObserver interface {
	// Delivered is called after a transport has written an event to a client, if
	// [live.Event.Context] is not nil: who observes batches has put something into
	// it. It is called by the goroutine that writes, for each client, and must not
	// block; calls are concurrent. A panic is logged and the plugin is kept.
	Delivered(d Delivery)
}

// Delivery is an event that was written to a client.
type Delivery struct {
	Transport string
	View      *live.View
	Event     *live.Event
	// Began is when the transport took the event up.
	Began time.Time
}
