package core

import "context"

// Transport serves bindings to clients.
//
// A transport is built by its own constructor, without input or output and
// without goroutines. It sees bindings as [live.View]s, which speak in encoded rows:
// see [live.View.Snapshot] for the state and [live.View.Subscribe] for the changes.
type Transport interface {
	// Name names the transport in logs, metrics and errors, for example
	// "rest". It need not be unique.
	Name() string

	// Mount is called once by [Registry.Start], after everything was checked
	// and before the bindings have loaded. It installs the transport's routes
	// and keeps the registry to look bindings up in, at each request:
	// bindings come and go while the program runs. It does not block. An
	// error fails Start.
	Mount(reg *Registry) error

	// Shutdown ends what is open (streams end after the current batch), and
	// returns when nothing of the transport is running any more, or with the
	// context's error when that ends first. It is called once, by
	// [Registry.Shutdown], before sources stop; a transport that was never
	// mounted is not shut down.
	Shutdown(ctx context.Context) error
}

// Monitoring is implemented by transports that stream changes and so can be
// linked to from plain answers (RFC 5989).
type Monitoring interface {
	// MonitorURL returns the URL, relative to the server's root, of the event
	// stream of the named binding, "" when there is none. That of a family's
	// member is the same with its parameters as the query.
	MonitorURL(binding string) string
}
