package socketio

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/transports/internal/origin"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/internal/socket"
	"github.com/binderyhq/bindery/transports/socketio/internal/engineio"
)

// The names of Engine.IO's transports.
const (
	overPolling   = "polling"
	overWebSocket = "websocket"
)

// serve answers every request of Engine.IO.
func (t *Transport) serve(c echo.Context) error {
	r, w := c.Request(), c.Response()
	if !origin.Allowed(r, t.cfg.Origins) {
		return problem.OriginRefused().Write(w, r)
	}
	allowOrigin(w.Header(), r)
	if r.Method == http.MethodOptions {
		return preflight(w, r)
	}
	q := r.URL.Query()
	upgrade := socket.IsUpgrade(r)
	switch transport := q.Get("transport"); {
	case q.Get("EIO") != engineio.Version:
		return unsupportedVersion.write(w)
	case transport == overWebSocket && upgrade && r.Method == http.MethodGet:
		return t.serveWebSocket(w, r, q)
	case transport == overPolling && t.cfg.WebSocketOnly, transport != overPolling && transport != overWebSocket:
		return unknownTransport.write(w)
	case transport == overWebSocket, upgrade:
		return badRequest.write(w)
	}
	return t.servePolling(w, r, q)
}

// allowOrigin lets a page of an allowed origin read the answer.
func allowOrigin(h http.Header, r *http.Request) {
	h.Add("Vary", "Origin")
	if o := r.Header.Get("Origin"); o != "" {
		h.Set("Access-Control-Allow-Origin", o)
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}

// preflight answers a browser's preflight request (CORS).
func preflight(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// servePolling answers a request of the polling transport.
func (t *Transport) servePolling(w http.ResponseWriter, r *http.Request, q url.Values) error {
	sid := q.Get("sid")
	if sid == "" {
		if r.Method != http.MethodGet {
			return badMethod.write(w)
		}
		return t.handshake(w, r)
	}
	c := t.lookup(sid)
	switch {
	case c == nil && (t.draining.Load() || t.server.Registry.Stopping().Err() != nil):
		return problem.ShuttingDown().Write(w, r) // the shutdown may have ended this session
	case c == nil:
		return unknownSID.write(w)
	case r.Method == http.MethodGet:
		return c.servePoll(w, r)
	case r.Method == http.MethodPost:
		return c.servePost(w, r)
	}
	return badRequest.write(w)
}

// handshake begins a session that polls.
func (t *Transport) handshake(w http.ResponseWriter, r *http.Request) error {
	c := t.newConn(r)
	if p := c.begin(r, nil); p != nil {
		return p.Write(w, r)
	}
	return writePayload(w, c.handshake([]string{overWebSocket}))
}

// serveWebSocket begins a session on WebSocket, or opens a link for the upgrade of a
// session that polls. It serves the connection until that ends.
func (t *Transport) serveWebSocket(w http.ResponseWriter, r *http.Request, q url.Values) error {
	var l *link
	if sid := q.Get("sid"); sid == "" {
		c := t.newConn(r)
		l = &link{conn: c}
		if p := c.begin(r, l); p != nil {
			c.leave()
			return p.Write(w, r)
		}
	} else {
		c := t.lookup(sid)
		if c == nil {
			return unknownSID.write(w)
		}
		l = &link{conn: c}
		if !c.prober(l) {
			return badRequest.write(w)
		}
	}
	defer l.conn.leave()
	defer l.Ended()
	// The connection ends with the session, not with the request's context.
	t.server.Sockets.Serve(l.conn.session.Context(), w, r, &l.socket, l)
	return nil
}

// writePayload answers a request of the polling transport.
func writePayload(w http.ResponseWriter, payload ...[]byte) error {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff") // the payload holds text that users wrote
	w.WriteHeader(http.StatusOK)
	for i, p := range payload {
		if i > 0 {
			if _, err := w.Write([]byte{engineio.Separator}); err != nil {
				return err
			}
		}
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}
