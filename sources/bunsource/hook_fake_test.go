package bunsource

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// fakeSink records what a source reports. It judges a report as the engine
// would: by what a fresh connection reads at that moment.
type fakeSink struct {
	read func() state // reads all tables on a connection of its own

	mu       sync.Mutex
	schemas  []driver.Schema
	changed  chan struct{}
	watching chan struct{}
	open     map[*fakeAnnouncement]bool
	reports  []fakeReport
	wait     func(context.Context) error // of the receipts
}

// state is what the tables hold: rows as text, by table and key.
type state map[driver.Table]map[driver.Key]string

// fakeReport is one report, and what could be read when it came.
type fakeReport struct {
	changes []driver.Change
	seen    state
}

func newFakeSink(read func() state, schemas ...driver.Schema) *fakeSink {
	return &fakeSink{
		read: read, schemas: schemas,
		changed: make(chan struct{}), watching: make(chan struct{}, 1), open: map[*fakeAnnouncement]bool{},
	}
}

func (s *fakeSink) Tables() ([]driver.Schema, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.schemas), s.changed
}

func (s *fakeSink) bind(schema driver.Schema) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schemas = append(s.schemas, schema)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *fakeSink) Report(changes ...driver.Change) driver.Receipt {
	var seen state
	if s.read != nil {
		seen = s.read()
	}
	changes = slices.Clone(changes)
	for i := range changes {
		changes[i].Writer = nil // a feed lets go of it after the batch
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports = append(s.reports, fakeReport{changes: changes, seen: seen})
	return fakeReceipt{s}
}

func (s *fakeSink) Announce(changes ...driver.Change) driver.Announcement {
	a := &fakeAnnouncement{sink: s, changes: changes}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[a] = true
	return a
}

func (s *fakeSink) Watching() { s.watching <- struct{}{} }

func (s *fakeSink) Lost(error) {}

// take returns the reports and forgets them.
func (s *fakeSink) take() []fakeReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.reports
	s.reports = nil
	return out
}

func (s *fakeSink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.reports)
}

func (s *fakeSink) announced() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

type fakeAnnouncement struct {
	sink    *fakeSink
	changes []driver.Change
}

func (a *fakeAnnouncement) close() bool {
	a.sink.mu.Lock()
	defer a.sink.mu.Unlock()
	was := a.sink.open[a]
	delete(a.sink.open, a)
	return was
}

func (a *fakeAnnouncement) Confirm(changes ...driver.Change) driver.Receipt {
	if !a.close() {
		return fakeReceipt{a.sink}
	}
	if len(changes) == 0 {
		changes = a.changes
	}
	return a.sink.Report(changes...)
}

func (a *fakeAnnouncement) Withdraw() { a.close() }

type fakeReceipt struct{ sink *fakeSink }

func (r fakeReceipt) Wait(ctx context.Context) error {
	r.sink.mu.Lock()
	wait := r.sink.wait
	r.sink.mu.Unlock()
	if wait == nil {
		return nil
	}
	return wait(ctx)
}

// covers reports whether one of the changes may mean the row.
func covers(changes []driver.Change, table driver.Table, key driver.Key) bool {
	for _, c := range changes {
		if (c.Table.Name == "" || c.Table == table) && (c.Keys == nil || slices.Contains(c.Keys, key)) {
			return true
		}
	}
	return false
}

// unreported returns the rows that changed although no report told of them
// after a reader could see them as they are now.
func unreported(before, after state, reports []fakeReport) []string {
	var out []string
	for table := range after {
		keys := maps.Clone(before[table])
		if keys == nil {
			keys = map[driver.Key]string{}
		}
		maps.Copy(keys, after[table])
		for key := range keys {
			was, had := before[table][key]
			is, has := after[table][key]
			if was == is && had == has {
				continue
			}
			if !slices.ContainsFunc(reports, func(r fakeReport) bool {
				row, there := r.seen[table][key]
				return covers(r.changes, table, key) && row == is && there == has
			}) {
				out = append(out, fmt.Sprintf("%s %s: %q became %q", table, key, was, is))
			}
		}
	}
	slices.Sort(out)
	return out
}

// startWatching runs a source's Watch until the test is over.
func startWatching(t testing.TB, s driver.Source, sink *fakeSink) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Watch(ctx, sink) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
	<-sink.watching
}

// testTable returns the schema of a table t; the columns made by keyColumn are
// its key.
func testTable(columns ...driver.Column) *driver.Schema {
	s := &driver.Schema{Table: driver.Table{Name: "t"}, Columns: columns}
	for _, c := range columns {
		if c.JSON == "key" {
			s.Key = append(s.Key, c.Name)
		}
	}
	return s
}

func keyColumn(name string, k value.Kind, x filter.Exactness) driver.Column {
	return driver.Column{Name: name, JSON: "key", Kind: k, Exact: x}
}
