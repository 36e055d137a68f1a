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

// link is a WebSocket connection of a session: the one in use, or one that the session
// may be upgraded to. It is a [session.Carrier] and a [socket.Handler].
type link struct {
	conn   *conn
	socket socket.Conn
	ended  atomic.Bool
	probed bool        // the probe was answered; only the reading goroutine uses it
	expiry *time.Timer // closes the link if the upgrade takes too long; guarded by conn.mu
}

var (
	_ session.Carrier = (*link)(nil)
	_ socket.Handler  = (*link)(nil)
)

// probe is the data of the ping with which a client tests a link.
const probe = "probe"

// probeAnswer is the packet that answers the probe.
const probeAnswer = string(engineio.Pong) + probe

// Write sends one message of the session.
func (l *link) Write(msg []byte) { l.socket.Write(msg) }

// Finish closes the connection when the server is shutting down.
func (l *link) Finish() { l.socket.Close(gorilla.CloseGoingAway, "the server is shutting down") }

// Opened lets a link in use send. For an upgrade it limits the time that may pass until
// then.
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

// active reports whether the session uses this link.
func (l *link) active() bool {
	l.conn.mu.Lock()
	defer l.conn.mu.Unlock()
	return l.conn.link == l
}

// Text handles a packet.
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

// Binary handles an attachment. A link that is not in use yet must get none.
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
	if string(msg) != probeAnswer { // the session did not send the answer to the probe
		l.conn.session.Sent()
	}
}

// Ended ends the session if it uses this link. A session that still polls goes on.
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

// prober makes the link the one that the session may be upgraded to. It returns false
// if the session cannot be upgraded.
func (c *conn) prober(l *link) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.link != nil || c.probe != nil {
		return false
	}
	c.probe = l
	return c.enterLocked()
}

// hush ends an open poll, because the client upgrades only when its poll has ended.
func (c *conn) hush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.poll != nil {
		c.poll.answer(nothing)
	}
}

// upgrade moves the session to the link. It returns false if that is not possible any
// more.
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
