package sse

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/transports/internal/ending"
	"github.com/binderyhq/bindery/transports/internal/problem"
)

// The parameters of a request.
const (
	paramEvent   = "event"
	paramVersion = "version"
	paramReplica = wire.ReplicaParam
	paramMark    = "mark"
)

// lastEventID is the header in which EventSource sends the last id that it received.
const lastEventID = "Last-Event-ID"

func (t *Transport) serveOne(c echo.Context) error {
	own, args, err := parseQuery(c.Request(), paramVersion, paramReplica, paramMark)
	if err != nil {
		return refuse(c, err)
	}
	name, err := url.PathUnescape(c.Param("binding"))
	if err != nil || strings.Contains(name, "/") {
		return refuse(c, problem.NotFound("there is nothing at this path"))
	}
	return t.serve(c, []target{{name, args}}, own)
}

func (t *Transport) serveSeveral(c echo.Context) error {
	own, args, err := parseQuery(c.Request(), paramEvent, paramVersion, paramReplica, paramMark)
	if err != nil {
		return refuse(c, err)
	}
	events := own[paramEvent]
	switch {
	case len(args) > 0:
		unknown := slices.Sorted(maps.Keys(args))[0]
		err = problem.BadParameter(unknown, "is unknown; there are: "+strings.Join([]string{paramEvent, paramMark, paramReplica, paramVersion}, ", "))
	case len(events) == 0:
		err = problem.BadParameter(paramEvent, "is missing: name a binding, or several by repeating it")
	case len(events) > t.cfg.MaxBindings:
		err = problem.BadParameter(paramEvent, fmt.Sprintf("names %d bindings, the limit is %d", len(events), t.cfg.MaxBindings))
	}
	if err != nil {
		return refuse(c, err)
	}
	targets := make([]target, len(events))
	for i, id := range events {
		if targets[i], err = parseTarget(id); err != nil {
			return refuse(c, err)
		}
	}
	return t.serve(c, targets, own)
}

// target is what a client wants to follow: a binding, or a family's member.
type target struct {
	binding string
	args    core.Args
}

// parseTarget parses an id as [live.View.ID] formats it: the name of a binding,
// followed for a member of a family by the parameters as a URL query.
func parseTarget(id string) (target, error) {
	name, query, _ := strings.Cut(id, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return target{}, problem.BadParameter(paramEvent, "names a member by parameters that cannot be parsed")
	}
	return target{name, core.QueryArgs(values)}, nil
}

// serve answers with a stream of the bindings, or with a problem.
func (t *Transport) serve(c echo.Context, targets []target, own url.Values) error {
	replica, err := parseReplica(own)
	if err != nil {
		return refuse(c, err)
	}
	position := own.Get(paramVersion)
	if ending.Discard(c.Response(), c.Request()) != nil {
		ending.CloseConnection(c.Response(), c.Request())
		return refuse(c, problem.SlowBody(ending.Linger))
	}
	s := newStream(t, c)
	if replica {
		s.enc = t.replicas
	}
	defer s.close()
	ctx := core.WithClient(c.Request().Context())
	for _, to := range targets {
		if err := s.open(ctx, to); err != nil {
			return refuse(c, err)
		}
	}
	if id := c.Request().Header.Get(lastEventID); id != "" {
		position = id
	}
	if p := s.reach(ctx, c.Request().Header[headerMark], own[paramMark]); p != nil {
		return refuse(c, p)
	}
	if c.Request().Method == http.MethodHead {
		setHeader(c.Response().Header())
		s.tellPlace(c.Response().Header())
		c.Response().WriteHeader(http.StatusOK)
		return nil
	}
	if p := t.streams.Admit(s); p != nil {
		return refuse(c, p)
	}
	defer t.streams.Leave(s)
	defer t.reg.Connected()()
	s.subscribe(ctx, parseID(position, len(targets)))
	return s.run(ctx)
}

// tellPlace sets the ETag of an answer to HEAD: the id of a stream that has come to what
// its bindings show now. With a mark, whoever has that id has everything it covers.
func (s *stream) tellPlace(h http.Header) {
	tokens := make([]string, len(s.feeds))
	for i, f := range s.feeds {
		shown := f.grant.View().Snapshot()
		if shown == nil {
			return // it has not loaded
		}
		tokens[i] = shown.Version().Token
	}
	h.Set("ETag", strconv.Quote(strings.Join(tokens, idSeparator)))
}

// parseReplica reports whether the request asks for the fields that followers get, see
// [wire.Replica].
func parseReplica(own url.Values) (bool, error) {
	switch own.Get(paramReplica) {
	case "":
		return false, nil
	case "1":
		return true, nil
	}
	return false, problem.BadParameter(paramReplica, "must be 1, or left out")
}

// parseQuery returns the request's own parameters and the arguments that name a member
// of a family. Each own parameter except "event" may be given once.
func parseQuery(r *http.Request, names ...string) (own url.Values, args core.Args, err error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, nil, problem.MalformedQuery("the query cannot be parsed")
	}
	own = url.Values{}
	for _, name := range names {
		if values, ok := query[name]; ok {
			own[name] = values
			delete(query, name)
		}
		if name != paramEvent && len(own[name]) > 1 {
			return nil, nil, problem.BadParameter(name, "is given more than once")
		}
	}
	return own, core.QueryArgs(query), nil
}

// idSeparator stands between the tokens of an id, one for each binding of the
// stream in the order of the request, empty where nothing was sent yet. A token
// has no dot.
const idSeparator = "."

// parseID returns the tokens of an id, one for each of n bindings. An id of other
// bindings does no harm: no two bindings share a token, so the client gets a sync.
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

const methods = "GET, HEAD, OPTIONS"

func tellMethods(c echo.Context) error {
	c.Response().Header().Set("Allow", methods)
	return c.NoContent(http.StatusNoContent)
}

func refuseMethod(c echo.Context) error {
	c.Response().Header().Set("Allow", methods)
	return refuse(c, problem.MethodNotAllowed(c.Request().Method))
}

func setHeader(h http.Header) {
	h.Set("Content-Type", "text/event-stream")
	// A proxy that compresses a stream may keep events back until it has enough to
	// compress. no-transform forbids that (RFC 9111, section 5.2.2.6).
	h.Set("Cache-Control", "no-cache, no-store, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx would gather events
}
