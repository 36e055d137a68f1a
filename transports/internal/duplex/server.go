package duplex

import (
	"context"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/status"
	"github.com/binderyhq/bindery/transports/internal/ending"
	"github.com/binderyhq/bindery/transports/internal/serving"
	"github.com/binderyhq/bindery/transports/internal/session"
	"github.com/binderyhq/bindery/transports/internal/socket"
)

// Server is the common part of WebSocket and Socket.IO, whose connections are sessions
// on WebSockets. Socket.IO's may begin with polls.
type Server[C comparable] struct {
	*serving.Connections[C]
	Hub      *session.Hub
	Sockets  *socket.Server
	HTTP     ending.Servers
	Registry *core.Registry // set by Mount
}

// NewServer returns a server. The settings already have their defaults. pings is how
// often sockets are pinged; negative means never. stop makes a connection complete its
// batch and end; cut makes it end at once.
func NewServer[C comparable](transport string, s Settings, pings time.Duration, subprotocols []string, stop, cut func(C)) *Server[C] {
	return &Server[C]{
		Connections: serving.NewConnections(serving.Kind[C]{
			Transport: transport, Noun: "connections", Max: *s.MaxConnections, DrainTimeout: *s.DrainTimeout, Stop: stop, Cut: cut,
		}),
		Hub: session.NewHub(transport, session.Limits{Joins: *s.MaxJoins, LoadWait: *s.LoadWait}),
		Sockets: socket.NewServer(transport, socket.Config{
			MaxMessageBytes: *s.MaxRequestBytes, HandshakeTimeout: *s.HandshakeTimeout,
			WriteTimeout: *s.WriteTimeout, PingInterval: pings, Subprotocols: subprotocols,
		}),
	}
}

// Mount sets the registry whose bindings are served.
func (s *Server[C]) Mount(reg *core.Registry) {
	s.Registry = reg
	s.Connections.Mount(reg)
	s.Hub.Mount(reg)
	s.Sockets.Mount(reg.Logger())
}

// Shutdown ends the connections, see [serving.Connections.Shutdown].
func (s *Server[C]) Shutdown(ctx context.Context) error {
	if err := s.Connections.Shutdown(ctx); err != nil {
		return err
	}
	s.Hub.Stop()
	return nil
}

// Status returns the counters that all transports have.
func (s *Server[C]) Status() status.Transport {
	st := s.Hub.Status()
	s.Report(&st)
	st.Dropped = s.Sockets.Stuck()
	return st
}
