package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// operation runs a subscription: the channel has its data, and is closed in the end.
type operation func(ctx context.Context, variables json.RawMessage) (<-chan any, error)

// server speaks graphql-transport-ws:
// https://github.com/graphql/graphql-over-http, GraphQL over WebSocket Protocol.
type server struct {
	operations map[string]operation // by their documents

	mu     sync.Mutex
	closed bool                     // guarded by mu
	conns  map[*connection]struct{} // guarded by mu
	served sync.WaitGroup           // connections
}

// The bounds of a connection, and its close codes.
const (
	maxMessage    = 64 << 10
	maxOperations = 32
	initTimeout   = 10 * time.Second
	writeTimeout  = 10 * time.Second

	badMessage     = 4400
	unauthorized   = 4401
	initTooLate    = 4408
	subscriberIs   = 4409 // already there
	tooManyInits   = 4429
	tooManySubs    = 4429
	protocolName   = "graphql-transport-ws"
	goingAwayCode  = websocket.CloseGoingAway // 1001
	internalReason = "the operation has failed"
)

// message is one of the protocol's.
type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// connection is a client's.
type connection struct {
	server *server
	ws     *websocket.Conn
	ctx    context.Context // ends with the connection

	writing sync.Mutex // of ws

	mu      sync.Mutex
	running map[string]*running // guarded by mu
	tasks   sync.WaitGroup
}

// running is an operation under way.
type running struct {
	ctx    context.Context
	cancel context.CancelFunc
}

var upgrader = websocket.Upgrader{Subprotocols: []string{protocolName}}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // it has answered
	}
	defer ws.Close()
	// The request's context says who asks; it does not end with a hijacked connection.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	c := &connection{server: s, ws: ws, ctx: ctx, running: make(map[string]*running)}
	if ws.Subprotocol() != protocolName || !s.admit(c) {
		c.end(goingAwayCode, "")
		return
	}
	defer s.dismiss(c)
	code, reason := c.serve()
	if s.isClosed() {
		c.tasks.Wait() // the registry has ended the operations, and the client is told
		code = goingAwayCode
	}
	cancel()
	c.tasks.Wait()
	if code != 0 {
		c.end(code, reason)
	}
}

func (s *server) admit(c *connection) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.conns == nil {
		s.conns = make(map[*connection]struct{})
	}
	s.conns[c] = struct{}{}
	s.served.Add(1)
	return true
}

func (s *server) dismiss(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.served.Done()
}

func (s *server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// close closes all connections and waits for their end: an HTTP server knows nothing
// of them. It is called after the registry's Shutdown, which ends the operations.
func (s *server) close() {
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		_ = c.ws.SetReadDeadline(time.Now())
	}
	s.mu.Unlock()
	s.served.Wait()
}

// serve reads messages until the connection ends. code is 0 when the client has gone.
func (c *connection) serve() (code int, reason string) {
	c.ws.SetReadLimit(maxMessage)
	_ = c.ws.SetReadDeadline(time.Now().Add(initTimeout))
	ready := false
	for {
		_, text, err := c.ws.ReadMessage()
		switch {
		case err != nil && !ready:
			return initTooLate, "Connection initialisation timeout"
		case err != nil:
			return 0, ""
		}
		var m message
		if json.Unmarshal(text, &m) != nil {
			return badMessage, "Invalid message"
		}
		switch {
		case m.Type == "connection_init" && ready:
			return tooManyInits, "Too many initialisation requests"
		case m.Type == "connection_init":
			ready = true
			_ = c.ws.SetReadDeadline(time.Time{})
			c.send(message{Type: "connection_ack"})
		case m.Type == "ping":
			c.send(message{Type: "pong"})
		case m.Type == "pong":
		case m.Type == "subscribe" && !ready:
			return unauthorized, "Unauthorized"
		case m.Type == "subscribe" && m.ID != "":
			if code, reason := c.subscribe(m); code != 0 {
				return code, reason
			}
		case m.Type == "complete":
			c.stop(m.ID)
		default:
			return badMessage, "Invalid message"
		}
	}
}

// subscribe starts an operation.
func (c *connection) subscribe(m message) (code int, reason string) {
	var asked struct {
		Query     string          `json:"query"`
		Variables json.RawMessage `json:"variables"`
	}
	if err := json.Unmarshal(m.Payload, &asked); err != nil {
		return badMessage, "Invalid message"
	}
	op, code, reason := c.begin(m.ID)
	if op == nil {
		return code, reason
	}
	c.tasks.Go(func() {
		defer c.finish(m.ID, op)
		run, ok := c.server.operations[strings.Join(strings.Fields(asked.Query), " ")]
		if !ok {
			c.fail(m.ID, "the server does not know this document")
			return
		}
		data, err := run(op.ctx, asked.Variables)
		if err != nil {
			c.fail(m.ID, err.Error()) // of core's errors, what a client may see
			return
		}
		for d := range data {
			payload, err := json.Marshal(map[string]any{"data": d})
			if err != nil {
				c.fail(m.ID, internalReason)
				return
			}
			c.send(message{ID: m.ID, Type: "next", Payload: payload})
		}
		if op.ctx.Err() == nil { // it was not the client who ended it
			c.send(message{ID: m.ID, Type: "complete"})
		}
	})
	return 0, ""
}

// fail ends an operation with an error.
func (c *connection) fail(id, text string) {
	payload, _ := json.Marshal([]map[string]string{{"message": text}}) // texts always marshal
	c.send(message{ID: id, Type: "error", Payload: payload})
}

// begin makes room for an operation, or returns with which code the connection ends.
func (c *connection) begin(id string) (op *running, code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.running[id] != nil:
		return nil, subscriberIs, "Subscriber for " + id + " already exists"
	case len(c.running) >= maxOperations:
		return nil, tooManySubs, "Too many operations"
	}
	op = new(running)
	op.ctx, op.cancel = context.WithCancel(c.ctx)
	c.running[id] = op
	return op, 0, ""
}

// stop ends the operation at the client's wish: the client may use its id again.
func (c *connection) stop(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if op := c.running[id]; op != nil {
		op.cancel()
		delete(c.running, id)
	}
}

// finish forgets an operation that has ended.
func (c *connection) finish(id string, op *running) {
	c.mu.Lock()
	defer c.mu.Unlock()
	op.cancel()
	if c.running[id] == op {
		delete(c.running, id)
	}
}

// send writes a message. A client that does not read is cut off.
func (c *connection) send(m message) {
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.ws.SetWriteDeadline(time.Now().Add(writeTimeout))
	if c.ws.WriteJSON(m) != nil {
		_ = c.ws.Close()
	}
}

func (c *connection) end(code int, reason string) {
	_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(writeTimeout))
}
