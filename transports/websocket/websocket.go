package websocket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync/atomic"

	gorilla "github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
	"github.com/olahol/melody"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/transports/internal/ending"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/internal/wire"
)

// Transport serves bindings over WebSocket. It is made by [New] and given to
// [core.Registry.Serve].
type Transport struct {
	group  *echo.Group
	cfg    Config
	enc    *wire.Encoder
	melody *melody.Melody
	wakeup wakeup
	reg    *core.Registry // from Mount on

	servers     ending.Servers
	sessions    *ending.Open[*session]
	stuck, held atomic.Uint64
}

var _ core.Transport = (*Transport)(nil)

// New returns a transport that clients reach at the group's own path. At most
// one configuration may be given. What is wrong with it is reported by
// [core.Registry.Start].
func New(group *echo.Group, cfg ...Config) *Transport {
	t := &Transport{group: group}
	if len(cfg) > 0 {
		t.cfg = cfg[0]
	}
	t.cfg = t.cfg.WithDefaults()
	t.enc = wire.NewEncoder(t.cfg.limits())
	t.sessions = ending.NewOpen[*session](t.cfg.MaxConnections)
	t.wakeup.max = runtime.GOMAXPROCS(0)
	return t
}

// Name returns "websocket".
func (*Transport) Name() string { return "websocket" }

// Mount installs the route, see [core.Transport].
func (t *Transport) Mount(reg *core.Registry) error {
	if t.group == nil {
		return errors.New("websocket: the group is nil")
	}
	if err := t.cfg.Validate(); err != nil {
		return fmt.Errorf("websocket: %w", err)
	}
	t.reg = reg
	t.melody = t.newMelody()
	t.group.GET("", t.serve)
	return nil
}

// Shutdown closes the connections, see the package's documentation. It returns
// when none is left, or with the context's error when that ends first.
func (t *Transport) Shutdown(ctx context.Context) error {
	t.sessions.Close((*session).stop)
	if err := t.sessions.Drain(ctx, t.cfg.DrainTimeout, (*session).cut); err != nil {
		return fmt.Errorf("websocket: waiting for connections to end: %w", err)
	}
	t.wakeup.stop()
	return nil
}

// Stats counts connections since the program started.
type Stats struct {
	// Open is how many connections are open now.
	Open int
	// Refused counts handshakes refused because of Config.MaxConnections.
	Refused uint64
	// Stuck counts connections ended because the client did not read.
	Stuck uint64
	// Held counts the times that a client's requests were not read until it
	// had taken the answers to earlier ones.
	Held uint64
}

// Stats returns the counters. It may be called at any time.
func (t *Transport) Stats() Stats {
	return Stats{Open: t.sessions.Len(), Refused: t.sessions.Refused(), Stuck: t.stuck.Load(), Held: t.held.Load()}
}

// serve makes the request a connection and serves it until that ends.
func (t *Transport) serve(c echo.Context) error {
	r, w := c.Request(), c.Response()
	// A plain request finds out, too, whether its token is good: pages are not told
	// why a handshake failed.
	r, p := t.authenticate(r)
	if p != nil {
		return p.Write(w, c.Request())
	}
	if !gorilla.IsWebSocketUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		return problem.BadHandshake(http.StatusUpgradeRequired, "this is a WebSocket endpoint").Write(w, r)
	}
	if !t.cfg.originAllowed(r) {
		return problem.OriginRefused().Write(w, r)
	}
	s := newSession(r.Context(), t)
	defer s.end()
	if p := t.admit(s); p != nil {
		return p.Write(w, r)
	}
	defer t.sessions.Leave(s)
	defer s.reopening.Wait()
	unhook := context.AfterFunc(t.servers.Of(r), s.stop)
	defer unhook()
	// An error has been answered; it is a handshake's, see newMelody.
	_ = t.melody.HandleRequest(lazyHijacker{w, t.cfg.WriteTimeout}, r.WithContext(&s.ctx))
	return nil
}

// admit enters the session, which is to leave, or says why not.
func (t *Transport) admit(s *session) *problem.Problem {
	err := t.sessions.Enter(s)
	switch {
	case errors.Is(err, ending.ErrFull):
		return problem.Unavailable("too many connections are open")
	case err != nil:
		return problem.ShuttingDown()
	case t.reg.Stopping().Err() != nil:
		t.sessions.Leave(s)
		return problem.ShuttingDown()
	}
	return nil
}
