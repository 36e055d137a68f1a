package socketio

import (
	"log/slog"

	gorilla "github.com/gorilla/websocket"

	"github.com/binderyhq/bindery/transports/socketio/internal/engineio"
)

// beat pings the client. It ends the session if the last ping was not answered.
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

// pong notes that the client has answered the ping.
func (c *conn) pong() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pinged && !c.over {
		c.pinged = false
		c.heartbeat.Reset(c.t.cfg.PingInterval)
	}
}

// alive notes that the client has sent something. Its pong may be queued behind
// requests that wait until it takes earlier answers. While those requests are handled,
// the client counts as alive.
func (c *conn) alive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pinged && !c.over {
		c.heartbeat.Reset(c.t.cfg.PingTimeout)
	}
}

// unconnected ends the session of a client that has connected to no namespace in time.
func (c *conn) unconnected() {
	c.mu.Lock()
	idle := !c.connected
	c.mu.Unlock()
	if idle {
		c.end(farewell{poll: gone, code: gorilla.ClosePolicyViolation, why: "no namespace was connected to"})
	}
}

// stuck ends the session of a client that does not read, poll or answer. An open poll
// does not get a close packet, because the client should reconnect.
func (c *conn) stuck(why string) {
	c.t.stuck.Add(1)
	c.log().Info("socketio: ended a session whose client does not read, poll or answer", slog.String("id", "socketio-client-stuck"),
		slog.Duration("write_timeout", c.t.cfg.WriteTimeout), slog.Duration("ping_timeout", c.t.cfg.PingTimeout))
	c.end(farewell{poll: gone, code: gorilla.ClosePolicyViolation, why: why})
}
