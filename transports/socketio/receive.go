package socketio

import (
	"encoding/json"
	"errors"

	gorilla "github.com/gorilla/websocket"

	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/internal/session"
	"github.com/binderyhq/bindery/transports/socketio/internal/engineio"
	"github.com/binderyhq/bindery/transports/socketio/internal/packet"
)

// errClosed says that the client has closed the session.
var errClosed = errors.New("socketio: the client has closed the session")

// violation says how the client has broken the protocol. It ends the session.
type violation struct {
	code   int // WebSocket close code
	reason string
}

func (v *violation) Error() string { return "socketio: " + v.reason }

func broken(reason string) *violation { return &violation{gorilla.CloseProtocolError, reason} }

// maxAttachments bounds the attachments of one packet, which are skipped.
const maxAttachments = 16

// message returns the Engine.IO message that carries the packet.
func message(p packet.Packet) []byte { return p.Append([]byte{byte(engineio.Message)}) }

// receive handles a packet. It may wait for room in the queue of answers; the client's
// next packets then stay in the network. It returns nil, errClosed or a [*violation].
func (c *conn) receive(p engineio.Packet) error {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.alive()
	switch {
	case p.Type == engineio.Close:
		return errClosed
	case p.Type == engineio.Pong:
		c.pong()
		return nil
	case p.Type == engineio.Open, p.Type == engineio.Ping:
		return broken("a packet that only servers send")
	case p.Type != engineio.Message:
		return nil
	case p.Binary && c.skip == 0:
		return &violation{gorilla.CloseUnsupportedData, "binary messages are not understood"}
	case p.Binary:
		c.skip--
		return nil
	case c.skip > 0:
		return broken("an attachment is missing")
	case !c.session.AwaitRoom():
		return nil // it has ended, or is about to
	}
	packet, err := packet.Decode(p.Data)
	if err != nil {
		return broken(err.Error())
	}
	return c.act(packet)
}

// act handles a packet of Socket.IO.
func (c *conn) act(p packet.Packet) error {
	if c.skip = p.Attachments; c.skip > maxAttachments {
		return broken("too many attachments")
	}
	switch p.Type {
	case packet.Connect:
		c.connect(p.Namespace, p.Data)
	case packet.Disconnect:
		c.disconnect(p.Namespace)
	case packet.Event, packet.BinaryEvent:
		return c.event(p)
	case packet.ConnectError:
		return broken("a packet that only servers send")
	default: // an acknowledgement, although the server never asks for one
	}
	return nil
}

// event handles a request for a binding.
func (c *conn) event(p packet.Packet) error {
	c.mu.Lock()
	ns, known := c.namespaces[p.Namespace]
	over := c.over
	c.mu.Unlock()
	switch {
	case over:
		return nil
	case !known:
		return broken("an event in a namespace that was not connected to")
	case ns == nil:
		return nil // the client sent the event before it learned that it had left
	}
	name, arg, err := p.Event()
	if err != nil {
		return broken(err.Error())
	}
	if p.Type == packet.BinaryEvent {
		ns.channel.Tell(name, problem.UnsupportedMediaType("JSON, without binary attachments"), acknowledge(p))
		return nil
	}
	r, wrong := session.DecodeArgument(name, arg)
	ns.channel.Handle(r, wrong, acknowledge(p))
	return nil
}

// accepted is the acknowledgement of an accepted request.
var accepted = json.RawMessage(`[{"status":200}]`)

// acknowledge returns a function that encodes the acknowledgement for an event. It
// returns nil if the event asks for none.
func acknowledge(p packet.Packet) func(*problem.Problem) []byte {
	if !p.HasID {
		return nil
	}
	return func(wrong *problem.Problem) []byte {
		ack := packet.Packet{Type: packet.Ack, Namespace: p.Namespace, HasID: true, ID: p.ID, Data: accepted}
		if wrong != nil {
			ack.Data = append(append([]byte{'['}, wrong.JSON()...), ']')
		}
		return message(ack)
	}
}
