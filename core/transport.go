package core

import (
	"context"
	"time"

	"github.com/binderyhq/bindery/core/status"
)

// Transport serves bindings to clients.
//
// A transport's constructor does no I/O and starts no goroutines. For each request the
// transport gets a [Grant] from [Registry.Open], and reads the binding's encoded rows
// through it: [Grant.Snapshot] returns the state, [Grant.Subscribe] the changes.
type Transport interface {
	// Name names the transport in logs, metrics and errors, for example
	// "rest". It need not be unique.
	Name() string

	// Mount is called once by [Registry.Start], after all checks and before the bindings
	// load. It installs the transport's routes and keeps the registry, to open bindings at
	// each request: bindings are added and removed while the program runs. It must not
	// block. An error fails Start.
	Mount(reg *Registry) error

	// Shutdown ends open streams after the current batch. It returns when the transport's
	// goroutines have ended, or with the context's error when the context ends first. The
	// context ends with the transport's share of the time. [Registry.Shutdown] calls it
	// once, before sources stop, and only after Mount has succeeded.
	Shutdown(ctx context.Context) error
}

// MonitorLinker is implemented by transports that stream changes. Plain answers of other
// transports can then link to the stream (the "monitor" relation of RFC 5989).
type MonitorLinker interface {
	// MonitorURL returns the URL of the binding's event stream, relative to the server's
	// root, or "" when the binding has no stream. The stream of a family's member has the
	// same URL, with the parameters as its query.
	MonitorURL(binding string) string
}

// StatusReporter is implemented by transports that count what they do.
type StatusReporter interface {
	// Status returns the counters; it may leave out the name. [Registry.Status] calls it,
	// on any goroutine, even before Mount and after Shutdown. It must not block.
	Status() status.Transport
}

// Drainer is implemented by transports that can close what is open gradually.
type Drainer interface {
	// Drain ends the streams and requests open at the call as Shutdown would: streams after
	// the current batch, waiting requests with an answer. It spreads that evenly over the
	// time, so that clients do not come back all at once. It returns at the end of that
	// time, at once when nothing is open, or with the context's error. New clients are
	// still accepted meanwhile. [Registry.Drain] calls it, at most once at a time, before
	// Shutdown.
	Drain(ctx context.Context, over time.Duration) error
}
