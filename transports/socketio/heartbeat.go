package socketio

import (
	"log/slog"

	gorilla "github.com/gorilla/websocket"

	"github.com/binderyhq/bindery/transports/socketio/internal/engineio"
)

// beat pings the client, or ends the session of one that has not answered.
func (c *conn) beat() {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return
	}
	missing := c.pinged
	if !missing {
		c.pinged = true
		c.heartbeat.Reset(c.t.cfg.PingTimeout)
	}
	c.mu.Unlock()
	if missing {
		c.stuck("the client does not answer")
		return
	}
	c.session.Reply([]byte{byte(engineio.Ping)})
}

// pong notes that the client has answered.
func (c *conn) pong() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pinged && !c.over {
		c.pinged = false
		c.heartbeat.Reset(c.t.cfg.PingInterval)
	}
}

// alive notes that something has come from the client. The answer to a ping may be
// behind requests that wait until the client has taken the answers to others: while
// these are worked off, it lives.
func (c *conn) alive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pinged && !c.over {
		c.heartbeat.Reset(c.t.cfg.PingTimeout)
	}
}

// unconnected ends the session of a client that wants nothing.
func (c *conn) unconnected() {
	c.mu.Lock()
	idle := !c.connected
	c.mu.Unlock()
	if idle {
		c.end(farewell{poll: gone, code: gorilla.ClosePolicyViolation, why: "no namespace was connected to"})
	}
}

// stuck ends the session of a client that does not do its part. It has to come
// back, so no poll is told that the session was closed.
func (c *conn) stuck(why string) {
	c.t.stuck.Add(1)
	c.log().Info("socketio: ended a session whose client does not read, poll or answer", slog.String("id", "socketio-client-stuck"),
		slog.Duration("write_timeout", c.t.cfg.WriteTimeout), slog.Duration("ping_timeout", c.t.cfg.PingTimeout))
	c.end(farewell{poll: gone, code: gorilla.ClosePolicyViolation, why: why})
}
