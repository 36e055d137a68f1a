// Package ndjson is a transport of one's own, complete and small: bindings as
// newline-delimited JSON over plain net/http. It uses nothing but package core
// and the standard library, and passes the suite of transports/transporttest.
//
// # Setup
//
// [New] takes a mux and a prefix; GET prefix/{binding} is then a stream of
// lines:
//
//	{"op":"sync"}                          forget what you have
//	{"op":"put","row":{"id":7, …}}         a row as it is now
//	{"op":"delete","key":{"id":7}}         a row that is gone
//	{"op":"version","version":"<token>"}   the end of a batch
//
// # Delivery
//
// A client holds the lines of a batch and applies them at its last one, which
// bears the version that they lead to. A client that comes back shows that
// version, as ?version=TOKEN, and gets what has changed since; a batch of a
// version line alone says that nothing has. Any other token gets a sync. A
// binding that has not loaded yet is waited for.
//
// # Ordering
//
// Batches arrive in order, without gap or repetition. Within a batch each row
// appears at most once.
//
// # Back-pressure
//
// A stream has no queue: it takes the next batch when the last one is written. A
// client that is slow gets what it missed as one batch. One that takes nothing
// for Config.WriteTimeout is disconnected.
//
// # Shutdown
//
// Streams end after the batch that is being written, when the registry shuts
// down or [Transport.Stop] is called, which belongs into
// [http.Server.RegisterOnShutdown]. Those whose clients do not read are cut
// after Config.DrainTimeout.
//
// # Errors
//
// 404 for a binding that does not exist, 503 with Retry-After when there are
// too many streams or the program is ending. A stream whose binding is removed
// ends; asking again gets the 404.
//
// # Limits
//
// Config.MaxStreams bounds the open streams. A line is as long as its row.
package ndjson
