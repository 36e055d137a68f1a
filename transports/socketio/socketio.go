package socketio

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/transports/internal/duplex"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/internal/serving"
	"github.com/binderyhq/bindery/transports/socketio/internal/packet"
)

// Transport serves bindings to Socket.IO's clients. It is made by [New] and given
// to [core.Registry.Serve].
type Transport struct {
	group  *echo.Group
	cfg    Config
	wrong  error                    // error of New's arguments, for Validate
	encs   map[string]*wire.Encoder // by namespace
	server *duplex.Server[*conn]

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

// New returns a transport that clients reach at the group's own path. At most one
// configuration may be given. [core.Registry.Start] reports errors in it.
func New(group *echo.Group, cfg ...Config) *Transport {
	t := &Transport{group: group, bySID: make(map[string]*conn)}
	t.cfg, t.wrong = serving.Config(group, cfg)
	t.encs = map[string]*wire.Encoder{packet.Main: t.encoder(packet.Main)}
	if n := t.cfg.Namespace; n != "" {
		t.encs[n] = t.encoder(n)
	}
	// Engine.IO has heartbeats of its own, so sockets are not pinged.
	t.server = duplex.NewServer(t.Name(), t.cfg.shared(), -1, nil, (*conn).stop, (*conn).cut)
	return t
}

// encoder encodes messages as events of the namespace, in packets that polling and
// WebSocket both send.
func (t *Transport) encoder(namespace string) *wire.Encoder {
	return wire.NewFramedEncoder(t.cfg.shared().Messages(), wire.Framing{
		Before: string(message(packet.Packet{Type: packet.Event, Namespace: namespace, Data: []byte("[")})), Between: ",", After: "]",
	})
}

// Name returns "socketio".
func (*Transport) Name() string { return "socketio" }

// Validate returns every error in the configuration, see [driver.Validator].
func (t *Transport) Validate() error {
	if t.wrong != nil {
		return fmt.Errorf("socketio: %w", t.wrong)
	}
	return nil
}

// Mount installs the routes, see [core.Transport].
func (t *Transport) Mount(reg *core.Registry) error {
	if err := t.Validate(); err != nil {
		return err
	}
	t.server.Mount(reg)
	// Stock clients add a slash to the path. All methods are routed here, because
	// Engine.IO has its own answer to unsupported ones.
	serve := t.server.Hub.Meter().Count(t.serve)
	t.group.Any("", serve)
	t.group.Any("/", serve)
	return nil
}

// Drain ends the open sessions one after the other within the time, see [core.Drainer].
func (t *Transport) Drain(ctx context.Context, over time.Duration) error {
	t.draining.Store(true)
	return t.server.Drain(ctx, over)
}

// Shutdown closes the sessions, see the package's documentation. It returns when
// none is left, or with the context's error if the context ends first.
func (t *Transport) Shutdown(ctx context.Context) error { return t.server.Shutdown(ctx) }

// Status returns the counters that all transports have, see [core.StatusReporter].
func (t *Transport) Status() status.Transport {
	st := t.server.Status()
	st.Polling = int(t.polling.Load())
	st.Dropped += t.stuck.Load()
	return st
}

// admit adds the session to the open ones, so that requests can find it. It returns the
// problem if the session is refused.
func (t *Transport) admit(c *conn) *problem.Problem {
	if p := t.server.Admit(c); p != nil {
		return p
	}
	t.mu.Lock()
	t.bySID[c.sid] = c
	t.mu.Unlock()
	return nil
}

// lookup returns the session with this id, or nil.
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
