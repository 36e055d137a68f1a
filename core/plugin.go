package core

import (
	"context"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// Plugin works across all bindings: metrics, admin, relay. A plugin that needs more than
// Start and Shutdown also implements the small interfaces of this file. The registry looks
// for them once, when it starts the plugin.
type Plugin interface {
	// Name names the plugin in logs and errors. It need not be unique.
	Name() string

	// Start is called once by [Registry.Start], before sources watch and bindings load. The
	// context is for starting only. An error fails [Registry.Start].
	Start(ctx context.Context, reg *Registry) error

	// Shutdown is called once, after transports and sources have stopped. It returns when
	// the plugin's goroutines have ended, or with the context's error when the context ends
	// first. The context ends with the plugin's share of the time, see [Registry.Shutdown].
	Shutdown(ctx context.Context) error
}

// PublishObserver is implemented by plugins that observe every new version.
type PublishObserver interface {
	// Published is called after a binding got a new version, in order for each binding. It
	// runs on the goroutine of the table's feed, so it must not block and must not call
	// Flush, Resync, Clear or Verify, which wait for that goroutine. After a panic, which
	// is logged, calls go on.
	Published(v *live.View, e *live.Event)
}

// ReportObserver is implemented by plugins that observe the reports of sources, for example
// to forward them to other nodes.
type ReportObserver interface {
	// Reported is called once the engine has accepted a report, before [driver.Sink]
	// returns to the source: anyone waiting for the commit has not been told yet. It must
	// not block, and must not keep or change the keys. A change tells who wrote, if the
	// source knows ([driver.Change].Writer). Calls are concurrent. After a panic, which is
	// logged, calls go on.
	Reported(by driver.Source, changes []driver.Change)
}

// BatchObserver is implemented by plugins that trace or measure the reads of tables.
type BatchObserver interface {
	// BatchBegan is called before a feed reads a batch. It returns the context for the
	// loader's reads, so that they can be traced as parts of the batch. That must be
	// derived from ctx; nil means ctx itself. It is called on a goroutine of the table's
	// feed, and must not block.
	BatchBegan(ctx context.Context, b Batch) context.Context

	// BatchEnded is called after the batch was published, or has failed, with the context
	// that BatchBegan returned. Observers are called in reverse order.
	BatchEnded(ctx context.Context, r BatchResult)
}

// Batch is a set of changes that a feed is about to read together.
type Batch struct {
	Table driver.Table
	// Keys is the number of reported keys; Whole says that the whole table was reported.
	// Reloads is the number of bindings that are read in full on their own: to load them,
	// or on request.
	Keys    int
	Whole   bool
	Reloads int
	// Retry says that bindings in trouble are read again, apart from the normal batches.
	Retry bool
	// Reported is when the first of the reports came in, the zero time without reports.
	Reported time.Time
	// Writers are the contexts of the writers of these changes, in the order of the
	// reports, if their sources know them ([driver.Change].Writer). There are 16 at most;
	// MoreWriters counts the others. They carry values only, and never end.
	Writers     []context.Context
	MoreWriters int
}

// BatchResult is the outcome of a batch.
type BatchResult struct {
	Batch
	// Err is the error when nothing could be read, nil when the batch was published.
	// SetAside is the number of bindings that were set aside because they cannot be read or
	// shown, see [status.Binding].
	Err      error
	SetAside int
	// Published is the number of bindings that got a new version; Created, Updated
	// and Deleted count the rows in their events.
	Published                 int
	Created, Updated, Deleted int
	// Read is how long the statements took, without the waits for commits or sources. It is
	// 0 when there was nothing to read.
	Read time.Duration
	// Delay is the time from Reported until the batch was published. It is 0 without
	// reports, and when the batch failed.
	Delay time.Duration
}

// DeliveryObserver is implemented by plugins that follow a change to the clients.
type DeliveryObserver interface {
	// Delivered is called after a transport has written an event to a client, if a batch
	// observer has provided a context for the event ([live.Event.Context] is not nil). It
	// runs on the writing goroutine, for each client, and must not block; calls are
	// concurrent. After a panic, which is logged, calls go on.
	Delivered(d Delivery)
}

// Delivery is an event that was written to a client.
type Delivery struct {
	Transport string
	View      *live.View
	Event     *live.Event
	// Began is when the transport started to handle the event.
	Began time.Time
}
