package sse

import (
	"context"
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
	"github.com/binderyhq/bindery/transports/internal/serving"
)

// Transport serves bindings as Server-Sent Events. It is made by [New] and
// given to [core.Registry.Serve].
type Transport struct {
	group *echo.Group
	cfg   Config
	wrong error // error of New's arguments, for Validate
	enc   *wire.Encoder

	replicas *wire.Encoder // for followers

	reg     *core.Registry // from Mount on
	prefix  atomic.Value   // string: the path in front of a binding's name
	servers ending.Servers

	streams *serving.Connections[*stream]
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
// configuration may be given. [core.Registry.Start] reports errors in it.
func New(group *echo.Group, cfg ...Config) *Transport {
	t := &Transport{group: group}
	t.cfg, t.wrong = serving.Config(group, cfg)
	t.enc, t.replicas = wire.NewEncoder(t.cfg.limits()), wire.NewReplicaEncoder(t.cfg.limits())
	t.streams = serving.NewConnections(serving.Kind[*stream]{
		Transport: t.Name(), Noun: "event streams", Max: t.cfg.MaxStreams, DrainTimeout: t.cfg.DrainTimeout, Stop: (*stream).stop, Cut: (*stream).cut,
	})
	t.prefix.Store("")
	return t
}

// Name returns "sse".
func (*Transport) Name() string { return "sse" }

// Validate returns every error in the configuration, see [driver.Validator].
func (t *Transport) Validate() error {
	if t.wrong != nil {
		return fmt.Errorf("sse: %w", t.wrong)
	}
	return nil
}

// Mount installs the routes, see [core.Transport].
func (t *Transport) Mount(reg *core.Registry) error {
	if err := t.Validate(); err != nil {
		return err
	}
	t.reg = reg
	t.streams.Mount(reg)
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
	t.prefix.Store(prefix) // set last: whoever reads it finds all routes installed
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

// Drain ends the open streams one after the other within the time, see [core.Drainer].
func (t *Transport) Drain(ctx context.Context, over time.Duration) error {
	return t.streams.Drain(ctx, over)
}

// Shutdown waits until all streams have ended. The registry has told them to end when
// it began to stop; see the package's documentation. It returns the context's error if
// the context ends first.
func (t *Transport) Shutdown(ctx context.Context) error { return t.streams.Shutdown(ctx) }

// Status returns the counters that all transports have, see [core.StatusReporter].
func (t *Transport) Status() status.Transport {
	st := t.meter.Status()
	t.streams.Report(&st)
	st.Dropped = t.stuck.Load()
	return st
}

// warnOfGathering logs once that middleware holds events back, so that clients poll.
func (t *Transport) warnOfGathering(w http.ResponseWriter) {
	t.warnGathering.Do(func() {
		t.reg.Logger().Warn("sse: a response writer of middleware cannot be flushed: its streams end after one event, and clients come back for the next; keep that middleware off the event streams", slog.String("id", "sse-unflushable"),
			slog.String("writer", fmt.Sprintf("%T", w)))
	})
}
