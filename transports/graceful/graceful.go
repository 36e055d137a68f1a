// Package graceful lets HTTP servers end within the time that a supervisor gives
// a program.
//
// The registry's Shutdown comes first: it ends streams, for which
// [http.Server.Shutdown] would wait, and WebSockets, of which that does not know.
// What is left are connections that clients have opened and not used. Browsers
// and connection pools keep such ones ready; the server's Shutdown waits five
// seconds for a request to come on them. [CloseUnused] does away with that.
package graceful

import (
	"net"
	"net/http"
	"sync"
)

// CloseUnused has each server close, as soon as its Shutdown is called, the
// connections on which no request has come. Call it before the servers serve; with Echo, for both of its servers, Server and TLSServer. A
// ConnState function that a server has is called as before; one that is set
// later undoes this.
func CloseUnused(servers ...*http.Server) {
	for _, srv := range servers {
		u := &unused{open: make(map[net.Conn]struct{}), next: srv.ConnState}
		srv.ConnState = u.track
		srv.RegisterOnShutdown(u.close)
	}
}

// unused holds the connections of a server on which no request has come.
type unused struct {
	next func(net.Conn, http.ConnState) // nil for none

	mu     sync.Mutex // guards what follows
	open   map[net.Conn]struct{}
	closed bool
}

// track is called by the server whenever a connection changes its state; new is
// the first.
func (u *unused) track(c net.Conn, state http.ConnState) {
	u.note(c, state)
	if u.next != nil {
		u.next(c, state)
	}
}

func (u *unused) note(c net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(u.open, c)
	case u.closed: // accepted while the shutdown began
		_ = c.Close()
	default:
		u.open[c] = struct{}{}
	}
}

func (u *unused) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for c := range u.open {
		_ = c.Close()
	}
	clear(u.open)
}
