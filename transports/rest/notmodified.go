package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/rest/internal/notmodified"
)

// Conditions let a handler of the application's own, such as one that renders a page,
// answer GET and HEAD with 304 without running. They decide by the versions of the
// bindings that the handler reads.
//
// While the handler runs, its request's context pins the bindings (see [core.WithSnapshots]):
// [core.Binding.In] and [live.View.SnapshotIn] read the versions that the tag names. A
// handler that reads them in another way may show something newer than its tag.
//
// The tag is weak: the same versions make the same page, but not necessarily the same
// bytes, and middleware may compress them. Only a 200 gets a tag, and a tag, date or
// Cache-Control that the handler sets itself stays. While a binding has not loaded, or
// after it has ended, the handler runs as if there were no conditions. Its answer then
// says that caches may not store it, unless the handler says otherwise.
//
// Everything that the answer depends on must be in the tag: the bindings, the program,
// and the result of Key. Conditions do not add up, so set them in one place for each
// handler, and name all its bindings there.
type Conditions struct {
	// Views are the bindings that every answer depends on. Without Open there must be
	// at least one.
	Views []*live.View

	// Open returns the further bindings that the answer to this request depends on,
	// such as the orders of this user. It opens them by [core.Registry.Open] with the
	// request's context. The handler finds the grants by [Granted]. They are closed when
	// the handler returns. An error answers the request, see Refuse; grants that
	// come with it are closed too. Open is called for each GET and HEAD, and again when
	// the authorizer changes its mind meanwhile.
	//
	// A member that has not loaded yet is waited for until the request ends, at most for
	// [DefaultLoadWait]. Answers with Open are private and have no Last-Modified.
	Open func(*http.Request) ([]*core.Grant, error)

	// Refuse answers a request if Open fails. The default answers as the transport
	// does, with a problem document.
	Refuse func(w http.ResponseWriter, r *http.Request, err error)

	// Key returns everything else that the answer depends on: the user, the language,
	// the hour. It is called for each request and may be called concurrently. The
	// default returns the headers Authorization, Cookie, Accept and Accept-Language,
	// which is safe for handlers that read no other part of the request but the URL.
	// A key of the handler's own leads to more 304s. Answers with a key that is not ""
	// have no Last-Modified, since dates do not tell such answers apart.
	Key func(*http.Request) string

	// EchoKey does the same as Key. Middleware uses it in place of Key; Handler does
	// not.
	EchoKey func(echo.Context) string

	// Program names the code and the templates that make the answer, so that the tags
	// of a new release differ. The default is a hash of the executable file. It is equal
	// on all nodes that run the same file. Programs that read templates from elsewhere
	// must set Program.
	Program string

	// CacheControl is the Cache-Control header of answers that have a tag, and of every
	// 304. The default is [DefaultCacheControl], with "private" in front if the key is
	// not "".
	CacheControl string

	// Now is the clock; the default is [time.Now].
	Now func() time.Time
}

// NotModified returns middleware for handlers whose answers depend on these bindings,
// with the defaults of [Conditions]. It panics without bindings, or if one is nil.
func NotModified(views ...*live.View) echo.MiddlewareFunc {
	return Conditions{Views: views}.Middleware()
}

// Conditional does the same as [NotModified] for a handler of net/http.
func Conditional(h http.Handler, views ...*live.View) http.Handler {
	return Conditions{Views: views}.Handler(h)
}

// Middleware returns the conditions as middleware for Echo. It panics without
// bindings, or if one is nil.
func (c Conditions) Middleware() echo.MiddlewareFunc {
	return notmodified.Middleware(notmodified.Conditions(c), ownDefaults)
}

// Handler returns h under the conditions. It panics without bindings, or if one is
// nil.
func (c Conditions) Handler(h http.Handler) http.Handler {
	return notmodified.Wrap(h, notmodified.Conditions(c), ownDefaults)
}

// ownDefaults are the transport's defaults that hold for the application's handlers
// too.
var ownDefaults = notmodified.Defaults{CacheControl: DefaultCacheControl, LoadWait: DefaultLoadWait}

// Granted returns the first grant for the binding that [Conditions].Open has opened
// for the request with this context, or nil.
//
//	orders, err := core.Read[Order](r.Context(), rest.Granted(r.Context(), "orders"))
func Granted(ctx context.Context, binding string) *core.Grant {
	return notmodified.Granted(ctx, binding)
}
