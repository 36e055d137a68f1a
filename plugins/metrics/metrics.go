package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
)

// Plugin serves the metrics. It is made by [New] and given to [core.Registry.Use]. It
// starts no goroutine.
type Plugin struct {
	group *echo.Group
	cfg   Config
	extra bool      // more than one configuration is given
	seen  *observer // nil: the configuration is not valid
}

var (
	_ core.Plugin          = (*Plugin)(nil)
	_ core.BatchObserver   = (*Plugin)(nil)
	_ core.PublishObserver = (*Plugin)(nil)
)

// New returns a plugin whose metrics appear at the group's own path. At most one
// configuration may be given. [core.Registry.Start] reports errors in it. New registers
// nothing with Prometheus' global registry.
func New(group *echo.Group, cfg ...Config) *Plugin {
	p := &Plugin{group: group}
	p.extra = len(cfg) > 1
	if len(cfg) > 0 {
		p.cfg = cfg[0]
	}
	p.cfg = p.cfg.WithDefaults()
	if p.cfg.Validate() == nil { // or else Start says so
		p.seen = newObserver(p.cfg)
	}
	return p
}

// Name returns "metrics".
func (*Plugin) Name() string { return "metrics" }

// Validate returns every error in the configuration, see [driver.Validator].
func (p *Plugin) Validate() error {
	if p.group == nil {
		return errors.New("metrics: the group is nil")
	}
	if p.extra {
		return errors.New("metrics: more than one configuration is given")
	}
	if err := p.cfg.Validate(); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// Start installs the route, see [core.Plugin].
func (p *Plugin) Start(_ context.Context, reg *core.Registry) error {
	if err := p.Validate(); err != nil {
		return err
	}
	shown := prometheus.NewRegistry()
	all := append([]prometheus.Collector{p.seen, newStatusCollector(reg.Status), newProgramCollector(reg.Ready)}, p.cfg.Collectors...)
	if !p.cfg.OmitProcess {
		all = append(all, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	for _, c := range all {
		if err := shown.Register(c); err != nil {
			return fmt.Errorf("metrics: registering a collector: %w", err)
		}
	}
	handler := echo.WrapHandler(promhttp.HandlerFor(shown, promhttp.HandlerOpts{
		EnableOpenMetrics: true,
		// A failing collector, such as one of the program's, hides no other.
		ErrorHandling:       promhttp.ContinueOnError,
		ErrorLog:            logger{reg.Logger()},
		MaxRequestsInFlight: p.cfg.MaxScrapes,
		DisableCompression:  true, // the application's middleware may
	}))
	serve := func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "no-store")
		return handler(c)
	}
	p.group.GET("", serve)
	p.group.HEAD("", serve)
	return nil
}

// BatchBegan implements [core.BatchObserver].
func (*Plugin) BatchBegan(context.Context, core.Batch) context.Context { return nil }

// BatchEnded implements [core.BatchObserver].
func (p *Plugin) BatchEnded(_ context.Context, r core.BatchResult) { p.seen.batch(r) }

// Published implements [core.PublishObserver].
func (p *Plugin) Published(v *live.View, e *live.Event) { p.seen.published(v, e) }

// Shutdown has nothing to end, see [core.Plugin].
func (*Plugin) Shutdown(context.Context) error { return nil }

// logger writes promhttp's messages to the registry's log.
type logger struct{ log *slog.Logger }

// Println is also called for each family of metrics that cannot be sent because the
// client has gone. That is no error of this program.
func (l logger) Println(v ...any) {
	if text, ok := v[0].(string); ok && strings.HasPrefix(text, "error encoding and sending") {
		l.log.Debug("metrics: a scrape was not sent to its end", slog.String("id", "metrics-scrape-cut"), slog.String("err", fmt.Sprint(v...)))
		return
	}
	l.log.Error("metrics: a scrape was answered in part", slog.String("id", "metrics-scrape-failed"), slog.String("err", fmt.Sprint(v...)))
}
