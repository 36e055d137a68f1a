package main

import (
	"container/list"
	"crypto/rand"
	"sync"
	"time"
)

const (
	// sessionLife is how long somebody stays signed in.
	sessionLife = 12 * time.Hour
	// maxSessions bounds the sessions. The oldest makes room for another.
	maxSessions = 10_000
)

// sessions are those who are signed in, in memory: a restart signs everybody
// out. All methods may be called from any goroutine.
type sessions struct {
	now func() time.Time

	mu    sync.Mutex               // guards what follows
	all   map[string]*list.Element // of session, by token
	order list.List                // of session, the oldest first
}

type session struct {
	token, person string
	ends          time.Time
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, all: make(map[string]*list.Element)}
}

// begin makes a session and returns the token that stands for it, which nobody
// can guess.
func (s *sessions) begin(person string) (token string) {
	token = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	// All live equally long, so the oldest are the first to be over.
	for e := s.order.Front(); e != nil && (s.over(e) || len(s.all) >= maxSessions); e = s.order.Front() {
		s.dropLocked(e)
	}
	s.all[token] = s.order.PushBack(session{token, person, s.now().Add(sessionLife)})
	return token
}

// person returns whose session the token stands for; false when it is over, or
// never was.
func (s *sessions) person(token string) (name string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.all[token]
	if e == nil || s.over(e) {
		return "", false
	}
	return e.Value.(session).person, true
}

// end ends the session, if there is one.
func (s *sessions) end(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.all[token]; e != nil {
		s.dropLocked(e)
	}
}

func (s *sessions) over(e *list.Element) bool { return !s.now().Before(e.Value.(session).ends) }

func (s *sessions) dropLocked(e *list.Element) {
	delete(s.all, e.Value.(session).token)
	s.order.Remove(e)
}
