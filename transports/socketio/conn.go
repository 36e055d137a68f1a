package socketio

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/internal/session"
	"github.com/binderyhq/bindery/transports/socketio/internal/engineio"
)

// conn is one session of Engine.IO. The open poll or a WebSocket carries its messages.
type conn struct {
	t       *Transport
	sid     string
	session session.Session
	unhook  func() bool // removes the hook on the HTTP server's shutdown

	reading sync.Mutex // held while packets of the client are handled
	skip    int        // attachments that are still to come and are skipped; guarded by reading

	mu         sync.Mutex // guards what follows; may be held when the session's lock is taken
	over       bool
	poll       *poll // the open one, or nil
	last       *poll // the one before it, whose answer may still be written
	posting    bool  // a POST with packets is being read
	link       *link // the WebSocket in use, nil while the session polls
	probe      *link // a WebSocket that the session may be upgraded to, or nil
	namespaces map[string]*namespace
	heartbeat  *time.Timer
	pinged     bool // a ping has not been answered yet
	connected  bool // the client has connected to a namespace at least once
	connecting *time.Timer

	serving sync.WaitGroup // requests that belong to the session
}

func (t *Transport) newConn(r *http.Request) *conn {
	var id [15]byte
	_, _ = rand.Read(id[:]) // never fails
	c := &conn{t: t, sid: base64.RawURLEncoding.EncodeToString(id[:]), namespaces: make(map[string]*namespace)}
	// The session outlives its first request, and keeps the values that middleware put
	// into the request's context.
	c.session.Init(context.WithoutCancel(r.Context()), t.server.Hub)
	return c
}

// handshake returns the encoded Open packet, the first one that a client gets.
func (c *conn) handshake(upgrades []string) []byte {
	return engineio.Handshake{
		SID: c.sid, Upgrades: upgrades,
		PingInterval: c.t.cfg.PingInterval, PingTimeout: c.t.cfg.PingTimeout, MaxPayload: c.t.cfg.MaxRequestBytes,
	}.Packet().Append(nil)
}

// begin starts the session, on the link or, if that is nil, by polling. It returns the
// problem if the session is refused. In either case the caller calls leave for a link.
func (c *conn) begin(r *http.Request, l *link) *problem.Problem {
	c.start(r, l)
	p := c.t.admit(c)
	if p != nil {
		c.end(farewell{from: l})
	}
	return p
}

// start starts the timers of the session.
func (c *conn) start(r *http.Request, l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unhook = context.AfterFunc(c.t.server.HTTP.Of(r), c.stop)
	c.connecting = time.AfterFunc(c.t.cfg.ConnectTimeout, c.unconnected)
	c.heartbeat = time.AfterFunc(c.t.cfg.PingInterval, c.beat)
	if l == nil {
		c.t.polling.Add(1)
		return
	}
	c.link = l
	c.serving.Add(1)
	c.session.Reply(c.handshake(nil))
}

// enterLocked counts a request that the end of the session waits for. It returns false
// if the session is over.
func (c *conn) enterLocked() bool {
	if c.over {
		return false
	}
	c.serving.Add(1)
	return true
}

func (c *conn) leave() { c.serving.Done() }

// stop makes the session complete the batches under way and end.
func (c *conn) stop() {
	c.session.Stop()
	// A client in the middle of a batch polls again for the rest. A session with
	// nothing under way ends now, because its client may not poll again for long.
	if c.session.EndIdle() {
		c.end(farewell{poll: shuttingDown})
	}
}

// farewell says how a session ends.
type farewell struct {
	poll outcome // the answer to an open poll
	from *link   // the link that closes by itself, nil for none
	code int     // the WebSocket's close code; 0 closes it without a close message
	why  string
}

// end ends the session. Further calls do nothing.
func (c *conn) end(f farewell) {
	c.session.End()
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return
	}
	c.over = true
	c.heartbeat.Stop()
	c.connecting.Stop()
	c.unhook()
	poll, links, members := c.poll, [...]*link{c.link, c.probe}, c.namespaces
	c.namespaces = nil
	if c.link == nil {
		c.t.polling.Add(-1)
	}
	c.mu.Unlock()
	c.t.forget(c)
	if poll != nil {
		poll.answer(f.poll)
	}
	go func() {
		for _, l := range links {
			switch {
			case l == nil || l == f.from:
			case f.code != 0:
				l.socket.Kick(f.code, f.why)
			default:
				l.socket.Cut()
			}
		}
		for _, ns := range members {
			ns.release()
		}
		c.session.Release()
		c.serving.Wait()
		c.t.server.Leave(c)
	}()
}

// cut ends the session at once, without a close message.
func (c *conn) cut() {
	c.mu.Lock()
	polls := [...]*poll{c.poll, c.last}
	c.mu.Unlock()
	for _, p := range polls {
		if p != nil {
			p.cut()
		}
	}
	c.end(farewell{poll: gone})
}

func (c *conn) log() *slog.Logger { return c.t.server.Registry.Logger() }
