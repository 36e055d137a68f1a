package clienttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// server acts as a server for one client. Each request to follow a binding becomes a
// join, which the case answers.
type server struct {
	http  *http.Server
	addr  string
	joins chan *join
	done  chan struct{} // closed when serving has ended

	mu       sync.Mutex // guards what follows
	down     bool       // connections are closed at once
	conns    map[net.Conn]struct{}
	refusing *problem // the answer to joins; nil to serve them
	refused  int      // requests refused
	times    int      // how many more joins are refused; 0 for all
	plain    int      // requests that do not follow a binding
	left     int      // times that a client left the binding over a WebSocket
}

// problem is an error of the protocol.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
}

func problemOf(status int) *problem {
	return &problem{fmt.Sprintf("urn:bindery:problem:test-%d", status), http.StatusText(status), status}
}

// join is a client's request to follow a binding, from a version.
type join struct {
	binding string
	params  map[string]string
	version string // "" for none
	link    link
}

// link sends the answer to a join.
type link interface {
	// send sends messages. Over polls it ends the request.
	send(list []message) error
	// half sends the first messages of a batch, and leaves the connection open.
	half(list []message) error
	// raw sends text as it is.
	raw(text string) error
	// cut breaks the connection.
	cut()
}

func serve() (*server, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("clienttest: listening: %w", err)
	}
	s := &server{joins: make(chan *join, 64), done: make(chan struct{}), conns: map[net.Conn]struct{}{}, addr: ln.Addr().String()}
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", s.serveSocket)
	mux.HandleFunc("/events", s.serveStream)
	mux.HandleFunc("/events/{name}", s.serveStream)
	mux.HandleFunc("/api/{name}", s.servePoll)
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(&listener{ln, s})
	}()
	return s, nil
}

// end stops serving and closes all connections.
func (s *server) end() {
	s.mu.Lock()
	s.down = true
	s.mu.Unlock()
	_ = s.http.Close()
	s.cutAll()
	<-s.done
}

// setDown makes the server close new connections at once, or serve them again.
func (s *server) setDown(down bool) {
	s.mu.Lock()
	s.down = down
	s.mu.Unlock()
	if down {
		s.cutAll()
	}
}

func (s *server) cutAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		cut(c)
	}
}

// cut closes a connection by a reset.
func cut(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func (s *server) refuse(p *problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing, s.times = p, 0
}

func (s *server) refusal() *problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.refusing
	if p != nil {
		s.refused++
	}
	if p != nil && s.times > 0 {
		if s.times--; s.times == 0 {
			s.refusing = nil
		}
	}
	return p
}

// admit hands a join to the case. It returns false if the case is over.
func (s *server) admit(ctx context.Context, j *join) bool {
	select {
	case s.joins <- j:
		return true
	case <-ctx.Done():
		return false
	}
}

// nameAndParams splits an id into the binding's name and a member's parameters.
func nameAndParams(id string, query map[string][]string) (string, map[string]string) {
	name, rest, _ := strings.Cut(id, "?")
	params := map[string]string{}
	for _, pair := range strings.Split(rest, "&") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			params[unescape(k)] = unescape(v)
		}
	}
	for k, v := range query {
		if len(v) > 0 {
			params[k] = v[0]
		}
	}
	return name, params
}

func writeProblem(w http.ResponseWriter, p *problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

var errOver = errors.New("the connection is over")

// listener keeps track of the connections, so that they can be cut.
type listener struct {
	net.Listener
	s *server
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.s.mu.Lock()
		if l.s.down {
			l.s.mu.Unlock()
			cut(c)
			continue
		}
		l.s.conns[c] = struct{}{}
		l.s.mu.Unlock()
		return &noted{c, l.s}, nil
	}
}

type noted struct {
	net.Conn
	s *server
}

func (c *noted) Close() error {
	c.s.mu.Lock()
	delete(c.s.conns, c.Conn)
	c.s.mu.Unlock()
	return c.Conn.Close()
}
