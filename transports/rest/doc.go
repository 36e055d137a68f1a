// Package rest serves bindings over HTTP: lists, pages and single rows as JSON,
// with entity tags that make a repeated request cost next to nothing.
//
// # Setup
//
// [New] takes a group of an Echo v4 instance. The routes are installed when the
// registry starts:
//
//	GET, HEAD, OPTIONS  /{binding}        the list; a page with limit and offset, or limit and after; the changes with since
//	GET, HEAD, OPTIONS  /{binding}/{key}  one row
//	POST                /{binding}        a new row
//	PUT, PATCH, DELETE  /{binding}/{key}  the row, replaced, merged with a patch, or deleted
//
// Bindings declared [core.Writable] can be written; others answer writes with 405. If
// the Echo instance has a Validator, it is given each row before the write, as a
// pointer to the model.
//
// The query of all these URLs names the parameters of a family's member. The registry's
// authorizer is asked at each request, with the request's context, and once more for a
// write.
//
// Static routes that the application adds to the same group take precedence, and the
// group's middleware applies. This package compresses each version once. Its answers
// therefore go around middleware that would compress them again. Some middleware
// hides the writer behind it, so answers cannot go around it. It then gets
// plain answers, with weak tags, and compresses them itself.
//
// Behind a proxy that strips a prefix from paths, set [Config].BasePath or
// [Config].TrustedProxies, so that links lead through the proxy.
//
// # Delivery
//
// Every answer is made from one snapshot. Its ETag is strong and depends on the content
// alone, so it is the same on every node and after a restart. If-None-Match and
// If-Modified-Since are answered with 304 without building a body. An answer has no
// Last-Modified while a second change could still get the same date, nor if an
// authorizer decides what the client sees: clients with other rights get other rows,
// perhaps with the same date.
//
// A request with "Prefer: wait=SECONDS", whose If-None-Match still matches, is held until
// there is something new, see [Config].MaxWait.
//
// A write is one transaction. Its preconditions are evaluated inside it, on the row as
// the database has it, so of several writers with the same If-Match only one succeeds.
// The answer comes when the binding shows the write; a GET on the same node then
// sees it. A binding declared with [core.WriteRules].RequireMatch demands an If-Match, and
// accepts "*". The preconditions of a POST are about the list, and are evaluated before
// the transaction.
//
// The application's own handlers get 304s too, by [NotModified], [Conditional] and
// [Conditions].
//
// # Back-pressure
//
// All who ask for a body share it, so a slow reader costs a connection and no copy.
// [Config].MaxWaiting bounds the requests that wait, [Config].MaxBody the bodies of
// writes, and [Config].WriteTimeout the time that a write takes. A client that takes
// longer than [Config].BodyTimeout to send its body gets 408.
//
// # Shutdown
//
// When the registry begins to shut down, requests that wait are answered at once. Writes
// under way are finished and answered, and no others begin. Once a binding has ended its
// requests get 503. Other requests belong to the HTTP server, whose Shutdown waits for
// them.
//
// # Errors
//
// All errors are application/problem+json (RFC 9457) with a stable type. They never
// contain a message of the database or of the authorizer: those go to the registry's
// log. A write that the database could not carry out is a 503. It has changed nothing,
// unless the connection broke during the commit.
//
// # Limits
//
// A single row that is long enough to be compressed is compressed anew for each request.
// Ranges are not supported.
package rest
