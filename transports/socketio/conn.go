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

// conn is one session of Engine.IO. Its messages are carried by the poll that is
// open, if one is, or by a WebSocket.
type conn struct {
	t       *Transport
	sid     string
	session session.Session
	unhook  func() bool // from the HTTP server's end

	reading sync.Mutex // held while packets of the client are acted on
	skip    int        // attachments that are still to come; guarded by reading

	mu         sync.Mutex // guards what follows; may be held when the session's lock is taken
	over       bool
	poll       *poll // the open one, or nil
	last       *poll // the one before it, whose answer may still be written
	posting    bool  // a request with packets is being read
	link       *link // the WebSocket that the session is on, nil while it polls
	probe      *link // the one that it may change to, or nil
	namespaces map[string]*namespace
	heartbeat  *time.Timer
	pinged     bool // the answer to a ping is awaited
	connected  bool // to a namespace, once
	connecting *time.Timer

	serving sync.WaitGroup // requests, from when they belong to the session
}

func (t *Transport) newConn(r *http.Request) *conn {
	var id [15]byte
	_, _ = rand.Read(id[:]) // never fails
	c := &conn{t: t, sid: base64.RawURLEncoding.EncodeToString(id[:]), namespaces: make(map[string]*namespace)}
	// The session outlives its first request and keeps what middleware said of it.
	c.session.Init(context.WithoutCancel(r.Context()), t.server.Hub)
	return c
}

// handshake returns what the client is told first.
func (c *conn) handshake(upgrades []string) []byte {
	return engineio.Handshake{
		SID: c.sid, Upgrades: upgrades,
		PingInterval: c.t.cfg.PingInterval, PingTimeout: c.t.cfg.PingTimeout, MaxPayload: c.t.cfg.MaxRequestBytes,
	}.Packet().Append(nil)
}

// begin starts the session, on a WebSocket or without one. It says why not when it
// cannot begin; a link is to leave in either case.
func (c *conn) begin(r *http.Request, l *link) *problem.Problem {
	c.start(r, l)
	p := c.t.admit(c)
	if p != nil {
		c.end(farewell{from: l})
	}
	return p
}

// start starts the session's clocks.
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

// enterLocked has the end of the session wait for a request. It is false when there is
// nothing to wait for any more.
func (c *conn) enterLocked() bool {
	if c.over {
		return false
	}
	c.serving.Add(1)
	return true
}

func (c *conn) leave() { c.serving.Done() }

// stop has the session complete what is under way and end.
func (c *conn) stop() {
	c.session.Stop()
	// The client comes back for the rest of a batch, and without one at its
	// leisure: nothing waits for that.
	if c.session.EndIdle() {
		c.end(farewell{poll: shuttingDown})
	}
}

// farewell says how a session ends.
type farewell struct {
	poll outcome // of an open poll
	from *link   // which closes by itself, nil for none
	code int     // what the WebSocket is closed with, 0 to close it without a word
	why  string
}

// end ends the session, once.
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

// cut ends the session without a word.
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
