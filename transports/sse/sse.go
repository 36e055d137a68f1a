package sse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/transports/internal/ending"
	"github.com/binderyhq/bindery/transports/internal/meter"
	"github.com/binderyhq/bindery/transports/internal/problem"
)

// Transport serves bindings as Server-Sent Events. It is made by [New] and
// given to [core.Registry.Serve].
type Transport struct {
	group *echo.Group
	cfg   Config
	extra bool // more than one configuration is given
	enc   *wire.Encoder

	replicas *wire.Encoder // for followers

	reg     *core.Registry // from Mount on
	prefix  atomic.Value   // string: the path in front of a binding's name
	servers ending.Servers

	streams *ending.Open[*stream]
	stuck   atomic.Uint64
	meter   meter.Meter

	warnGathering sync.Once
}

var (
	_ core.Transport      = (*Transport)(nil)
	_ core.MonitorLinker  = (*Transport)(nil)
	_ core.StatusReporter = (*Transport)(nil)
	_ core.Drainer        = (*Transport)(nil)
)

// New returns a transport whose streams appear under the group. At most one
// configuration may be given. What is wrong with it is reported by
// [core.Registry.Start].
func New(group *echo.Group, cfg ...Config) *Transport {
	t := &Transport{group: group}
	t.extra = len(cfg) > 1
	if len(cfg) > 0 {
		t.cfg = cfg[0]
	}
	t.cfg = t.cfg.WithDefaults()
	t.enc, t.replicas = wire.NewEncoder(t.cfg.limits()), wire.NewReplicaEncoder(t.cfg.limits())
	t.streams = ending.NewOpen[*stream](t.cfg.MaxStreams)
	t.prefix.Store("")
	return t
}

// Name returns "sse".
func (*Transport) Name() string { return "sse" }

// Mount installs the routes, see [core.Transport].
func (t *Transport) Mount(reg *core.Registry) error {
	if t.group == nil {
		return errors.New("sse: the group is nil")
	}
	if t.extra {
		return errors.New("sse: more than one configuration is given")
	}
	if err := t.cfg.Validate(); err != nil {
		return fmt.Errorf("sse: %w", err)
	}
	t.reg = reg
	context.AfterFunc(reg.Stopping(), func() { t.streams.Each((*stream).notify) })
	others := []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	prefix := ""
	for path, handler := range map[string]echo.HandlerFunc{"": t.serveSeveral, "/:binding": t.serveOne} {
		handler = t.meter.CountEarly(handler)
		route := t.group.GET(path, handler)
		t.group.HEAD(path, handler)
		t.group.OPTIONS(path, t.meter.CountEarly(tellMethods))
		t.group.Match(others, path, t.meter.CountEarly(refuseMethod))
		if before, ok := strings.CutSuffix(route.Path, ":binding"); ok {
			prefix = before
		}
	}
	t.prefix.Store(prefix) // who sees it finds all routes there
	return nil
}

// MonitorURL returns the path of the binding's stream, or "" before Mount.
func (t *Transport) MonitorURL(binding string) string {
	prefix := t.prefix.Load().(string)
	if prefix == "" {
		return ""
	}
	return prefix + url.PathEscape(binding)
}

// Drain ends the streams that are open, spread over the time, see [core.Drainer].
func (t *Transport) Drain(ctx context.Context, over time.Duration) error {
	return t.streams.Spread(ctx, over, (*stream).stop)
}

// Shutdown waits for the streams, which the registry's stopping has told to
// end, see the package's documentation. It returns when
// none is left, or with the context's error when that ends first.
func (t *Transport) Shutdown(ctx context.Context) error {
	t.streams.Close(nil)
	// Whoever is left after a while does not read. Their writes fail at once.
	if err := t.streams.Drain(ctx, t.cfg.DrainTimeout, (*stream).cut); err != nil {
		return fmt.Errorf("sse: waiting for streams to end: %w", err)
	}
	return nil
}

// Status returns the counters as all transports tell them, see [core.StatusReporter].
func (t *Transport) Status() status.Transport {
	st := t.meter.Status()
	st.Open, st.Refused, st.Dropped = t.streams.Len(), t.streams.Refused(), t.stuck.Load()
	return st
}

// warnOfGathering says once that clients poll where they should be sent to.
func (t *Transport) warnOfGathering(w http.ResponseWriter) {
	t.warnGathering.Do(func() {
		t.reg.Logger().Warn("sse: a response writer of middleware cannot be flushed: its streams end after one event, and clients come back for the next; keep that middleware off the event streams", slog.String("id", "sse-unflushable"),
			slog.String("writer", fmt.Sprintf("%T", w)))
	})
}

// admit enters the stream, which is to leave, or says why not.
func (t *Transport) admit(s *stream) *problem.Problem {
	err := t.streams.Enter(s)
	switch {
	case errors.Is(err, ending.ErrFull):
		return problem.Unavailable("too many event streams are open")
	case err != nil:
		return problem.ShuttingDown()
	case t.reg.Stopping().Err() != nil:
		t.streams.Leave(s)
		return problem.ShuttingDown()
	}
	return nil
}
