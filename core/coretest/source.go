package coretest

import (
	"context"
	"sync"

	"github.com/binderyhq/bindery/core/driver"
)

// Source is a source that reports on demand. The zero value is ready to use.
type Source struct {
	// Err, when set, is returned by Watch at once.
	Err error

	mu   sync.Mutex
	sink driver.Sink
}

var _ driver.Source = (*Source)(nil)

// Name implements [driver.Source].
func (*Source) Name() string { return "coretest" }

// Watch implements [driver.Source].
func (s *Source) Watch(ctx context.Context, sink driver.Sink) error {
	if s.Err != nil {
		return s.Err
	}
	s.mu.Lock()
	s.sink = sink
	s.mu.Unlock()
	sink.Watching()
	<-ctx.Done()
	return ctx.Err()
}

// Sink returns the sink, or nil before Watch.
func (s *Source) Sink() driver.Sink {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sink
}

// Report reports the changes and waits until they show.
func (s *Source) Report(ctx context.Context, changes ...driver.Change) error {
	return s.Sink().Report(changes...).Wait(ctx)
}
