package rest

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/transports/internal/ending"
	"github.com/binderyhq/bindery/transports/internal/meter"
	"github.com/binderyhq/bindery/transports/internal/serving"
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
	group  *echo.Group
	cfg    Config
	wrong  error // with the arguments of New
	prefix prefix.Prefix

	servers    ending.Servers
	held       *hold.Requests // requests that wait for a change or a mark
	writes     *hold.Count    // writes under way
	slowBodies atomic.Uint64
	meter      meter.Meter

	// Set by Mount.
	reg       *core.Registry
	writesCut context.Context // done when writes are given up
	cutWrites context.CancelFunc
	stopping  context.Context // done when waiting requests must end
	stop      context.CancelFunc
	opener    *access.Opener
	reader    *reading.Reader
	writer    *writing.Writer
}

var (
	_ core.Transport      = (*Transport)(nil)
	_ core.StatusReporter = (*Transport)(nil)
	_ core.Drainer        = (*Transport)(nil)
)

// New returns a transport that serves all bindings of its registry under the
// group's prefix. At most one configuration is given. [core.Registry.Start] reports
// what is wrong with it.
func New(group *echo.Group, cfg ...Config) *Transport {
	t := &Transport{group: group}
	t.cfg, t.wrong = serving.Config(group, cfg)
	t.prefix = prefix.Prefix{Default: t.cfg.BasePath, Trusted: t.cfg.TrustedProxies}
	t.held = hold.New(t.cfg.MaxWaiting, t.cfg.MaxWait, &t.servers)
	t.writes = hold.NewCount(math.MaxInt) // each has a connection, and the server bounds those
	return t
}

// Name implements [core.Transport].
func (*Transport) Name() string { return "rest" }

// Validate returns what is wrong with the configuration, see [driver.Validator].
func (t *Transport) Validate() error {
	if t.wrong != nil {
		return fmt.Errorf("rest: %w", t.wrong)
	}
	return nil
}

// Mount implements [core.Transport].
func (t *Transport) Mount(reg *core.Registry) error {
	if err := t.Validate(); err != nil {
		return err
	}
	t.reg = reg
	t.stopping, t.stop = context.WithCancel(reg.Stopping())
	t.writesCut, t.cutWrites = context.WithCancel(context.Background())
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
		MaxBody: t.cfg.MaxBody, BodyTimeout: t.cfg.BodyTimeout, Timeout: t.cfg.WriteTimeout, Cut: t.writesCut, SlowBodies: &t.slowBodies,
	}
	list := t.serve(t.list, request.ParamAfter, request.ParamLimit, request.ParamOffset, request.ParamSince, request.ParamWait, request.ParamMark)
	row := t.serve(t.row, request.ParamMark)
	lists := t.group.Any("/:binding", list)
	t.group.Any("/:binding/:key", row)
	t.group.Any("/:binding/", row) // the row whose key is the empty text
	if strings.TrimSuffix(lists[0].Path, "/:binding") != "" {
		// Under a prefix of its own the transport answers 404 for all other paths. At
		// the root that is up to the application.
		nothing := t.meter.Count(nothing)
		t.group.RouteNotFound("", nothing)
		t.group.RouteNotFound("/*", byPath(list, row, nothing))
	}
	return nil
}

// Drain implements [core.Drainer]: it answers the requests that wait for a change.
func (t *Transport) Drain(ctx context.Context, over time.Duration) error {
	return t.held.Release(ctx, over)
}

// Shutdown implements [core.Transport]. It answers requests that wait for a change,
// finishes the writes under way, and refuses others. Writes that take more than half of
// the time, such as those that wait for another program's lock, are given up, so that
// their clients can be told.
func (t *Transport) Shutdown(ctx context.Context) error {
	t.stop()
	if err := t.held.Drain(ctx); err != nil {
		return fmt.Errorf("rest: ending requests that wait: %w", err)
	}
	patience, cancel := halfOf(ctx)
	defer cancel()
	if t.writes.Drain(patience) == nil {
		return nil
	}
	t.reg.Logger().Warn("rest: writes have not ended in time and are given up", slog.String("id", "rest-writes-cut"), slog.Int("writes", t.writes.Len()))
	t.cutWrites()
	if err := t.writes.Drain(ctx); err != nil {
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

// Status returns the counters that all transports have, see [core.StatusReporter]. Here the
// open connections and the subscribers are the requests that wait for a change.
// Dropped counts requests whose body did not come within Config.BodyTimeout.
func (t *Transport) Status() status.Transport {
	st := t.meter.Status()
	st.Open, st.Dropped = t.held.Len(), t.slowBodies.Load()
	st.Subscribers = st.Open
	return st
}
