package rest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/transports/internal/ending"
	"github.com/binderyhq/bindery/transports/internal/meter"
	"github.com/binderyhq/bindery/transports/internal/problem"
)

// Transport serves bindings over HTTP. It is made by [New].
type Transport struct {
	group         *echo.Group
	cfg           Config
	cacheControl  [2]map[string][]string // header values by binding; for everybody, and for one client alone
	sharedChanges []string               // the header value of changes that caches may share
	problems      []error                // of New, reported by Mount
	messages      *wire.Encoder          // of changes

	// Set by Mount.
	reg      *core.Registry
	stopping context.Context // done when waiting requests must end
	stop     context.CancelFunc
	servers  ending.Servers
	holds    holds // of requests that wait
	held     *ending.Open[*heldRequest]
	writes   holds // of writes under way

	writesCut context.Context // done when writes are given up
	cutWrites context.CancelFunc

	slowBodies atomic.Uint64
	meter      meter.Meter
}

var (
	_ core.Transport      = (*Transport)(nil)
	_ core.StatusReporter = (*Transport)(nil)
)

// New returns a transport that serves all bindings of its registry under the
// group's prefix. At most one configuration is given. What is wrong with it is
// reported by [core.Registry.Start].
func New(group *echo.Group, cfg ...Config) *Transport {
	t := &Transport{group: group, messages: wire.NewEncoder(wire.Limits{})}
	if group == nil {
		t.problems = append(t.problems, errors.New("its group is nil"))
	}
	if len(cfg) > 1 {
		t.problems = append(t.problems, fmt.Errorf("%d configurations, at most one can be", len(cfg)))
	}
	if len(cfg) > 0 {
		t.cfg = cfg[0]
	}
	t.problems = append(t.problems, t.cfg.Validate())
	t.cfg = t.cfg.WithDefaults()
	t.holds.max, t.held = t.cfg.MaxWaiting, ending.NewOpen[*heldRequest](-1)
	t.writes.max = math.MaxInt // each has a connection, and those are the server's to bound
	t.cacheControl = t.cfg.cacheControl()
	t.sharedChanges = []string{"public, max-age=" + strconv.FormatInt(int64(t.cfg.SharedMaxAge/time.Second), 10)}
	return t
}

// Name implements [core.Transport].
func (*Transport) Name() string { return "rest" }

// Mount implements [core.Transport].
func (t *Transport) Mount(reg *core.Registry) error {
	if err := errors.Join(t.problems...); err != nil {
		return fmt.Errorf("rest: mounting: %w", err)
	}
	t.reg = reg
	t.stopping, t.stop = context.WithCancel(reg.Stopping())
	t.writesCut, t.cutWrites = context.WithCancel(context.Background())
	list := t.serve(t.list, paramAfter, paramLimit, paramOffset, paramSince, paramWait, paramMark)
	row := t.serve(t.row, paramMark)
	lists := t.group.Any("/:binding", list)
	t.group.Any("/:binding/:key", row)
	t.group.Any("/:binding/", row) // the row whose key is the empty text
	if strings.TrimSuffix(lists[0].Path, "/:binding") != "" {
		// Under a prefix of its own the transport says itself that there is
		// nothing; at the root that is up to the application.
		nothing := t.meter.Count(t.nothing)
		t.group.RouteNotFound("", nothing)
		t.group.RouteNotFound("/*", byPath(list, row, nothing))
	}
	return nil
}

// Drain implements [core.Drainer]: it answers the requests that wait for a change.
func (t *Transport) Drain(ctx context.Context, over time.Duration) error {
	return t.held.Spread(ctx, over, func(h *heldRequest) { h.end() })
}

// Shutdown implements [core.Transport]. Requests that wait for a change are
// answered; writes under way are finished, and others refused. Writes that take more
// than half of the time, as those do that wait for a lock of another program's, are
// given up, so that their clients are told.
func (t *Transport) Shutdown(ctx context.Context) error {
	t.stop()
	if err := t.holds.drain(ctx); err != nil {
		return fmt.Errorf("rest: ending requests that wait: %w", err)
	}
	patience, cancel := halfOf(ctx)
	defer cancel()
	if t.writes.drain(patience) == nil {
		return nil
	}
	t.reg.Logger().Warn("rest: writes have not ended in time and are given up", slog.String("id", "rest-writes-cut"), slog.Int("writes", t.writes.len()))
	t.cutWrites()
	if err := t.writes.drain(ctx); err != nil {
		return fmt.Errorf("rest: finishing writes: %w", err)
	}
	return nil
}

// halfOf returns a context with half of the time that ctx has left.
func halfOf(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}

// Status returns the counters as all transports tell them, see [core.StatusReporter].
// The open connections and the subscribers are the requests that wait for a change;
// dropped are those whose body did not come within Config.BodyTimeout.
func (t *Transport) Status() status.Transport {
	st := t.meter.Status()
	st.Open, st.Dropped = t.holds.len(), t.slowBodies.Load()
	st.Subscribers = st.Open
	return st
}

