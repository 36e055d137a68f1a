// Package rest serves bindings over HTTP: lists, pages and single rows as
// JSON, with entity tags that make a repeated request cost next to nothing.
//
// # Setup
//
// [New] takes a group of an Echo v4 instance; the routes are installed when the
// registry starts:
//
//	GET, HEAD, OPTIONS  /{binding}        the list; a page with limit and offset; the changes with since
//	GET, HEAD, OPTIONS  /{binding}/{key}  one row
//
// Routes that the application adds to the same group take precedence where
// they are static. Middleware of the group applies. Compressing middleware
// does not belong there: this package compresses by itself, once for each
// version, and a body that is compressed again no longer fits its tag.
//
// # Delivery
//
// Every answer is made from one snapshot. Its ETag is strong and names the
// content: the same on every node and after a restart. If-None-Match and
// If-Modified-Since are answered with 304 without building a body. The date
// Last-Modified is left out while a second change could still share it.
//
// With "Prefer: wait=SECONDS" a request whose If-None-Match still matches is
// held until there is something new, within bounds, see [Config.MaxWait].
//
// # Back-pressure
//
// A body is shared by all who ask for it, so a slow reader costs a connection
// and no copy. Waiting requests are bounded by [Config.MaxWaiting].
//
// # Shutdown
//
// Requests that wait are answered at once when the registry begins to shut
// down. Once a binding has ended its requests get 503. Ordinary requests belong
// to the HTTP server, whose Shutdown waits for them.
//
// # Errors
//
// All errors are application/problem+json (RFC 9457) with a stable type. They
// never contain a database's message.
//
// # Limits
//
// A single row is compressed anew for each request that asks for it
// compressed, when it is long enough. Ranges are not supported.
package rest
