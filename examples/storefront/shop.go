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
	"github.com/binderyhq/bindery/plugins/health"
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
	health   *health.Health
}

// newShop assembles the shop. others is nil for a node alone.
func newShop(database *database, others *nodes, s settings) *shop {
	db := database.db
	reg := core.NewRegistry()
	reg.Add(
		bunsource.Bind[Product](db, "products",
			core.Where(filter.Eq("active", true)), core.Writable(core.WriteRules{RowsMayLeave: true})),
		bunsource.Bind[Product](db, "everything"),
		bunsource.Bind[Product](db, "cheapest",
			core.Where(filter.Eq("active", true)), core.OrderBy("price"), core.Limit(10)),
		// One binding for each venue that somebody asks for.
		bunsource.BindFamily[Product](db, "shelf",
			core.Where(filter.Eq("active", true), ofVenue())),
		bindVenues(db, s.rows),
	)
	reg.Watch(bunsource.Hooks(db))
	reg.Watch(database.others...)
	if others != nil {
		reg.Watch(others.relay)
		reg.Use(others.relay.Publisher())
	}
	warm := newWarm(database, s)
	if warm != nil {
		reg.Use(warm)
	}
	shop := serve(reg, s)
	shop.warm = warm
	return shop
}

// ofVenue is true for what the venue that somebody asks for has.
func ofVenue() filter.Expr { return filter.Eq("venue", filter.Param("venue")) }

// serve puts the registry's bindings on the web.
func serve(reg *core.Registry, s settings) *shop {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Server.ReadHeaderTimeout = 10 * time.Second
	e.Use(middleware.Recover())

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

	probes := health.New(reg, s.drain)
	e.Any("/healthz", echo.WrapHandler(probes.Live()))
	e.Any("/readyz", echo.WrapHandler(probes.Ready()))
	page := echo.WrapHandler(web.Handler())
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		e.Add(method, "/", page)
		e.Add(method, "/:file", page)
	}
	return &shop{echo: e, registry: reg, health: probes}
}
