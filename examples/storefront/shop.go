package main

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/examples/storefront/web"
	"github.com/binderyhq/bindery/plugins/admin"
	"github.com/binderyhq/bindery/plugins/jsclient"
	"github.com/binderyhq/bindery/plugins/metrics"
	"github.com/binderyhq/bindery/plugins/warmstart"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/transports/rest"
	"github.com/binderyhq/bindery/transports/socketio"
	"github.com/binderyhq/bindery/transports/sse"
	"github.com/binderyhq/bindery/transports/websocket"
)

// shop is the program as it is assembled.
type shop struct {
	echo     *echo.Echo
	registry *core.Registry
	warm     *warmstart.Plugin // nil: nothing is kept
}

// newShop assembles the shop. others is nil for a node alone.
func newShop(database *database, others *nodes, s settings) *shop {
	db := database.db
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Server.ReadHeaderTimeout = 10 * time.Second
	e.Use(middleware.Recover())

	reg := core.NewRegistry()
	reg.Add(
		bunsource.Bind[Product](db, "products",
			core.Where(filter.Eq("active", true)), core.Writable(core.WriteRules{RowsMayLeave: true})),
		bunsource.Bind[Product](db, "everything"),
		bunsource.Bind[Product](db, "cheapest",
			core.Where(filter.Eq("active", true)), core.OrderBy("price"), core.Limit(10)),
		// One binding for each venue that somebody asks for.
		bunsource.BindFamily[Product](db, "shelf",
			core.Where(filter.Eq("active", true), filter.Eq("venue", filter.Param("venue")))),
		bindVenues(db),
	)
	reg.Watch(bunsource.Hooks(db))
	reg.Watch(database.others...)
	if others != nil {
		reg.Watch(others.relay)
		reg.Use(others.relay.Publisher())
	}
	reg.Serve(
		rest.New(e.Group("/api"), rest.Config{SharedMaxAge: s.sharedMaxAge}),
		sse.New(e.Group("/events")),
		websocket.New(e.Group("/ws")),
		socketio.New(e.Group("/socket.io")), // for pages that speak it
	)

	reg.Use(
		jsclient.New(e.Group("/client")), // the page's client
		admin.New(e.Group("/admin"), admin.Config{Token: s.adminToken}),
	)

	reg.Use(metrics.New(e.Group("/metrics")))
	warm := newWarm(database, s)
	if warm != nil {
		reg.Use(warm)
	}

	e.GET("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	e.GET("/readyz", func(c echo.Context) error { return readiness(c, reg) })
	page := echo.WrapHandler(web.Handler())
	e.GET("/", page)
	e.GET("/:file", page)
	return &shop{echo: e, registry: reg, warm: warm}
}

// readiness answers 503 until every binding has loaded. A database that goes
// away later does not turn it back: the shop goes on from memory, and says so.
func readiness(c echo.Context, reg *core.Registry) error {
	rd := reg.Ready()
	body := map[string]any{"status": "ready"}
	code := http.StatusOK
	switch {
	case !rd.Ready:
		code = http.StatusServiceUnavailable
		body = map[string]any{"status": "loading", "loading": rd.Loading}
		c.Response().Header().Set("Retry-After", "1")
	case len(rd.Stale) > 0:
		body = map[string]any{"status": "stale", "stale": rd.Stale}
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(code, body)
}
