package websocket

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/transports/internal/duplex"
	"github.com/binderyhq/bindery/transports/internal/origin"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/internal/serving"
	"github.com/binderyhq/bindery/transports/internal/socket"
)

// Transport serves bindings over WebSocket. It is made by [New] and given to
// [core.Registry.Serve].
type Transport struct {
	group  *echo.Group
	cfg    Config
	wrong  error // error of New's arguments, for Validate
	enc    *wire.Encoder
	server *duplex.Server[*conn]
}

var (
	_ core.Transport      = (*Transport)(nil)
	_ core.StatusReporter = (*Transport)(nil)
	_ core.Drainer        = (*Transport)(nil)
)

// New returns a transport that clients reach at the group's own path. At most one
// configuration may be given. [core.Registry.Start] reports errors in it.
func New(group *echo.Group, cfg ...Config) *Transport {
	t := &Transport{group: group}
	t.cfg, t.wrong = serving.Config(group, cfg)
	t.enc = wire.NewEncoder(t.cfg.shared().Messages())
	t.server = duplex.NewServer(t.Name(), t.cfg.shared(), t.cfg.PingInterval, []string{subprotocol}, (*conn).stop, (*conn).cut)
	return t
}

// Name returns "websocket".
func (*Transport) Name() string { return "websocket" }

// Validate returns every error in the configuration, see [driver.Validator].
func (t *Transport) Validate() error {
	if t.wrong != nil {
		return fmt.Errorf("websocket: %w", t.wrong)
	}
	return nil
}

// Mount installs the route, see [core.Transport].
func (t *Transport) Mount(reg *core.Registry) error {
	if err := t.Validate(); err != nil {
		return err
	}
	t.server.Mount(reg)
	t.group.Any("", t.server.Hub.Meter().Count(t.serve))
	return nil
}

// Drain ends the open connections one after the other within the time, see
// [core.Drainer].
func (t *Transport) Drain(ctx context.Context, over time.Duration) error {
	return t.server.Drain(ctx, over)
}

// Shutdown closes the connections, see the package's documentation. It returns when
// none is left, or with the context's error if the context ends first.
func (t *Transport) Shutdown(ctx context.Context) error { return t.server.Shutdown(ctx) }

// Status returns the counters that all transports have, see [core.StatusReporter].
func (t *Transport) Status() status.Transport { return t.server.Status() }

// serve upgrades the request to a WebSocket and serves it until the connection ends.
func (t *Transport) serve(c echo.Context) error {
	r, w := c.Request(), c.Response()
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET, OPTIONS")
		if r.Method != http.MethodOptions {
			return problem.MethodNotAllowed(r.Method).Write(w, r)
		}
		return c.NoContent(http.StatusNoContent)
	}
	// A plain request learns as well whether its token is valid, because browsers do
	// not tell pages why a handshake failed.
	r, p := t.authenticate(r)
	if p != nil {
		return p.Write(w, c.Request())
	}
	if !socket.IsUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		return problem.BadHandshake(http.StatusUpgradeRequired, "this is a WebSocket endpoint").Write(w, r)
	}
	if !origin.Allowed(r, t.cfg.Origins) {
		return problem.OriginRefused().Write(w, r)
	}
	conn := t.newConn(r.Context())
	defer conn.session.End()
	if p := t.server.Admit(conn); p != nil {
		return p.Write(w, r)
	}
	defer t.server.Leave(conn)
	defer conn.session.Release()
	unhook := context.AfterFunc(t.server.HTTP.Of(r), conn.stop)
	defer unhook()
	t.server.Sockets.Serve(conn.session.Context(), w, r, &conn.socket, conn)
	return nil
}
