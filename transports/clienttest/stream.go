package clienttest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

// serveStream answers a request for an event stream. The stream begins with the case's
// first message.
func (s *server) serveStream(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	version := query.Get("version")
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		version = id
	}
	id := r.PathValue("name")
	if id == "" {
		id = query.Get("event")
	}
	query.Del("event")
	query.Del("version")
	name, params := nameAndParams(id, query)
	if p := s.refusal(); p != nil {
		writeProblem(w, p)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	l := &streamLink{w: w, ctx: r.Context(), over: make(chan struct{})}
	if !s.admit(r.Context(), &join{name, params, version, l}) {
		return
	}
	select {
	case <-l.over:
	case <-r.Context().Done():
	}
	l.end()
}

type streamLink struct {
	ctx  context.Context
	over chan struct{}
	once sync.Once

	mu    sync.Mutex // guards w
	w     http.ResponseWriter
	ended bool
}

func (l *streamLink) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

func (l *streamLink) raw(text string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.ctx.Err() != nil {
		return errOver
	}
	if _, err := l.w.Write([]byte(text)); err != nil {
		return errOver
	}
	if err := http.NewResponseController(l.w).Flush(); err != nil {
		return errOver
	}
	return nil
}

func (l *streamLink) send(list []message) error {
	var b strings.Builder
	for _, m := range list {
		fmt.Fprintf(&b, "event: %s\n", m["action"])
		if v, ok := m["version"]; ok && m["more"] == nil {
			fmt.Fprintf(&b, "id: %s\n", v)
		}
		fmt.Fprintf(&b, "data: %s\n\n", text(m))
	}
	return l.raw(b.String())
}

func (l *streamLink) half(list []message) error { return l.send(list) }

func (l *streamLink) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	// Aborting the handler would end the answer properly, so close the connection.
	_ = http.NewResponseController(l.w).Flush()
	if c, _, err := http.NewResponseController(l.w).Hijack(); err == nil {
		_ = c.Close()
	}
	l.ended = true
	l.once.Do(func() { close(l.over) })
}
