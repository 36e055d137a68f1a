package websocket

import (
	"context"
	"net/http"

	gorilla "github.com/gorilla/websocket"

	"github.com/binderyhq/bindery/transports/internal/meter"
	"github.com/binderyhq/bindery/transports/internal/session"
	"github.com/binderyhq/bindery/transports/internal/socket"
)

// conn is one connection: a session with one channel on a socket. It is the
// session's [session.Carrier] and the socket's [socket.Handler].
type conn struct {
	session session.Session
	channel session.Channel
	socket  socket.Conn
	meter   *meter.Meter
}

var (
	_ session.Carrier = (*conn)(nil)
	_ socket.Handler  = (*conn)(nil)
)

func (t *Transport) newConn(ctx context.Context) *conn {
	c := &conn{meter: t.server.Hub.Meter()}
	c.session.Init(ctx, t.server.Hub)
	c.channel.Open(c.session.Context(), &c.session, t.enc)
	return c
}

// Write sends one message of the session.
func (c *conn) Write(msg []byte) { c.socket.Write(msg) }

// Finish closes the connection when the server is shutting down.
func (c *conn) Finish() { c.socket.Close(gorilla.CloseGoingAway, "the server is shutting down") }

// Opened lets the session send.
func (c *conn) Opened() {
	c.meter.Responded(http.StatusSwitchingProtocols)
	c.session.Attach(c)
}

// Text handles a request. It may wait for room in the queue of answers; the client's
// next requests then stay in the network.
func (c *conn) Text(msg []byte) {
	if !c.session.AwaitRoom() {
		return
	}
	r, p := session.Decode(msg)
	c.channel.Handle(r, p, nil)
}

// Binary refuses a binary message.
func (c *conn) Binary([]byte) {
	c.socket.Fail(gorilla.CloseUnsupportedData, "binary messages are not understood")
}

// Sent lets the session send the next message.
func (c *conn) Sent([]byte) { c.session.Sent() }

// Ended ends the session.
func (c *conn) Ended() bool { return c.session.End() }

// stop makes the connection complete the batches under way and close.
func (c *conn) stop() { c.session.Stop() }

// cut closes the connection at once, without a close message.
func (c *conn) cut() {
	c.socket.Cut()
	c.session.End()
}
