// Package sse serves bindings as Server-Sent Events: a stream that begins with what the
// client does not have yet and goes on with every change.
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
// Browsers allow six connections to an origin over HTTP/1, so a page that shows several
// bindings should ask for them on one stream.
//
// # Delivery
//
// The first batch depends on the version that the client holds: it confirms the version,
// or tells what has changed since, or is a sync. The client names the version in the
// header Last-Event-ID, which EventSource sends when it reconnects, or in the parameter
// version when it first connects. The last event of each batch has an id that resumes
// the stream there; on a stream of several bindings the id holds the versions of all of
// them. A stream of a binding that has not loaded yet is opened and waits, because
// EventSource never retries after an error.
//
// The registry's authorizer is asked before the stream begins, with the request's
// context. When it withdraws the right to read a binding, an error is the last event of
// that binding. When it changes what the client may see, a sync follows.
//
// # Ordering
//
// Events of one binding arrive in order, without gap or repetition. Batches of several
// bindings do not mix, and the bindings take turns.
//
// # Back-pressure
//
// A stream has no queue: it takes the next batch when the last one is written. A slow
// client gets the changes that it missed as one batch, or a sync. A client that takes no
// event of a batch within Config.WriteTimeout is disconnected, and counted in
// [status.Transport].Dropped. It resumes when it comes back.
//
// # Shutdown
//
// When the registry shuts down, or the HTTP server that serves them, streams end after
// the batch that is being written. So [http.Server.Shutdown], which waits for open
// streams, succeeds. The registry's Shutdown cuts streams that have not ended after
// Config.DrainTimeout, because their clients do not read.
//
// # Errors
//
// A bad request is answered with application/problem+json before any stream begins: 404
// for a binding that does not exist, 400 for bad parameters, 401 or 403 if the authorizer
// refuses and 503 if it fails, and 503 with Retry-After if Config.MaxStreams are open or
// the server is shutting down. When a binding is removed its last event is an error. The
// stream ends if it has no other binding.
//
// # Middleware
//
// Streams are written around middleware that would compress them or keep a copy of them.
// Some middleware ([http.TimeoutHandler]) holds an answer back until it ends. Behind it
// a stream ends after one event, or after a few seconds without any, and its client comes
// back for the next. The log says so once.
//
// # Limits
//
// [Config] bounds the open streams, the bindings of a stream, and the rows and bytes of
// an event. A stream costs one goroutine, the one that serves its request.
package sse
