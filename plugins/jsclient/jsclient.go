package jsclient

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
)

// Config tunes the plugin. The zero value of each field means its default.
type Config struct {
	// CacheControl is the header Cache-Control of all files. By default a cache may
	// keep the entry but must check it each time ("no-cache"), and may keep the modules
	// behind it for a year, because their names change with their content.
	CacheControl string
}

const defaultCacheControl = "no-cache"

// WithDefaults returns a copy in which every zero field has its default.
func (c Config) WithDefaults() Config {
	if c.CacheControl == "" {
		c.CacheControl = defaultCacheControl
	}
	return c
}

// Validate returns every error in the configuration.
func (c Config) Validate() error {
	if strings.ContainsAny(c.CacheControl, "\r\n") {
		return fmt.Errorf("config: CacheControl %q has more than one line", c.CacheControl)
	}
	return nil
}

// Plugin serves the client. It is made by [New] and given to [core.Registry.Use]. It
// starts no goroutine.
type Plugin struct {
	group *echo.Group
	cfg   Config
	extra bool // more than one configuration is given
}

var _ core.Plugin = (*Plugin)(nil)

// New returns a plugin whose files appear under the group. At most one configuration
// may be given. [core.Registry.Start] reports errors in it.
func New(group *echo.Group, cfg ...Config) *Plugin {
	p := &Plugin{group: group}
	p.extra = len(cfg) > 1
	if len(cfg) > 0 {
		p.cfg = cfg[0]
	}
	p.cfg = p.cfg.WithDefaults()
	return p
}

// Name returns "jsclient".
func (*Plugin) Name() string { return "jsclient" }

// Validate returns every error in the configuration, see [driver.Validator].
func (p *Plugin) Validate() error {
	if p.group == nil {
		return errors.New("jsclient: the group is nil")
	}
	if p.extra {
		return errors.New("jsclient: more than one configuration is given")
	}
	if err := p.cfg.Validate(); err != nil {
		return fmt.Errorf("jsclient: %w", err)
	}
	return nil
}

// Start installs the routes, see [core.Plugin].
func (p *Plugin) Start(context.Context, *core.Registry) error {
	if err := p.Validate(); err != nil {
		return err
	}
	all, err := served()
	if err != nil {
		return fmt.Errorf("jsclient: %w", err)
	}
	for _, f := range all {
		handler := p.handler(f)
		p.group.GET("/"+f.name, handler)
		p.group.HEAD("/"+f.name, handler)
	}
	return nil
}

// Shutdown does nothing, see [core.Plugin].
func (*Plugin) Shutdown(context.Context) error { return nil }

// handler serves one file. It may be called concurrently.
func (p *Plugin) handler(f file) echo.HandlerFunc {
	sum := sha256.Sum256(f.body)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	cacheControl := p.cfg.CacheControl
	if f.forever && cacheControl == defaultCacheControl {
		cacheControl = "public, max-age=31536000, immutable"
	}
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Type", f.kind)
		h.Set("ETag", etag)
		h.Set("Cache-Control", cacheControl)
		h.Set("X-Content-Type-Options", "nosniff")
		// The zero time omits Last-Modified, because embedded files have no time.
		http.ServeContent(c.Response(), c.Request(), f.name, time.Time{}, bytes.NewReader(f.body))
		return nil
	}
}
