package socket

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	gorilla "github.com/gorilla/websocket"
	"github.com/olahol/melody"

	"github.com/binderyhq/bindery/transports/internal/problem"
)

// Config tunes the connections. All numbers must be set.
type Config struct {
	// MaxMessageBytes bounds one message of the client.
	MaxMessageBytes int64
	// HandshakeTimeout bounds the writing of the handshake's answer.
	HandshakeTimeout time.Duration
	// WriteTimeout bounds the writing of one message, which may take a quarter longer.
	WriteTimeout time.Duration
	// PingInterval is how often the client is pinged. A client that has not answered
	// for two intervals and WriteTimeout is disconnected. Negative means no pings, for
	// protocols that have their own heartbeats.
	PingInterval time.Duration
	// Subprotocols are the subprotocols that a handshake may select, nil for none.
	Subprotocols []string
}

// Handler handles the events of a connection.
type Handler interface {
	// Opened is called once, before anything is read or written.
	Opened()
	// Text is called for each text message, one after the other, on the goroutine that
	// reads: while it runs, further messages stay in the network. The text is valid
	// UTF-8.
	Text(msg []byte)
	// Binary is called for each binary message, as Text is.
	Binary(msg []byte)
	// Sent is called when a message of [Conn.Write] was written.
	Sent(msg []byte)
	// Ended is called when nothing can be sent any more, on any goroutine and perhaps
	// more than once. It returns true the first time.
	Ended() bool
}

// Conn is one connection. The zero value is ready for [Server.Serve]. Its methods
// may be called from any goroutine.
type Conn struct {
	handler Handler

	mu  sync.Mutex      // guards what follows
	ws  *melody.Session // nil during the handshake
	off bool            // was cut
}

// Write hands a text message to the goroutine that writes. The next Write must wait for
// Handler.Sent. It does not block.
func (c *Conn) Write(msg []byte) {
	_ = c.ws.Write(msg) // melody's buffer has room; a closed session ends by itself
}

// Close closes the connection with a code, after the message in flight.
func (c *Conn) Close(code int, reason string) {
	_ = c.ws.CloseWithMsg(melody.FormatCloseMessage(code, reason))
}

// Fail closes the connection with a code at once. Call it on the goroutine that reads.
func (c *Conn) Fail(code int, reason string) {
	c.handler.Ended()
	conn := c.ws.WebsocketConnection()
	if conn.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(code, reason), time.Now().Add(closeTimeout)) == nil {
		c.linger()
	}
	_ = conn.Close()
}

// Kick closes the connection at once, for a client that may not read. It sends the code
// only if that takes almost no time.
func (c *Conn) Kick(code int, reason string) {
	c.mu.Lock()
	ws := c.ws
	c.mu.Unlock()
	if ws != nil {
		_ = ws.WebsocketConnection().WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(code, reason), time.Now().Add(closeTimeout))
	}
	c.Cut()
}

// Cut closes the connection at once, without a close message. Pending writes fail.
func (c *Conn) Cut() {
	c.mu.Lock()
	ws := c.ws
	c.off = true
	c.mu.Unlock()
	if ws != nil {
		_ = ws.WebsocketConnection().NetConn().Close()
	}
}

// opened is called before anything is read or written.
func (c *Conn) opened(ws *melody.Session) {
	c.mu.Lock()
	c.ws = ws
	late := c.off
	c.mu.Unlock()
	if late { // cut during the handshake
		_ = ws.WebsocketConnection().NetConn().Close()
		return
	}
	c.handler.Opened()
}

// closeTimeout bounds the sending of a close message, and the wait for the client to
// close in turn.
const closeTimeout = time.Second

// linger reads on for a moment after a close message was sent. Closing at once while
// the client still sends would reset the connection and lose the message.
func (c *Conn) linger() {
	conn := c.ws.WebsocketConnection().NetConn()
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = conn.SetReadDeadline(time.Now().Add(closeTimeout))
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, 1<<20))
}

// connContext is the context of a handshake's request. It leads from a melody session
// to its Conn. Melody's own keys would cost a lock and a map lookup for each delivery,
// which is measurable.
type connContext struct {
	context.Context
	conn *Conn
}

func connOf(ws *melody.Session) *Conn { return ws.Request.Context().(*connContext).conn }

// Server turns requests into connections.
type Server struct {
	cfg    Config
	name   string       // of the transport, for the log
	log    *slog.Logger // from Mount on
	melody *melody.Melody
	stuck  atomic.Uint64
}

// NewServer returns a server for the transport of that name.
func NewServer(name string, cfg Config) *Server {
	s := &Server{cfg: cfg, name: name}
	s.melody = s.newMelody()
	return s
}

// Mount sets the log, before the first connection.
func (s *Server) Mount(log *slog.Logger) { s.log = log }

