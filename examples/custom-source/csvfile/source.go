package csvfile

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// Source watches a table's file for one registry.
type Source struct {
	table    *Table
	interval time.Duration

	mu   sync.Mutex  // guards what follows: one look at a time
	sink driver.Sink // nil while nobody watches
	seen fingerprint
}

var (
	_ driver.Source = (*Source)(nil)
	_ driver.Scoper = (*Source)(nil)
	_ driver.Looker = (*Source)(nil)
)

// Watch returns a source that looks at the file at the interval, which is above
// 0.
func Watch(table *Table, interval time.Duration) *Source {
	return &Source{table: table, interval: interval}
}

// Name implements [driver.Source].
func (*Source) Name() string { return "csvfile" }

// Scope implements [driver.Scoper]: this one file.
func (s *Source) Scope() driver.Scope {
	return driver.Scope{Tables: []driver.Table{s.tableName()}}
}

func (s *Source) tableName() driver.Table {
	schema, _ := s.table.Schema() // Start has reported what is wrong with it
	return schema.Table
}

// Watch implements [driver.Source].
func (s *Source) Watch(ctx context.Context, sink driver.Sink) error {
	if err := s.begin(sink); err != nil {
		return err // the registry tries again, later and later
	}
	defer s.end()
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := s.Look(ctx); err != nil {
			return err
		}
	}
}

// begin looks first and says Watching then: the next look finds what changes after
// this one, and what the engine reads after Watching shows what changed before.
func (s *Source) begin(sink driver.Sink) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.read()
	if err != nil {
		return err
	}
	s.seen, s.sink = now, sink
	sink.Watching()
	return nil
}

func (s *Source) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sink = nil
}

// Look implements [driver.Looker]: it looks at the file now, and reports a change.
func (s *Source) Look(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sink == nil {
		return errors.New("csvfile: looking at the file: nobody watches it")
	}
	now, err := s.read()
	if err != nil {
		return err
	}
	if now != s.seen {
		s.seen = now
		s.sink.Report(driver.Change{Table: s.tableName()})
	}
	return nil
}

type fingerprint [sha256.Size]byte

// read returns the fingerprint of the file's content. Its time of modification
// would be cheaper, and too coarse: two writes can bear the same one.
func (s *Source) read() (fingerprint, error) {
	content, err := s.table.read()
	if err != nil {
		return fingerprint{}, err
	}
	return sha256.Sum256(content), nil
}
