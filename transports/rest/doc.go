// Package rest serves bindings over HTTP: lists, pages and single rows as
// JSON, with entity tags that make a repeated request cost next to nothing.
//
// # Setup
//
// [New] takes a group of an Echo v4 instance; the routes are installed when the
// registry starts:
//
//	GET, HEAD, OPTIONS  /{binding}        the list; a page with limit and offset, or limit and after; the changes with since
//	GET, HEAD, OPTIONS  /{binding}/{key}  one row
//	POST                /{binding}        a new row
//	PUT, PATCH, DELETE  /{binding}/{key}  the row, replaced, merged with a patch, or deleted
//
// Writes are for bindings that are declared [core.Writable]; elsewhere they are
// a 405. Rows are shown to the Validator of the Echo
// instance, if it has one, as a pointer to the model.
//
// A member of a family is named by its parameters, as the query of all these
// URLs. The registry's authorizer is asked at each request, with the request's
// context, and of a write once more.
//
// Routes that the application adds to the same group take precedence where
// they are static. Middleware of the group applies. This package compresses by
// itself, once for each version, and writes its answers around middleware that
// would compress them again. Where that cannot be, because the middleware's
// writer does not show what it wraps or stands behind another, answers are left
// to it: they are sent plain, and their tags are weak.
//
// Behind a proxy that strips a prefix from paths, [Config.BasePath] or
// [Config.TrustedProxies] make links lead through it.
//
// # Delivery
//
// Every answer is made from one snapshot. Its ETag is strong and names the
// content: the same on every node and after a restart. If-None-Match and
// If-Modified-Since are answered with 304 without building a body. The date
// Last-Modified is left out while a second change could still share it, and where
// an authorizer decides what is seen: dates do not tell rights apart.
//
// With "Prefer: wait=SECONDS" a request whose If-None-Match still matches is
// held until there is something new, within bounds, see [Config.MaxWait].
//
// A write is one transaction, and its preconditions are evaluated in it, on the
// row as the database has it: of several writers that bear the same If-Match one
// gets through. The answer comes when the binding shows the write, so a GET that
// follows it on the same node sees it. A binding that is declared with
// [core.WriteRules].RequireMatch demands an If-Match, of which "*" is one. The
// preconditions of a POST are about the list, and are evaluated before the
// transaction.
//
// Handlers of the application's own get the same for their answers through
// [NotModified], [Conditional] and [Conditions].
//
// # Back-pressure
//
// A body is shared by all who ask for it, so a slow reader costs a connection
// and no copy. Waiting requests are bounded by [Config.MaxWaiting], bodies of
// writes by [Config.MaxBody] and [Config.BodyTimeout], and the time that a write takes by
// [Config.WriteTimeout]. A client that takes
// longer than [Config.BodyTimeout] to send its body gets 408.
//
// # Shutdown
//
// Requests that wait are answered at once when the registry begins to shut
// down. Writes under way are finished and answered, and no others begun. Once a
// binding has ended its requests get 503. Ordinary requests belong to the HTTP
// server, whose Shutdown waits for them.
//
// # Errors
//
// All errors are application/problem+json (RFC 9457) with a stable type. They
// never contain a database's message, nor an authorizer's: those go to the
// registry's log. A write that the database could not carry out is a 503, and is
// not written unless the connection was lost in the middle of its commit.
//
// # Limits
//
// A single row is compressed anew for each request that asks for it
// compressed, when it is long enough. Ranges are not supported.
package rest