// Stuck counts the connections that were ended because their clients did not read or
// answer.
func (s *Server) Stuck() uint64 { return s.stuck.Load() }

// Serve upgrades the request and serves the connection until it ends. The caller has
// checked [IsUpgrade] and the origin. Serve answers a handshake that fails. The context
// replaces the request's.
func (s *Server) Serve(ctx context.Context, w http.ResponseWriter, r *http.Request, c *Conn, h Handler) {
	c.handler = h
	// An error is one of the handshake, and has been answered, see newMelody.
	_ = s.melody.HandleRequest(lazyHijacker{w, s.cfg.WriteTimeout}, r.WithContext(&connContext{ctx, c}))
}

// IsUpgrade reports whether the request asks for a WebSocket connection.
func IsUpgrade(r *http.Request) bool { return gorilla.IsWebSocketUpgrade(r) }

// version is that of the WebSocket protocol.
const version = "13"

// never is longer than any connection lives.
const never = 1 << 61 * time.Nanosecond // 73 years

// newMelody sets melody up. Melody drops messages when its queue is full, so at most
// one is ever queued; the second place is for the close message.
func (s *Server) newMelody() *melody.Melody {
	m := melody.New()
	m.Config.MessageBufferSize = 2
	m.Config.MaxMessageSize = s.cfg.MaxMessageBytes
	m.Config.WriteWait = s.cfg.WriteTimeout
	m.Config.PingPeriod = s.cfg.PingInterval
	// Pongs are read late while the reading goroutine waits for a write.
	m.Config.PongWait = 2*s.cfg.PingInterval + s.cfg.WriteTimeout
	if s.cfg.PingInterval < 0 {
		m.Config.PingPeriod, m.Config.PongWait = never, never
	}
	// With 0 the buffers of the HTTP server's connection are used.
	m.Upgrader.ReadBufferSize, m.Upgrader.WriteBufferSize = 0, 0
	m.Upgrader.HandshakeTimeout = s.cfg.HandshakeTimeout
	m.Upgrader.Subprotocols = s.cfg.Subprotocols
	// The caller has checked the origin.
	m.Upgrader.CheckOrigin = func(*http.Request) bool { return true }
	m.Upgrader.Error = func(w http.ResponseWriter, r *http.Request, status int, reason error) {
		if r.Header.Get("Sec-Websocket-Version") != version { // RFC 6455, section 4.4
			w.Header().Set("Sec-Websocket-Version", version)
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
			status = http.StatusUpgradeRequired
		}
		_ = problem.BadHandshake(status, reason.Error()).Write(w, r)
	}
	m.HandleConnect(func(ws *melody.Session) { connOf(ws).opened(ws) })
	m.HandleDisconnect(func(ws *melody.Session) { connOf(ws).handler.Ended() })
	m.HandleMessage(func(ws *melody.Session, msg []byte) {
		c := connOf(ws)
		if !utf8.Valid(msg) { // melody does not check
			c.Fail(gorilla.CloseInvalidFramePayloadData, "text that is not UTF-8")
			return
		}
		c.handler.Text(msg)
	})
	m.HandleMessageBinary(func(ws *melody.Session, msg []byte) { connOf(ws).handler.Binary(msg) })
	m.HandleSentMessage(func(ws *melody.Session, msg []byte) { connOf(ws).handler.Sent(msg) })
	m.HandleError(func(ws *melody.Session, err error) { s.broken(connOf(ws), err) })
	return m
}

// broken is called for every error of the connection, on the goroutine that reads or
// the one that writes. That goroutine then ends.
func (s *Server) broken(c *Conn, err error) {
	var netErr net.Error // gorilla hides that a deadline was exceeded behind an error of its own
	switch {
	case errors.Is(err, melody.ErrWriteClosed), errors.Is(err, melody.ErrMessageBufferFull):
		return // from within our own call, with the caller's lock held
	case errors.Is(err, gorilla.ErrReadLimit):
		c.linger() // gorilla has sent 1009
	case errors.As(err, &netErr) && netErr.Timeout():
		s.timedOut(c)
	}
	c.handler.Ended()
}

// timedOut ends the connection of a client that does not read or does not answer pings.
// Only the second can still be told why.
func (s *Server) timedOut(c *Conn) {
	if !c.handler.Ended() {
		return
	}
	s.stuck.Add(1)
	s.log.Info(s.name+": closed a connection whose client does not read or answer", slog.String("id", "socket-client-stuck"),
		slog.Duration("write_timeout", s.cfg.WriteTimeout), slog.Duration("ping_interval", s.cfg.PingInterval))
	_ = c.ws.WebsocketConnection().WriteControl(gorilla.CloseMessage,
		gorilla.FormatCloseMessage(gorilla.ClosePolicyViolation, "the client does not answer"), time.Now().Add(closeTimeout))
}
