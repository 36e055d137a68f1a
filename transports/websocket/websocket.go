package websocket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/transports/internal/ending"
	"github.com/binderyhq/bindery/transports/internal/origin"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/internal/session"
	"github.com/binderyhq/bindery/transports/internal/socket"
)

// Transport serves bindings over WebSocket. It is made by [New] and given to
// [core.Registry.Serve].
type Transport struct {
	group   *echo.Group
	cfg     Config
	extra   bool // more than one configuration is given
	enc     *wire.Encoder
	hub     *session.Hub
	sockets *socket.Server
	reg     *core.Registry // from Mount on

	servers ending.Servers
	conns   *ending.Open[*conn]
}

var (
	_ core.Transport      = (*Transport)(nil)
	_ core.StatusReporter = (*Transport)(nil)
	_ core.Drainer        = (*Transport)(nil)
)

// New returns a transport that clients reach at the group's own path. At most
// one configuration may be given. What is wrong with it is reported by
// [core.Registry.Start].
func New(group *echo.Group, cfg ...Config) *Transport {
	t := &Transport{group: group}
	t.extra = len(cfg) > 1
	if len(cfg) > 0 {
		t.cfg = cfg[0]
	}
	t.cfg = t.cfg.WithDefaults()
	t.enc = wire.NewEncoder(t.cfg.limits())
	t.hub = session.NewHub(t.Name(), session.Limits{Joins: t.cfg.MaxJoins, LoadWait: t.cfg.LoadWait})
	t.sockets = socket.NewServer(t.Name(), socket.Config{
		MaxMessageBytes: t.cfg.MaxRequestBytes, HandshakeTimeout: t.cfg.HandshakeTimeout,
		WriteTimeout: t.cfg.WriteTimeout, PingInterval: t.cfg.PingInterval, Subprotocols: []string{subprotocol},
	})
	t.conns = ending.NewOpen[*conn](t.cfg.MaxConnections)
	return t
}

// Name returns "websocket".
func (*Transport) Name() string { return "websocket" }

// Mount installs the route, see [core.Transport].
func (t *Transport) Mount(reg *core.Registry) error {
	if t.group == nil {
		return errors.New("websocket: the group is nil")
	}
	if t.extra {
		return errors.New("websocket: more than one configuration is given")
	}
	if err := t.cfg.Validate(); err != nil {
		return fmt.Errorf("websocket: %w", err)
	}
	t.reg = reg
	t.hub.Mount(reg)
	t.sockets.Mount(reg.Logger())
	t.group.Any("", t.hub.Meter().Count(t.serve))
	return nil
}

// Drain ends the connections that are open, spread over the time, see [core.Drainer].
func (t *Transport) Drain(ctx context.Context, over time.Duration) error {
	return t.conns.Spread(ctx, over, (*conn).stop)
}

// Shutdown closes the connections, see the package's documentation. It returns
// when none is left, or with the context's error when that ends first.
func (t *Transport) Shutdown(ctx context.Context) error {
	t.conns.Close((*conn).stop)
	if err := t.conns.Drain(ctx, t.cfg.DrainTimeout, (*conn).cut); err != nil {
		return fmt.Errorf("websocket: waiting for connections to end: %w", err)
	}
	t.hub.Stop()
	return nil
}

// Status returns the counters as all transports tell them, see [core.StatusReporter].
func (t *Transport) Status() status.Transport {
	st := t.hub.Status()
	st.Open, st.Refused, st.Dropped = t.conns.Len(), t.conns.Refused(), t.sockets.Stuck()
	return st
}

// serve makes the request a connection and serves it until that ends.
func (t *Transport) serve(c echo.Context) error {
	r, w := c.Request(), c.Response()
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET, OPTIONS")
		if r.Method != http.MethodOptions {
			return problem.MethodNotAllowed(r.Method).Write(w, r)
		}
		return c.NoContent(http.StatusNoContent)
	}
	// A plain request finds out, too, whether its token is good: pages are not told
	// why a handshake failed.
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
	if p := t.admit(conn); p != nil {
		return p.Write(w, r)
	}
	defer t.conns.Leave(conn)
	defer conn.session.Release()
	unhook := context.AfterFunc(t.servers.Of(r), conn.stop)
	defer unhook()
	t.sockets.Serve(conn.session.Context(), w, r, &conn.socket, conn)
	return nil
}

// admit enters the connection, which is to leave, or says why not.
func (t *Transport) admit(c *conn) *problem.Problem {
	err := t.conns.Enter(c)
	switch {
	case errors.Is(err, ending.ErrFull):
		return problem.Unavailable("too many connections are open")
	case err != nil:
		return problem.ShuttingDown()
	case t.reg.Stopping().Err() != nil:
		t.conns.Leave(c)
		return problem.ShuttingDown()
	}
	return nil
}
