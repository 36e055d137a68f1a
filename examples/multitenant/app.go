package main

import (
	"context"
	"embed"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/uptrace/bun"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/plugins/jsclient"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pollsource"
	"github.com/binderyhq/bindery/transports/rest"
	"github.com/binderyhq/bindery/transports/socketio"
	"github.com/binderyhq/bindery/transports/sse"
	"github.com/binderyhq/bindery/transports/websocket"
)

// pollEvery is how often the program asks whether another process has written
// to the file.
const pollEvery = 500 * time.Millisecond

//go:embed web
var files embed.FS

// policy lets the page load its own files and talk to its own server, and
// nothing else. 'self' covers WebSockets to the same host.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// app is the program as it is assembled.
type app struct {
	db       *bun.DB
	echo     *echo.Echo
	registry *core.Registry
	people   *core.Binding[Person]
	sessions *sessions
	hashing  hashing
}

// newApp puts the program together; nothing of it runs yet.
func newApp(db *bun.DB) *app {
	a := &app{
		db: db, echo: echo.New(), registry: core.NewRegistry(),
		people: bindPeople(db), sessions: newSessions(time.Now), hashing: newHashing(),
	}
	e, reg := a.echo, a.registry
	e.HideBanner, e.HidePort = true, true
	e.Server.ReadHeaderTimeout = 10 * time.Second
	e.Use(
		middleware.Recover(),
		middleware.SecureWithConfig(middleware.SecureConfig{
			ContentTypeNosniff: "nosniff", ContentSecurityPolicy: policy, ReferrerPolicy: "no-referrer",
		}),
		sameOrigin(),
		a.identify(),
	)

	reg.Add(
		bindTasks(db),
		bindBoard(db),
		bindRecent(db),
		bindProgress(db),
		a.people,
	)
	reg.Authorize(&authorizer{a.people, a.sessions})
	reg.Watch(bunsource.Hooks(db), pollsource.New(pollEvery, pollsource.DataVersion(db)))
	reg.Serve(
		rest.New(e.Group("/api")),
		sse.New(e.Group("/events")),
		websocket.New(e.Group("/ws")),
		socketio.New(e.Group("/socket.io")),
	)
	reg.Use(jsclient.New(e.Group("/client"))) // the page's client

	// Whoever changes somebody's rights, another process too, ends what they
	// have open.
	a.people.OnChange(func(core.Delta[Person]) {
		if err := reg.Reauthorize(reg.Stopping()); err != nil && reg.Stopping().Err() == nil {
			reg.Logger().Error("multitenant: rights have changed, and streams that are open go on", slog.Any("error", err))
		}
	})

	a.routes()
	return a
}

// routes mounts what is neither a transport nor a plugin.
func (a *app) routes() {
	e := a.echo
	small := middleware.BodyLimit("4K")
	e.POST("/session", a.signIn, small)
	e.GET("/session", a.whoAmI)
	e.DELETE("/session", a.signOut)
	e.PUT("/people/:name/suspension", a.suspend(true))
	e.DELETE("/people/:name/suspension", a.suspend(false))
	e.GET("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })

	static := e.Group("", func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			// A page never runs with a script of another release.
			c.Response().Header().Set("Cache-Control", "no-cache")
			return next(c)
		}
	})
	static.FileFS("/", "web/index.html", files)
	for _, name := range []string{"app.js", "view.js", "style.css"} {
		static.FileFS("/"+name, "web/"+name, files)
	}
}

// reauthorize has the authorizer asked again about all who have something open.
// It is not the request's business whether that comes to its end: a client that
// hangs up must not keep others connected.
func (a *app) reauthorize(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return a.registry.Reauthorize(ctx)
}
