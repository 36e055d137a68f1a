package rest

import (
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
)

// Conditions make a handler of the application's own, such as a page rendered
// on the server, answer GET and HEAD with 304 from the versions of the bindings
// that it reads, without running.
//
// While the handler runs, its request's context pins the bindings (see
// [core.WithSnapshots]): [core.Binding.In] and [live.View.SnapshotIn] read the versions
// that the tag names. A handler that reads them otherwise may show something
// newer than its tag.
//
// The tag is weak: the same versions make the same page, but not necessarily the
// same bytes, and middleware may compress them. An answer other than 200 gets no
// tag, and a tag, date or Cache-Control that the handler sets itself is left
// alone. While a binding has not loaded, or after it has ended, the handler runs
// as if there were no conditions, and its answer is not to be stored unless it
// says otherwise.
//
// Everything that the answer depends on must be in the tag: the bindings, the
// program, and what Key returns. Conditions do not add up: a handler has those
// of one place, and they name all its bindings.
type Conditions struct {
	// Views are the bindings that every answer depends on. Without Open there is at
	// least one.
	Views []*live.View

	// Open returns what this request's answer depends on beside Views: the orders of
	// this user, say, opened by [core.Registry.Open] with the request's context. The
	// handler finds the grants by [Granted]; they are closed when it has
	// returned. An error answers the request, see Refuse, and grants that come with
	// it are closed as well. It is called for each GET and HEAD, and again when
	// somebody's rights change meanwhile.
	//
	// A member that has not loaded yet is waited for as long as the request lasts, at
	// most for [DefaultLoadWait]. Such answers are private and bear no Last-Modified.
	Open func(*http.Request) ([]*core.Grant, error)

	// Refuse answers a request for which Open has failed. The default answers as
	// the transport does, with a problem document.
	Refuse func(w http.ResponseWriter, r *http.Request, err error)

	// Key returns what else the answer depends on: the user, the language, the
	// hour. It is called for each request and may be called concurrently. The
	// default is made of the headers Authorization, Cookie, Accept and
	// Accept-Language; that is safe for handlers that look at no other part of
	// the request than these and the URL, and finds less to be unmodified than
	// a key of the handler's own. Answers with a key that is not "" bear no
	// Last-Modified, since dates do not tell them apart.
	Key func(*http.Request) string

	// EchoKey is as Key; Middleware uses it in Key's place, Handler does not.
	EchoKey func(echo.Context) string

	// Program names the code and the templates that make the answer, so that a
	// new release is not taken for the old one. The default is a hash of the
	// executable file, which is equal on all nodes that run the same file;
	// programs that read templates from elsewhere set it.
	Program string

	// CacheControl is the Cache-Control header of answers that have a tag and
	// of every 304. The default is [DefaultCacheControl], with "private" in
	// front where the key is not "".
	CacheControl string

	// Now is the clock; the default is [time.Now].
	Now func() time.Time
}

// NotModified returns middleware for handlers whose answer depends on these
// bindings, with the defaults of [Conditions]. It panics without bindings, or
// when one is nil.
func NotModified(views ...*live.View) echo.MiddlewareFunc {
	return Conditions{Views: views}.Middleware()
}

// Conditional is [NotModified] for handlers of net/http.
func Conditional(h http.Handler, views ...*live.View) http.Handler {
	return Conditions{Views: views}.Handler(h)
}

// Middleware returns the conditions as middleware for Echo. It panics without
// bindings, or when one is nil.
func (c Conditions) Middleware() echo.MiddlewareFunc {
	k := newConditional(c)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(ctx echo.Context) error {
			r := ctx.Request()
			if !reads(r) {
				return next(ctx)
			}
			key := ""
			if c.EchoKey != nil {
				key = c.EchoKey(ctx)
			} else {
				key = k.key(r)
			}
			res := ctx.Response()
			p, done := k.begin(res, r, key)
			defer p.close()
			if done {
				return nil
			}
			ctx.SetRequest(r.WithContext(p.ctx))
			// The hook runs for what the error handler writes, too.
			res.Before(func() { p.finish(res.Header(), res.Status) })
			return next(ctx)
		}
	}
}

// Handler returns h under the conditions. It panics without bindings, or when
// one is nil.
func (c Conditions) Handler(h http.Handler) http.Handler {
	c.EchoKey = nil
	k := newConditional(c)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !reads(r) {
			h.ServeHTTP(w, r)
			return
		}
		p, done := k.begin(w, r, k.key(r))
		defer p.close()
		if done {
			return
		}
		cw := &conditionalWriter{ResponseWriter: w, page: p}
		h.ServeHTTP(cw, r.WithContext(p.ctx))
		cw.before(http.StatusOK) // what net/http sends for a handler that wrote nothing
	})
}

func reads(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// keyHeaders are those that the default key is made of.
var keyHeaders = [...]string{"Authorization", "Cookie", "Accept", "Accept-Language"}

// headerKey is the default of [Conditions.Key].
func headerKey(r *http.Request) string {
	var b strings.Builder
	for i, name := range keyHeaders {
		for _, line := range r.Header[name] {
			if name == "Accept" && line == "*/*" {
				continue // the same as without
			}
			// No line of a header contains these bytes.
			b.WriteByte(byte(i))
			b.WriteString(line)
			b.WriteByte('\n')
		}
	}
	return b.String()
}
