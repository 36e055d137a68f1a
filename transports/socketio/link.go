package socketio

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/binderyhq/bindery/transports/internal/session"
	"github.com/binderyhq/bindery/transports/internal/socket"
	"github.com/binderyhq/bindery/transports/socketio/internal/engineio"
)

// link is a WebSocket connection: the one that the session is on, or one that it
// may change to. It is a [session.Carrier] and a [socket.Handler].
type link struct {
	conn   *conn
	socket socket.Conn
	ended  atomic.Bool
	probed bool        // the client has tried it; of the goroutine that reads
	expiry *time.Timer // of the probe; guarded by conn.mu
}

var (
	_ session.Carrier = (*link)(nil)
	_ socket.Handler  = (*link)(nil)
)

// probe is what the client tries a link with.
const probe = "probe"

// probeAnswer is the packet that answers it.
const probeAnswer = string(engineio.Pong) + probe

// Write sends one message of the session.
func (l *link) Write(msg []byte) { l.socket.Write(msg) }

// Finish closes the connection when the server is shutting down.
func (l *link) Finish() { l.socket.Close(gorilla.CloseGoingAway, "the server is shutting down") }

// Opened lets the session send, or waits for the probe.
func (l *link) Opened() {
	l.conn.t.server.Hub.Meter().Responded(http.StatusSwitchingProtocols)
	c := l.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == l {
		c.session.Attach(l)
		return
	}
	l.expiry = time.AfterFunc(c.t.cfg.HandshakeTimeout, func() {
		if !l.active() {
			l.socket.Kick(gorilla.ClosePolicyViolation, "the upgrade took too long")
		}
	})
}

// active reports whether the session is on this link.
func (l *link) active() bool {
	l.conn.mu.Lock()
	defer l.conn.mu.Unlock()
	return l.conn.link == l
}

// Text acts on a packet.
func (l *link) Text(msg []byte) {
	p, err := engineio.Decode(msg)
	switch {
	case err != nil:
		l.socket.Fail(gorilla.CloseProtocolError, err.Error())
	case l.active():
		l.fail(l.conn.receive(p))
	case p.Type == engineio.Ping && string(p.Data) == probe && !l.probed:
		l.probed = true
		l.socket.Write([]byte(probeAnswer))
		l.conn.hush()
	case p.Type == engineio.Upgrade && l.probed && l.conn.upgrade(l):
	default:
		l.socket.Fail(gorilla.CloseProtocolError, "not the next step of an upgrade")
	}
}

// Binary takes an attachment, of which none is expected on a link that is tried.
func (l *link) Binary(msg []byte) {
	if !l.active() {
		l.socket.Fail(gorilla.CloseUnsupportedData, "not the next step of an upgrade")
		return
	}
	l.fail(l.conn.receive(engineio.Packet{Type: engineio.Message, Data: msg, Binary: true}))
}

// fail closes the connection of a client that has closed the session or broken
// the protocol.
func (l *link) fail(err error) {
	var wrong *violation
	switch {
	case errors.Is(err, errClosed):
		l.socket.Fail(gorilla.CloseNormalClosure, "")
	case errors.As(err, &wrong):
		l.socket.Fail(wrong.code, wrong.reason)
	}
}

// Sent lets the session send the next message.
func (l *link) Sent(msg []byte) {
	if string(msg) != probeAnswer { // which was none of the session's
		l.conn.session.Sent()
	}
}

// Ended ends the session that was on this link. One that still polls goes on.
func (l *link) Ended() bool {
	first := l.ended.CompareAndSwap(false, true)
	c := l.conn
	c.mu.Lock()
	if c.probe == l {
		c.probe = nil
	}
	if l.expiry != nil {
		l.expiry.Stop()
	}
	mine := c.link == l
	c.mu.Unlock()
	if mine {
		c.end(farewell{from: l})
	}
	return first
}

// prober makes the link the one that the session may change to. It is false when
// the session cannot.
func (c *conn) prober(l *link) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.link != nil || c.probe != nil {
		return false
	}
	c.probe = l
	return c.enterLocked()
}

// hush ends an open poll: the client waits for its end before it changes.
func (c *conn) hush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.poll != nil {
		c.poll.answer(nothing)
	}
}

// upgrade has the session go on over the link.
func (c *conn) upgrade(l *link) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.probe != l {
		return false
	}
	c.probe, c.link = nil, l
	c.t.polling.Add(-1)
	l.expiry.Stop()
	if c.poll != nil {
		c.poll.answer(nothing)
	}
	c.session.Attach(l)
	return true
}
