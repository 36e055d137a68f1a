package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
)

// Plugin is the admin. It is made by [New] and given to [core.Registry.Use].
type Plugin struct {
	group *echo.Group
	cfg   Config
	reg   *core.Registry
	guard guard

	started time.Time
	streams atomic.Int64 // that are open
}

var _ core.Plugin = (*Plugin)(nil)

// New returns a plugin that is served under the group. [core.Registry.Start] reports
// errors in the configuration.
func New(group *echo.Group, cfg Config) *Plugin {
	return &Plugin{group: group, cfg: cfg.WithDefaults()}
}

// Name returns "admin".
func (*Plugin) Name() string { return "admin" }

// Validate returns every error in the configuration, see [driver.Validator]. The error
// wraps [ErrNoGuard] if nothing guards the routes.
func (p *Plugin) Validate() error {
	if p.group == nil {
		return errors.New("admin: the group is nil")
	}
	return p.cfg.Validate()
}

// Start installs the routes, see [core.Plugin]. It returns the errors of Validate.
func (p *Plugin) Start(_ context.Context, reg *core.Registry) error {
	if err := p.Validate(); err != nil {
		return err
	}
	p.reg, p.started, p.guard = reg, time.Now(), newGuard(p.cfg)
	files, err := pageFiles()
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	handler := p.serve(files)
	if p.cfg.Guard != nil {
		handler = p.cfg.Guard(handler)
	}
	p.group.Any("", func(c echo.Context) error { // the page's files are relative to it, so its address needs the slash
		to := "admin/"
		if path := c.Request().URL.Path; path != "" {
			to = path[lastSlash(path)+1:] + "/"
		}
		if q := c.Request().URL.RawQuery; q != "" {
			to += "?" + q
		}
		return c.Redirect(http.StatusPermanentRedirect, "./"+to)
	})
	p.group.Any("/*", handler)
	return nil
}

// Shutdown does nothing: streams end as soon as the registry stops, see
// [core.Registry.Stopping].
func (*Plugin) Shutdown(context.Context) error { return nil }

func lastSlash(path string) int {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return i
		}
	}
	return -1
}
