package health

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/binderyhq/bindery/core"
)

// Config tunes the handlers. The zero value of each field means its default.
type Config struct {
	// Delay is how long Drain waits after readiness turns to 503 until it ends the
	// first stream, so that the load balancer has noticed. It should be a little longer
	// than the period of the probe. The default is 5 seconds; negative means not to
	// wait.
	Delay time.Duration

	// Spread is the time over which Drain ends open streams and connections, so that
	// clients do not come back all at once. The default is 5 seconds; negative means
	// that all end at once, with the registry's Shutdown.
	Spread time.Duration

	// Errors adds the errors themselves to the body of readiness. They quote the
	// database, for operators: leave it off if clients can reach the path.
	Errors bool
}

// WithDefaults returns a copy in which every zero field has its default.
func (c Config) WithDefaults() Config {
	if c.Delay == 0 {
		c.Delay = 5 * time.Second
	}
	if c.Spread == 0 {
		c.Spread = 5 * time.Second
	}
	return c
}

// Health answers probes about one registry. Its methods may be called from any
// goroutine, and at any time.
type Health struct {
	reg *core.Registry
	cfg Config
}

// New returns the handlers of the registry. Only the first configuration counts. It
// starts nothing.
func New(reg *core.Registry, cfg ...Config) *Health {
	h := &Health{reg: reg}
	if len(cfg) > 0 {
		h.cfg = cfg[0]
	}
	h.cfg = h.cfg.WithDefaults()
	return h
}

// Live returns the handler for liveness. It answers GET and HEAD.
func (h *Health) Live() http.Handler {
	return probe(func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n")) // a client that has gone needs no answer
	})
}

// Ready returns the handler for readiness. It answers GET and HEAD with the JSON form
// of [Report].
func (h *Health) Ready() http.Handler {
	return probe(func(w http.ResponseWriter) {
		report := h.Report()
		w.Header().Set("Content-Type", "application/json")
		if !report.Ready {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(report) // likewise
	})
}

// probe answers GET and HEAD, and keeps the answer out of caches.
func probe(answer func(http.ResponseWriter)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		answer(w)
	})
}

// Drain turns readiness to 503, waits for [Config].Delay, and ends open streams and
// connections, spread over [Config].Spread; see [core.Registry.Drain]. Call
// [core.Registry.Shutdown] next. If the context ends first, Drain returns its error:
// leave Shutdown time of its own. Drain returns nil if the registry does not run.
func (h *Health) Drain(ctx context.Context) error {
	if h.reg.Drain(ctx, 0) != nil { // turns readiness to 503
		return nil
	}
	log := h.reg.Logger()
	log.Info("health: draining", slog.String("id", "health-draining"), slog.Int("open", h.open()),
		slog.Duration("delay", max(h.cfg.Delay, 0)), slog.Duration("spread", max(h.cfg.Spread, 0)))
	begun := time.Now()
	err := h.drain(ctx)
	log.Info("health: drained", slog.String("id", "health-drained"), slog.Int("open", h.open()), slog.Duration("took", time.Since(begun)))
	return err
}

func (h *Health) drain(ctx context.Context) error {
	if h.cfg.Delay > 0 {
		timer := time.NewTimer(h.cfg.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-h.reg.Stopping().Done():
			return nil
		case <-ctx.Done():
			return fmt.Errorf("health: draining: %w", ctx.Err())
		}
	}
	if err := h.reg.Drain(ctx, h.cfg.Spread); err != nil && h.reg.Stopping().Err() == nil {
		return fmt.Errorf("health: %w", err)
	}
	return nil
}

// open returns the number of open streams, connections and waiting requests.
func (h *Health) open() (n int) {
	for _, t := range h.reg.Status().Transports {
		n += t.Open
	}
	return n
}
