package clienttest

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// servePoll answers a request for the changes since a version. It refuses a request for
// the list itself, because that follows nothing.
func (s *server) servePoll(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if p := s.refusal(); p != nil {
		writeProblem(w, p)
		return
	}
	if !query.Has("since") {
		s.mu.Lock()
		s.plain++
		s.mu.Unlock()
		writeProblem(w, problemOf(http.StatusNotFound))
		return
	}
	since := query.Get("since")
	wait, _ := strconv.ParseFloat(query.Get("wait"), 64)
	query.Del("since")
	query.Del("wait")
	name, params := nameAndParams(r.PathValue("name"), query)
	l := &pollLink{w: w, over: make(chan struct{})}
	if !s.admit(r.Context(), &join{name, params, since, l}) {
		return
	}
	held := time.NewTimer(time.Duration((wait + 1) * float64(time.Second)))
	defer held.Stop()
	select {
	case <-l.over:
	case <-r.Context().Done():
	case <-held.C: // nothing newer
		_ = l.send([]message{{"event": name, "action": "sync", "payload": "ok", "version": since}})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

type pollLink struct {
	over chan struct{}
	once sync.Once

	mu    sync.Mutex // guards w
	w     http.ResponseWriter
	ended bool
}

func (l *pollLink) write(text string, whole bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return errOver
	}
	l.w.Header().Set("Content-Type", "application/json")
	_, err := l.w.Write([]byte(text))
	if whole {
		l.ended = true
		l.once.Do(func() { close(l.over) })
	} else if err == nil {
		err = http.NewResponseController(l.w).Flush()
	}
	if err != nil {
		return errOver
	}
	return nil
}

func (l *pollLink) raw(text string) error { return l.write(text, true) }

func (l *pollLink) send(list []message) error { return l.write(text(list)+"\n", true) }

func (l *pollLink) half(list []message) error {
	return l.write(strings.TrimSuffix(text(list), "]"), false)
}

func (l *pollLink) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	if c, _, err := http.NewResponseController(l.w).Hijack(); err == nil {
		_ = c.Close()
	}
	l.ended = true
	l.once.Do(func() { close(l.over) })
}
