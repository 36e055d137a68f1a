package lifecycle

import (
	"context"
	"slices"
	"sync"
)

// Phase is one step of a shutdown. The phases come in this order, whatever the order
// of the start.
type Phase uint8

// The phases, named for what they stop.
const (
	Transports Phase = iota
	Sources
	Feeds
	Functions
	Plugins
	phases // their number
)

// Part is something that has started and has to be stopped.
type Part struct {
	// Name is its name in errors, for example `plugin "metrics"`.
	Name string
	// Stop stops it and waits until it has stopped. The context tells when the
	// waiting ends; a Stop that ignores it is left behind.
	Stop func(context.Context) error
}

// Parts are what has started, by phase.
type Parts [phases][]Part

// Stage records what has started. Starting and shutting down may happen at the same
// time: a part is either on the record when the shutdown closes the stage, or Push
// refuses the part and the caller stops it at once. So nothing is forgotten. The zero
// value is ready to use.
type Stage struct {
	mu     sync.Mutex // guards what follows
	closed bool
	parts  Parts
}

// Push records a part. It returns false when the stage is closed.
func (s *Stage) Push(p Phase, one Part) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.parts[p] = append(s.parts[p], one)
	return true
}

// IsClosed reports whether the shutdown has begun, so nothing else needs to be
// started.
func (s *Stage) IsClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Close refuses further parts and returns those on record, the last one of each phase
// first.
func (s *Stage) Close() Parts {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for p := range s.parts {
		slices.Reverse(s.parts[p])
	}
	return s.parts
}
