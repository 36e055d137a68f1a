package ending

import (
	"context"
	"net/http"
	"sync"
)

// Servers knows the servers of the requests that it has seen. The zero value is ready
// to use. Methods may be called from any goroutine.
type Servers struct {
	mu   sync.Mutex // guards what follows
	seen map[*http.Server]context.Context
}

// Of returns a context that is done once the Shutdown of the server that
// serves the request has begun, and never done when the server is unknown.
func (s *Servers) Of(r *http.Request) context.Context {
	srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return context.Background()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, ok := s.seen[srv]
	if !ok {
		if s.seen == nil {
			s.seen = make(map[*http.Server]context.Context)
		}
		var end context.CancelFunc
		ctx, end = context.WithCancel(context.Background())
		srv.RegisterOnShutdown(end)
		s.seen[srv] = ctx
	}
	return ctx
}
