package engine

import (
	"slices"
	"sync"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/feed"
)

// sink takes the reports of one source, during one call of its Watch.
type sink struct {
	run *Source

	mu       sync.Mutex              // guards what follows
	open     map[*announced]struct{} // neither confirmed nor withdrawn
	finished bool                    // Watch has returned
	held     map[driver.Table]held
}

var (
	_ driver.Sink   = (*sink)(nil)
	_ driver.Holder = (*sink)(nil)
)

// Tables implements [driver.Sink].
func (s *sink) Tables() ([]driver.Schema, <-chan struct{}) {
	schemas, changed := s.run.eng.heard()
	return slices.DeleteFunc(schemas, func(sc driver.Schema) bool { return !s.run.Covers(sc.Table) }), changed
}

// Report implements [driver.Sink].
func (s *sink) Report(changes ...driver.Change) driver.Receipt { return s.report(changes) }

func (s *sink) report(changes []driver.Change) feed.Receipt {
	s.run.reports.Add(1)
	var r feed.Receipt
	for _, c := range changes {
		for _, to := range s.run.eng.routes.Load().of(c.Table) {
			keys := c.Keys
			if keys == nil && c.Compare && !to.derived {
				r = append(r, to.Compare(s.run.reporter, c.Log))
				continue
			}
			if to.derived {
				if keys != nil && len(keys) == 0 {
					continue // no row of the table has changed
				}
				keys = nil
			}
			if c.Table.Name == "" {
				keys = nil // it is not known whose keys they are
			}
			if to.own {
				m := to.ReportOf(c.Writer, keys, s.run.reporter)
				if !to.lagging {
					r = append(r, m)
				}
			}
			if to.related {
				r = append(r, to.ReportRelated(c.Writer, c.Table, keys, s.run.reporter))
			}
		}
	}
	s.run.eng.host.Reported(s.run.source, changes)
	return r
}

// Announce implements [driver.Sink].
func (s *sink) Announce(changes ...driver.Change) driver.Announcement {
	a := &announced{sink: s, orig: changes}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished {
		return a // Watch has returned, so missed changes are made up for later
	}
	for _, c := range changes {
		for _, to := range s.run.eng.routes.Load().of(c.Table) {
			if to.derived {
				continue
			}
			keys := c.Keys
			if c.Table.Name == "" {
				keys = nil
			}
			if to.own {
				a.parts = append(a.parts, to.Announce(to.Table, false, keys, s.run.reporter))
			}
			if to.related {
				a.parts = append(a.parts, to.Announce(c.Table, true, keys, s.run.reporter))
			}
		}
	}
	if len(a.parts) > 0 {
		if s.open == nil {
			s.open = make(map[*announced]struct{})
		}
		s.open[a] = struct{}{}
	}
	return a
}

// forget drops an announcement that has ended.
func (s *sink) forget(a *announced) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, a)
}

// end withdraws all open announcements, because the source's Watch has returned. Their
// commits are made up for when the source watches again.
func (s *sink) end() {
	s.mu.Lock()
	open := s.open
	s.open, s.finished = nil, true
	s.mu.Unlock()
	for a := range open {
		a.withdrawParts()
	}
}

// Watching implements [driver.Sink].
func (s *sink) Watching() { s.run.setWatching() }

// Lost implements [driver.Sink].
func (s *sink) Lost(err error) { s.run.setLost(err) }
