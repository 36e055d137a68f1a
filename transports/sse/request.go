package sse

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/internal/wire"
)

// The parameters of a request.
const (
	paramEvent   = "event"
	paramVersion = "version"
)

// lastEventID is the header in which EventSource says where it was.
const lastEventID = "Last-Event-ID"

func (t *Transport) serveOne(c echo.Context) error {
	query, err := parseQuery(c.Request(), paramVersion)
	if err != nil {
		return refuse(c, err)
	}
	name, err := url.PathUnescape(c.Param("binding"))
	if err != nil || strings.Contains(name, "/") {
		return refuse(c, problem.NotFound("there is nothing at this path"))
	}
	return t.serve(c, []string{name}, query)
}

func (t *Transport) serveSeveral(c echo.Context) error {
	query, err := parseQuery(c.Request(), paramEvent, paramVersion)
	if err != nil {
		return refuse(c, err)
	}
	names := query[paramEvent]
	switch {
	case len(names) == 0:
		err = problem.BadParameter(paramEvent, "is missing: name a binding, or several by repeating it")
	case len(names) > t.cfg.MaxBindings:
		err = problem.BadParameter(paramEvent, fmt.Sprintf("names %d bindings, the limit is %d", len(names), t.cfg.MaxBindings))
	}
	if err != nil {
		return refuse(c, err)
	}
	for i, n := range names {
		if slices.Contains(names[:i], n) {
			return refuse(c, problem.BadParameter(paramEvent, "names a binding twice"))
		}
	}
	return t.serve(c, names, query)
}

// serve answers with a stream of the bindings, or with what is wrong.
func (t *Transport) serve(c echo.Context, names []string, query url.Values) error {
	views := make([]*core.View, len(names))
	for i, name := range names {
		v, ok := t.reg.Lookup(name)
		if !ok {
			return refuse(c, problem.UnknownBinding(name))
		}
		views[i] = v
	}
	position := query.Get(paramVersion)
	if id := c.Request().Header.Get(lastEventID); id != "" {
		position = id
	}
	if c.Request().Method == http.MethodHead {
		setHeader(c.Response().Header())
		c.Response().WriteHeader(http.StatusOK)
		return nil
	}
	s := newStream(t, c)
	if p := t.admit(s); p != nil {
		return refuse(c, p)
	}
	defer t.dismiss(s)
	s.subscribe(views, parseID(position, len(views)))
	defer s.unsubscribe()
	return s.run(c.Request().Context())
}

// parseQuery returns the request's parameters. All but "event" may be given
// once, and none but the known ones.
func parseQuery(r *http.Request, known ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problem.MalformedQuery("the query cannot be parsed")
	}
	for _, name := range slices.Sorted(keysOf(query)) {
		if !slices.Contains(known, name) {
			return nil, problem.BadParameter(name, "is unknown; there are: "+strings.Join(known, ", "))
		}
		if name != paramEvent && len(query[name]) > 1 {
			return nil, problem.BadParameter(name, "is given more than once")
		}
	}
	return query, nil
}

func keysOf(query url.Values) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range query {
			if !yield(k) {
				return
			}
		}
	}
}

// idSeparator stands between the tokens of an id, one for each binding of the
// stream in the order of the request, empty where nothing was sent yet. A token
// has no dot.
const idSeparator = "."

// parseID returns the tokens of an id, one for each of n bindings. An id that
// belongs to other bindings does no harm: tokens of two bindings differ, so
// the result is a sync.
func parseID(id string, n int) []string {
	tokens := make([]string, n)
	for i := range tokens {
		var token string
		token, id, _ = strings.Cut(id, idSeparator)
		tokens[i] = wire.ParseToken(token)
	}
	return tokens
}

// refuse answers with the problem.
func refuse(c echo.Context, err error) error {
	var p *problem.Problem
	if !errors.As(err, &p) {
		p = problem.Internal()
	}
	return p.Write(c.Response(), c.Request())
}

func refuseMethod(c echo.Context) error {
	c.Response().Header().Set("Allow", http.MethodGet+", "+http.MethodHead)
	return refuse(c, problem.MethodNotAllowed(c.Request().Method))
}

func setHeader(h http.Header) {
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would gather events
}
