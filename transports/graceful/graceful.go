package graceful

import (
	"net"
	"net/http"
	"sync"
)

// CloseUnused makes each server close the connections without a request as soon as its
// Shutdown is called. Call it before the servers serve; with Echo, for both of its
// servers, Server and TLSServer. It keeps calling a ConnState function that the server
// already has. Setting ConnState later undoes it.
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

// track is the server's ConnState function. It is called for every change of a
// connection's state, first for StateNew.
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
