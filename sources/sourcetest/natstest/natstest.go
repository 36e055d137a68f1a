// Package natstest runs NATS servers for tests, within the test's own process.
package natstest

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Server is a NATS server without JetStream on a loopback port. It is stopped
// when the test ends.
type Server struct {
	opts server.Options
	run  *server.Server
	url  string
}

// Start starts a server.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{opts: server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true}}
	s.start(t)
	t.Cleanup(s.Stop)
	return s
}

// StartJetStream starts a server with JetStream, whose streams are kept over restarts.
func StartJetStream(t testing.TB) *Server {
	t.Helper()
	s := &Server{opts: server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir()}}
	s.start(t)
	t.Cleanup(s.Stop)
	return s
}

// patience tells a server, or a connection to it, that does not start from a machine
// that does much else.
const patience = time.Minute

func (s *Server) start(t testing.TB) {
	t.Helper()
	if s.run == nil && s.opts.Port != server.RANDOM_PORT {
		s.awaitPort(t)
	}
	run, err := server.NewServer(&s.opts)
	if err != nil {
		t.Fatal(err)
	}
	run.Start()
	if !run.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not start")
	}
	s.run, s.url = run, run.ClientURL()
	s.opts.Port = run.Addr().(*net.TCPAddr).Port // kept over restarts
}

// awaitPort waits until the port of before is free. The system may have given it to
// somebody who connects, if only to a client that tries to reach the server meanwhile.
func (s *Server) awaitPort(t testing.TB) {
	t.Helper()
	addr := net.JoinHostPort(s.opts.Host, strconv.Itoa(s.opts.Port))
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		l, err := net.Listen("tcp", addr)
		if err == nil {
			_ = l.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// URL returns the address for clients. It stays the same over restarts.
func (s *Server) URL() string { return s.url }

// Stop stops the server and cuts all connections.
func (s *Server) Stop() {
	if s.run != nil {
		s.run.Shutdown()
		s.run.WaitForShutdown()
		s.run = nil
	}
}

// Restart starts the server again, after Stop, on the same port.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.start(t)
}

// Connect returns a connection that comes back by itself, closed when the test
// ends.
func (s *Server) Connect(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	opts = append([]nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond), nats.ReconnectJitter(0, 0), nats.Timeout(patience)}, opts...)
	conn, err := nats.Connect(s.url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}
