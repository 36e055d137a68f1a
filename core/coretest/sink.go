package coretest

import (
	"context"
	"slices"
	"sync"

	"github.com/binderyhq/bindery/core/driver"
)

// Sink records what a source reports. The zero value has no tables; set Schemas before the
// source watches. Its receipts never wait.
type Sink struct {
	// Schemas are the bound tables.
	Schemas []driver.Schema
	// OnReport, when set, is called for every report and confirmation, before
	// the source's call returns.
	OnReport func(changes []driver.Change)

	mu       sync.Mutex // guards what follows
	changed  chan struct{}
	reports  []driver.Change
	open     int
	announce int
	watching int
	losses   []error
	news     chan struct{}
}

var _ driver.Sink = (*Sink)(nil)

// Tables implements [driver.Sink].
func (s *Sink) Tables() ([]driver.Schema, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return slices.Clone(s.Schemas), s.changed
}

// Report implements [driver.Sink].
func (s *Sink) Report(changes ...driver.Change) driver.Receipt {
	if s.OnReport != nil {
		s.OnReport(changes)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports = append(s.reports, changes...)
	s.tellLocked()
	return done{}
}

// Announce implements [driver.Sink].
func (s *Sink) Announce(changes ...driver.Change) driver.Announcement {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	s.announce++
	s.tellLocked()
	return &announcement{sink: s, changes: changes}
}

// Watching implements [driver.Sink].
func (s *Sink) Watching() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watching++
	s.tellLocked()
}

// Lost implements [driver.Sink].
func (s *Sink) Lost(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.losses = append(s.losses, err)
	s.tellLocked()
}

func (s *Sink) tellLocked() {
	if s.news != nil {
		close(s.news)
		s.news = nil
	}
}

// Await waits until the condition holds. It checks again after each call of the sink.
func (s *Sink) Await(ctx context.Context, condition func(*Record) bool) error {
	for {
		s.mu.Lock()
		if s.news == nil {
			s.news = make(chan struct{})
		}
		news := s.news
		rec := s.recordLocked()
		s.mu.Unlock()
		if condition(rec) {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Record holds everything that a source has told a [Sink] so far.
type Record struct {
	// Changes are the reported and confirmed changes, in order.
	Changes []driver.Change
	// Announced counts announcements, Open those neither confirmed nor withdrawn yet.
	Announced, Open int
	// Watching counts the calls of Watching, Losses holds the errors given to Lost.
	Watching int
	Losses   []error
}

// Record returns everything that the source has told so far.
func (s *Sink) Record() *Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recordLocked()
}

func (s *Sink) recordLocked() *Record {
	return &Record{
		Changes: slices.Clone(s.reports), Announced: s.announce, Open: s.open,
		Watching: s.watching, Losses: slices.Clone(s.losses),
	}
}

// Covers reports whether the changes include the key, or its whole table.
func (r *Record) Covers(table driver.Table, key driver.Key) bool {
	return slices.ContainsFunc(r.Changes, func(c driver.Change) bool {
		if c.Table.Database != table.Database || c.Table.Name != "" && c.Table != table {
			return false
		}
		return c.Keys == nil || c.Table.Name == "" || slices.Contains(c.Keys, key)
	})
}

type announcement struct {
	sink    *Sink
	changes []driver.Change
	once    sync.Once
}

// Confirm implements [driver.Announcement].
func (a *announcement) Confirm(changes ...driver.Change) driver.Receipt {
	a.once.Do(func() {
		if len(changes) == 0 {
			changes = a.changes
		}
		a.sink.Report(changes...)
		a.end()
	})
	return done{}
}

// Withdraw implements [driver.Announcement].
func (a *announcement) Withdraw() { a.once.Do(a.end) }

func (a *announcement) end() {
	a.sink.mu.Lock()
	defer a.sink.mu.Unlock()
	a.sink.open--
	a.sink.tellLocked()
}

// done is the receipt of a change that shows already.
type done struct{}

func (done) Wait(context.Context) error { return nil }
