// Package sse serves bindings as Server-Sent Events: a stream that begins with
// what the client does not have yet and goes on with every change.
//
// # Setup
//
// [New] takes the Echo group under which the streams appear:
//
//	GET /events/products                          one binding
//	GET /events?event=products&event=cheapest     several on one stream
//	GET /events/shelf?venue=store                 a member of a family
//	GET /events?event=shelf%3Fvenue%3Dstore       the same, among several
//
// Browsers allow six connections to an origin over HTTP/1, so a page that shows
// several bindings should ask for them on one stream.
//
// # Delivery
//
// The first batch depends on the version that the client names, in the header
// Last-Event-ID (which EventSource sends when it reconnects) or the parameter
// version (for the first connect): that it is current, what has changed since,
// or a sync. The last event of each batch bears the id that resumes the stream
// there; with several bindings the id speaks for all of them. A stream of a
// binding that has not loaded yet is opened and waits: EventSource never
// retries after an error.
//
// The registry's authorizer is asked before the stream begins, with the
// request's context. When it withdraws its leave, the binding's last event is an
// error; when the client may see something else from now on, a sync follows.
//
// # Ordering
//
// Events of one binding arrive in order, without gap or repetition. Batches of
// several bindings do not mix, and the bindings take turns.
//
// # Back-pressure
//
// A stream has no queue: it takes the next batch when the last one is written.
// A client that is slow gets the changes it missed as one batch, or a sync. One
// that takes no event of a batch within Config.WriteTimeout is disconnected, and
// counted in [status.Transport].Dropped; it resumes when it comes back.
//
// # Shutdown
//
// Streams end after the batch that is being written, when the registry shuts
// down or the HTTP server that serves them: [http.Server.Shutdown] waits for
// open streams and so succeeds. Those that have not ended after
// Config.DrainTimeout of the registry's shutdown, because their clients do not
// read, are cut.
//
// # Errors
//
// What is wrong with a request is answered with application/problem+json before
// any stream begins: 404 for a binding that does not exist, 400 for parameters,
// 401 or 403 where the authorizer says so and 503 where it fails, 503 with Retry-After when Config.MaxStreams are open or the server is shutting
// down. When a binding is removed its last event is an error; the stream ends
// when it has no other binding.
//
// # Middleware
//
// Streams are written around middleware that would compress them or keep a copy
// of them. Behind middleware that holds an answer back until it ends
// ([http.TimeoutHandler]) a stream ends after one event, or after a few seconds
// without any, and its client comes back for the next; the log says so once.
//
// # Limits
//
// Open streams, bindings per stream, rows and bytes per event are bounded by
// [Config]. A stream costs one goroutine, the one that serves its request.
package sse
