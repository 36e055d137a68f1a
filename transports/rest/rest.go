package rest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/transports/internal/ending"
	"github.com/binderyhq/bindery/transports/internal/meter"
	"github.com/binderyhq/bindery/transports/rest/internal/access"
	"github.com/binderyhq/bindery/transports/rest/internal/content"
	"github.com/binderyhq/bindery/transports/rest/internal/hold"
	"github.com/binderyhq/bindery/transports/rest/internal/prefix"
	"github.com/binderyhq/bindery/transports/rest/internal/reading"
	"github.com/binderyhq/bindery/transports/rest/internal/request"
	"github.com/binderyhq/bindery/transports/rest/internal/writing"
)

// Transport serves bindings over HTTP. It is made by [New].
type Transport struct {
	group    *echo.Group
	cfg      Config
	problems []error // of New, reported by Mount
	prefix   prefix.Prefix

	servers    ending.Servers
	held       *hold.Requests // requests that wait for a change or a mark
	writes     *hold.Count    // writes under way
	slowBodies atomic.Uint64
	meter      meter.Meter

	// Set by Mount.
	stopping context.Context // done when waiting requests must end
	stop     context.CancelFunc
	opener   *access.Opener
	reader   *reading.Reader
	writer   *writing.Writer
}

var (
	_ core.Transport = (*Transport)(nil)
	_ core.Measured  = (*Transport)(nil)
)

// New returns a transport that serves all bindings of its registry under the
// group's prefix. At most one configuration is given. [core.Registry.Start] reports
// what is wrong with it.
func New(group *echo.Group, cfg ...Config) *Transport {
	t := &Transport{group: group}
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
	t.prefix = prefix.Prefix{Default: t.cfg.BasePath, Trusted: t.cfg.TrustedProxies}
	t.held = hold.New(t.cfg.MaxWaiting, t.cfg.MaxWait, &t.servers)
	t.writes = hold.NewCount(math.MaxInt) // each has a connection, and the server bounds those
	return t
}

// Name implements [core.Transport].
func (*Transport) Name() string { return "rest" }

// Mount implements [core.Transport].
func (t *Transport) Mount(reg *core.Registry) error {
	if err := errors.Join(t.problems...); err != nil {
		return fmt.Errorf("rest: mounting: %w", err)
	}
	t.stopping, t.stop = context.WithCancel(reg.Stopping())
	t.opener = &access.Opener{Registry: reg, LoadWait: t.cfg.LoadWait, Stopping: t.stopping}
	editions := &content.Editions{Monitors: reg.Monitors, BasePath: t.cfg.BasePath, Meter: &t.meter}
	t.reader = reading.New(reading.Reader{
		Opener: t.opener, Held: t.held, Editions: editions,
		Limits:   request.Limits{Default: t.cfg.PageLimit, Max: t.cfg.MaxPageLimit},
		Caching:  reading.NewCaching(t.cfg.CacheControl, DefaultCacheControl, t.cfg.SharedMaxAge),
		MarkWait: DefaultMarkWait,
	})
	t.writer = &writing.Writer{
		Opener: t.opener, UnderWay: t.writes, Editions: editions,
		MaxBody: t.cfg.MaxBody, BodyTimeout: t.cfg.BodyTimeout, Timeout: t.cfg.WriteTimeout, SlowBodies: &t.slowBodies,
	}
	lists := t.group.Any("/:binding", t.serve(t.list, request.ParamAfter, request.ParamLimit, request.ParamOffset, request.ParamSince, request.ParamWait, request.ParamMark))
	t.group.Any("/:binding/:key", t.serve(t.row, request.ParamMark))
	t.group.Any("/:binding/", t.serve(t.row, request.ParamMark)) // the row whose key is the empty text
	if strings.TrimSuffix(lists[0].Path, "/:binding") != "" {
		// Under a prefix of its own the transport answers 404 for all other paths. At
		// the root that is up to the application.
		t.group.RouteNotFound("", t.meter.Count(nothing))
		t.group.RouteNotFound("/*", t.meter.Count(nothing))
	}
	return nil
}

// Drain implements [core.Draining]: it answers the requests that wait for a change.
func (t *Transport) Drain(ctx context.Context, over time.Duration) error {
	return t.held.Release(ctx, over)
}

// Shutdown implements [core.Transport]. It answers requests that wait for a change,
// finishes the writes under way, and refuses others.
func (t *Transport) Shutdown(ctx context.Context) error {
	t.stop()
	if err := t.held.Drain(ctx); err != nil {
		return fmt.Errorf("rest: ending requests that wait: %w", err)
	}
	if err := t.writes.Drain(ctx); err != nil {
		return fmt.Errorf("rest: finishing writes: %w", err)
	}
	return nil
}

// Status returns the counters that all transports have, see [core.Measured]. Here the
// open connections and the subscribers are the requests that wait for a change.
// Dropped counts requests whose body did not come within Config.BodyTimeout.
func (t *Transport) Status() status.Transport {
	st := t.meter.Status()
	st.Open, st.Dropped = t.held.Len(), t.slowBodies.Load()
	st.Subscribers = st.Open
	return st
}
