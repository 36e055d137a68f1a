package websocket

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"
	"unicode/utf8"

	gorilla "github.com/gorilla/websocket"
	"github.com/olahol/melody"

	"github.com/binderyhq/bindery/transports/internal/problem"
)

// sessionContext is the context of a handshake's request, by which a melody
// session leads to ours. Its own keys would take a lock and a look into a map at
// every delivery, which is measurable.
type sessionContext struct {
	context.Context
	session *session
}

func sessionOf(ws *melody.Session) *session {
	return ws.Request.Context().(*sessionContext).session
}

// newMelody sets melody up. Its own queue drops messages when it is full, so no
// more than one is ever put there; the second place is for the close message.
func (t *Transport) newMelody() *melody.Melody {
	m := melody.New()
	m.Config.MessageBufferSize = 2
	m.Config.MaxMessageSize = t.cfg.MaxRequestBytes
	m.Config.WriteWait = t.cfg.WriteTimeout
	m.Config.PingPeriod = t.cfg.PingInterval
	// Reading may be held up by as long as a write takes.
	m.Config.PongWait = 2*t.cfg.PingInterval + t.cfg.WriteTimeout
	// With 0 the buffers that the HTTP server has for the connection anyway
	// are used.
	m.Upgrader.ReadBufferSize, m.Upgrader.WriteBufferSize = 0, 0
	m.Upgrader.Subprotocols = []string{subprotocol}
	m.Upgrader.HandshakeTimeout = t.cfg.HandshakeTimeout
	// Where the page came from was looked at before.
	m.Upgrader.CheckOrigin = func(*http.Request) bool { return true }
	m.Upgrader.Error = func(w http.ResponseWriter, r *http.Request, status int, reason error) {
		_ = problem.BadHandshake(status, reason.Error()).Write(w, r)
	}
	m.HandleConnect(func(ws *melody.Session) { sessionOf(ws).connected(ws) })
	m.HandleDisconnect(func(ws *melody.Session) { sessionOf(ws).disconnected() })
	m.HandleMessage(func(ws *melody.Session, msg []byte) {
		s := sessionOf(ws)
		if !utf8.Valid(msg) { // melody does not look
			s.fail(melody.CloseInvalidFramePayloadData, "text that is not UTF-8")
			return
		}
		s.handle(msg)
	})
	m.HandleMessageBinary(func(ws *melody.Session, _ []byte) {
		sessionOf(ws).fail(melody.CloseUnsupportedData, "binary messages are not understood")
	})
	m.HandleSentMessage(func(ws *melody.Session, _ []byte) { sessionOf(ws).sent() })
	m.HandleError(func(ws *melody.Session, err error) { sessionOf(ws).broken(err) })
	return m
}

// connected is called before anything is read or written.
func (s *session) connected(ws *melody.Session) {
	s.mu.Lock()
	s.ws = ws
	late := s.ended
	s.mu.Unlock()
	if late { // cut during the handshake
		_ = ws.WebsocketConnection().NetConn().Close()
		return
	}
	s.pump()
}

// broken is called with every error of the connection, on its reading or
// writing goroutine, after which that ends.
func (s *session) broken(err error) {
	var netErr net.Error // gorilla hides that a deadline was exceeded behind an error of its own
	switch {
	case errors.Is(err, melody.ErrWriteClosed), errors.Is(err, melody.ErrMessageBufferFull):
		return // from within our own call, with mu held
	case errors.Is(err, gorilla.ErrReadLimit):
		s.linger() // gorilla has sent 1009
	case errors.As(err, &netErr) && netErr.Timeout():
		s.timedOut()
	}
	s.end()
}

// timedOut ends the connection of a client that does not take what it is sent,
// or whose pongs are missing. Only the second can still be told why.
func (s *session) timedOut() {
	s.mu.Lock()
	known := s.ended
	s.ended = true
	s.mu.Unlock()
	if known {
		return
	}
	s.t.stuck.Add(1)
	s.t.reg.Logger().Info("websocket: closed a connection whose client does not read or answer",
		slog.Duration("write_timeout", s.t.cfg.WriteTimeout), slog.Duration("ping_interval", s.t.cfg.PingInterval))
	_ = s.ws.WebsocketConnection().WriteControl(gorilla.CloseMessage,
		gorilla.FormatCloseMessage(gorilla.ClosePolicyViolation, "the client does not answer"), time.Now().Add(closeTimeout))
}

// closeTimeout bounds the telling of a client why its connection is closed, and
// the waiting for it to close in turn.
const closeTimeout = time.Second

// fail closes the connection with a code. It runs on the reading goroutine.
func (s *session) fail(code int, reason string) {
	s.end()
	conn := s.ws.WebsocketConnection()
	if conn.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(code, reason), time.Now().Add(closeTimeout)) == nil {
		s.linger()
	}
	_ = conn.Close()
}

// linger reads on for a moment after a close message was sent. To close at once
// while the client is still sending would reset the connection, and with it lose
// the message.
func (s *session) linger() {
	conn := s.ws.WebsocketConnection().NetConn()
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = conn.SetReadDeadline(time.Now().Add(closeTimeout))
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, 1<<20))
}

// cut closes the connection without a word. What waits for it fails.
func (s *session) cut() {
	s.mu.Lock()
	ws := s.ws
	s.mu.Unlock()
	if ws != nil {
		_ = ws.WebsocketConnection().NetConn().Close()
	}
	s.end()
}
