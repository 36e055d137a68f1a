package socketio

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/transports/internal/ending"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/internal/session"
	"github.com/binderyhq/bindery/transports/internal/socket"
	"github.com/binderyhq/bindery/transports/socketio/internal/packet"
)

// Transport serves bindings to Socket.IO's clients. It is made by [New] and given
// to [core.Registry.Serve].
type Transport struct {
	group   *echo.Group
	cfg     Config
	extra   bool                     // more than one configuration is given
	encs    map[string]*wire.Encoder // by namespace
	hub     *session.Hub
	sockets *socket.Server
	reg     *core.Registry // from Mount on

	servers  ending.Servers
	conns    *ending.Open[*conn]
	stuck    atomic.Uint64
	polling  atomic.Int64
	draining atomic.Bool // Drain was called

	mu    sync.Mutex
	bySID map[string]*conn // guarded by mu
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
	t := &Transport{group: group, bySID: make(map[string]*conn)}
	t.extra = len(cfg) > 1
	t.extra = len(cfg) > 1
	if len(cfg) > 0 {
		t.cfg = cfg[0]
	}
	t.cfg = t.cfg.WithDefaults()
	t.encs = map[string]*wire.Encoder{packet.Main: t.encoder(packet.Main)}
	if n := t.cfg.Namespace; n != "" {
		t.encs[n] = t.encoder(n)
	}
	t.hub = session.NewHub(t.Name(), session.Limits{Joins: t.cfg.MaxJoins, LoadWait: t.cfg.LoadWait})
	t.sockets = socket.NewServer(t.Name(), socket.Config{
		MaxMessageBytes: t.cfg.MaxRequestBytes, HandshakeTimeout: t.cfg.HandshakeTimeout,
		WriteTimeout: t.cfg.WriteTimeout, PingInterval: -1, // Engine.IO has heartbeats of its own
	})
	t.conns = ending.NewOpen[*conn](t.cfg.MaxConnections)
	return t
}

// encoder makes messages as events of the namespace, in packets that polling and
// WebSocket send alike.
func (t *Transport) encoder(namespace string) *wire.Encoder {
	return wire.NewFramedEncoder(t.cfg.limits(), wire.Framing{
		Before: string(message(packet.Packet{Type: packet.Event, Namespace: namespace, Data: []byte("[")})), Between: ",", After: "]",
	})
}

// Name returns "socketio".
func (*Transport) Name() string { return "socketio" }

// Mount installs the routes, see [core.Transport].
func (t *Transport) Mount(reg *core.Registry) error {
	if t.group == nil {
		return errors.New("socketio: the group is nil")
	}
	if t.extra {
		return errors.New("socketio: more than one configuration is given")
	}
	if t.extra {
		return errors.New("socketio: more than one configuration is given")
	}
	if err := t.cfg.Validate(); err != nil {
		return fmt.Errorf("socketio: %w", err)
	}
	t.reg = reg
	t.hub.Mount(reg)
	t.sockets.Mount(reg.Logger())
	// Clients ask with a slash at the end; what is wrong with a method has an
	// answer of its own.
	serve := t.hub.Meter().Count(t.serve)
	t.group.Any("", serve)
	t.group.Any("/", serve)
	return nil
}

// Drain ends the sessions that are open, spread over the time, see [core.Drainer].
func (t *Transport) Drain(ctx context.Context, over time.Duration) error {
	t.draining.Store(true)
	return t.conns.Spread(ctx, over, (*conn).stop)
}

// Shutdown closes the sessions, see the package's documentation. It returns when
// none is left, or with the context's error when that ends first.
func (t *Transport) Shutdown(ctx context.Context) error {
	t.conns.Close((*conn).stop)
	if err := t.conns.Drain(ctx, t.cfg.DrainTimeout, (*conn).cut); err != nil {
		return fmt.Errorf("socketio: waiting for sessions to end: %w", err)
	}
	t.hub.Stop()
	return nil
}

// Status returns the counters as all transports tell them, see [core.StatusReporter].
func (t *Transport) Status() status.Transport {
	st := t.hub.Status()
	st.Open, st.Polling = t.conns.Len(), int(t.polling.Load())
	st.Refused, st.Dropped = t.conns.Refused(), t.stuck.Load()+t.sockets.Stuck()
	return st
}

// admit enters the session, which is to leave, or says why not.
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
	t.mu.Lock()
	t.bySID[c.sid] = c
	t.mu.Unlock()
	return nil
}

// lookup returns the session of the id, or nil.
func (t *Transport) lookup(sid string) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bySID[sid]
}

func (t *Transport) forget(c *conn) {
	t.mu.Lock()
	delete(t.bySID, c.sid)
	t.mu.Unlock()
}
