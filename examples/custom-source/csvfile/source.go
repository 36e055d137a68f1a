package csvfile

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// Source watches a table's file.
type Source struct {
	table    *Table
	interval time.Duration
}

var (
	_ driver.Source = (*Source)(nil)
	_ driver.Scoper = (*Source)(nil)
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
	// Look first, say Watching then: what changes after the look is found by
	// the next one, and what changed before it is in what the engine reads
	// after Watching.
	seen, err := s.look()
	if err != nil {
		return err // the registry tries again, later and later
	}
	sink.Watching()
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		now, err := s.look()
		if err != nil {
			return err
		}
		if now != seen {
			seen = now
			sink.Report(driver.Change{Table: s.tableName()})
		}
	}
}

// look returns the fingerprint of the file's content. Its time of modification
// would be cheaper, and too coarse: two writes can bear the same one.
func (s *Source) look() (fingerprint [sha256.Size]byte, err error) {
	content, err := s.table.read()
	if err != nil {
		return fingerprint, err
	}
	return sha256.Sum256(content), nil
}