// exchange is one request and where its answer goes.
type exchange struct {
	w      http.ResponseWriter
	r      *http.Request
	grant  *core.Grant
	view   *live.View        // the grant's
	params map[string]string // of the URL's query, without those that name a family's member
	key    string            // the part of the path that names the row, as it came
	app    *echo.Echo        // whose Validator is asked about writes
	base   string            // in front of the paths of links
	sent   *sentBody

	plain      bool // the answer is not to be compressed here
	compressed bool // something outside may compress the answer
}

// A resource answers the requests for one kind of URL. A problem that it
// returns is the answer; an error is one of writing, or errScopeChanged before
// anything was written.
type resource func(exchange) (*problem.Problem, error)

// maxReopenings bounds how often a request is begun anew because the client's
// scope has changed while it was held.
const maxReopenings = 3

// serve makes a handler of a resource with these parameters of its own: it finds
// the binding, and asks for leave to use it.
func (t *Transport) serve(answer resource, own ...string) echo.HandlerFunc {
	return t.meter.Count(func(c echo.Context) error {
		plain, compressed := stepOut(c.Response())
		x := exchange{
			w: c.Response(), r: c.Request(), key: c.Param("key"), app: c.Echo(),
			base: t.baseOf(c.Request()), sent: new(sentBody), plain: plain, compressed: compressed,
		}
		defer ending.LimitBody(x.w, x.r, t.cfg.BodyTimeout, t.stopping, t.servers.Of(x.r)).End()
		exposeHeaders(x.w.Header())
		params, args, p := parameters(x.r.URL.RawQuery, own)
		x.params = params
		for again := 0; p == nil; again++ {
			if p = t.open(&x, nameOf(x.r, c.Param("binding")), args); p != nil {
				break
			}
			var err error
			p, err = answered(x, answer)
			switch {
			case err == nil && p == nil:
				return nil
			case errors.Is(err, errScopeChanged) && again < maxReopenings:
			case errors.Is(err, errScopeChanged):
				p = problem.Unavailable("what may be seen here is changing")
			case err != nil:
				return err
			}
		}
		return p.Write(x.w, x.r)
	})
}

// answered has the resource answer, and gives back the grant, also when code of
// the application's panics.
func answered(x exchange, answer resource) (*problem.Problem, error) {
	defer x.grant.Close()
	return answer(x)
}

// byPath answers for requests of methods that Echo does not know, for which there
// is no route: what they are about says that it does not have them.
func byPath(list, row, nothing echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		binding, key, isRow := strings.Cut(c.Param("*"), "/")
		switch {
		case binding == "" || strings.Contains(key, "/"):
			return nothing(c)
		case isRow:
			c.SetParamNames("binding", "key")
			c.SetParamValues(binding, key)
			return row(c)
		default:
			c.SetParamNames("binding")
			c.SetParamValues(binding)
			return list(c)
		}
	}
}

// nothing answers for paths that cannot be anything.
func (t *Transport) nothing(c echo.Context) error {
	stepOut(c.Response())
	return problem.NotFound("there is nothing at this path").Write(c.Response(), c.Request())
}

// list answers for a binding as a whole.
func (t *Transport) list(x exchange) (*problem.Problem, error) {
	allow, writable := "GET, HEAD, OPTIONS", x.view.WriteRules().Writable
	if writable {
		allow += ", POST"
	}
	switch {
	case x.r.Method == http.MethodGet, x.r.Method == http.MethodHead:
		return t.readList(x)
	case x.r.Method == http.MethodPost && writable:
		return t.insert(x)
	default:
		return refuse(x, allow)
	}
}

// row answers for one row.
func (t *Transport) row(x exchange) (*problem.Problem, error) {
	allow, writable := "GET, HEAD, OPTIONS", x.view.WriteRules().Writable
	if writable {
		allow += ", PUT, PATCH, DELETE"
	}
	switch x.r.Method {
	case http.MethodGet, http.MethodHead:
		return t.readRow(x)
	case http.MethodPut, http.MethodPatch, http.MethodDelete:
		if writable {
			return t.change(x)
		}
	case http.MethodOptions:
		if writable {
			x.w.Header().Set("Accept-Patch", typeMergePatch+", "+typeJSON)
		}
	}
	return refuse(x, allow)
}

// refuse answers OPTIONS, and any method that the resource does not have.
func refuse(x exchange, allow string) (*problem.Problem, error) {
	x.w.Header().Set("Allow", allow)
	if x.r.Method != http.MethodOptions {
		return problem.MethodNotAllowed(x.r.Method), nil
	}
	x.w.WriteHeader(http.StatusNoContent)
	return nil, nil
}

// exposeHeaders lets scripts of other origins see the headers that mean
// something here, once CORS middleware has let them see the answer at all.
func exposeHeaders(h http.Header) {
	if h.Get("Access-Control-Allow-Origin") != "" && h.Get("Access-Control-Expose-Headers") == "" {
		h.Set("Access-Control-Expose-Headers", "Bindery-Mark, Content-Location, ETag, Last-Modified, Link, Location, Preference-Applied, Retry-After, X-Total-Count")
	}
}
