package core

import (
	"context"

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
