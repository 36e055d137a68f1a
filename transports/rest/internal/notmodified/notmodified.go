package notmodified

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
)

// Conditions has the fields of rest.Conditions, which explains them.
type Conditions struct {
	Views        []*live.View
	Open         func(*http.Request) ([]*core.Grant, error)
	Refuse       func(w http.ResponseWriter, r *http.Request, err error)
	Key          func(*http.Request) string
	EchoKey      func(echo.Context) string
	Program      string
	CacheControl string
	Now          func() time.Time
}

// Defaults are the defaults of the transport that matter here.
type Defaults struct {
	CacheControl string
	LoadWait     time.Duration // for members that have come alive with the request
}

// handler is [Conditions] made ready for requests.
type handler struct {
	views        []*live.View
	open         func(*http.Request) ([]*core.Grant, error) // nil: every answer depends on views alone
	refuse       func(http.ResponseWriter, *http.Request, error)
	key          func(*http.Request) string
	program      string
	cacheControl [2][]string // if the key is "", and if it is not
	vary         []string    // nil for none
	loadWait     time.Duration
	start        time.Time // no answer has an earlier date: the program may have changed with the process
	now          func() time.Time
}

func newHandler(c Conditions, d Defaults) *handler {
	if len(c.Views) == 0 && c.Open == nil {
		panic("rest: conditions for a handler that reads no binding")
	}
	if slices.Contains(c.Views, nil) {
		panic("rest: conditions for a handler that reads a nil binding")
	}
	h := &handler{views: slices.Clone(c.Views), open: c.Open, refuse: c.Refuse, key: c.Key, program: c.Program, loadWait: d.LoadWait, now: c.Now}
	if h.refuse == nil {
		h.refuse = refuseOpen
	}
	h.cacheControl = [2][]string{{d.CacheControl}, {"private, " + d.CacheControl}}
	if c.CacheControl != "" {
		h.cacheControl = [2][]string{{c.CacheControl}, {c.CacheControl}}
	}
	if h.key == nil {
		h.key = headerKey
		if c.EchoKey == nil {
			h.vary = keyHeaders[:]
		}
	}
	if h.program == "" {
		h.program = executable()
	}
	if h.now == nil {
		h.now = time.Now
	}
	h.start = h.now().UTC().Truncate(time.Second).Add(time.Second)
	return h
}

// Middleware returns the conditions as middleware for Echo. It panics without
// bindings, or if one is nil.
func Middleware(c Conditions, d Defaults) echo.MiddlewareFunc {
	h := newHandler(c, d)
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
				key = h.key(r)
			}
			res := ctx.Response()
			p, done := h.begin(res, r, key)
			defer p.close()
			if done {
				return nil
			}
			ctx.SetRequest(r.WithContext(p.ctx))
			// Echo also calls this for answers of the error handler.
			res.Before(func() { p.finish(res.Header(), res.Status) })
			return next(ctx)
		}
	}
}

// Wrap returns next under the conditions. It panics without bindings, or if one is
// nil.
func Wrap(next http.Handler, c Conditions, d Defaults) http.Handler {
	c.EchoKey = nil
	h := newHandler(c, d)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !reads(r) {
			next.ServeHTTP(w, r)
			return
		}
		p, done := h.begin(w, r, h.key(r))
		defer p.close()
		if done {
			return
		}
		pw := &writer{ResponseWriter: w, page: p}
		next.ServeHTTP(pw, r.WithContext(p.ctx))
		pw.before(http.StatusOK) // the status that net/http sends for a handler that wrote nothing
	})
}

func reads(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// keyHeaders are the headers that the default key is made of.
var keyHeaders = [...]string{"Authorization", "Cookie", "Accept", "Accept-Language"}

// headerKey is the default of Conditions.Key.
func headerKey(r *http.Request) string {
	var b strings.Builder
	for i, name := range keyHeaders {
		for _, line := range r.Header[name] {
			if name == "Accept" && line == "*/*" {
				continue // it means the same as no Accept
			}
			// No line of a header contains these bytes, so they separate lines.
			b.WriteByte(byte(i))
			b.WriteString(line)
			b.WriteByte('\n')
		}
	}
	return b.String()
}
