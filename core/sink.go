package core

// sink is what one source reports to.
type sink struct {
	run *sourceRun
}

var _ Sink = (*sink)(nil)

// Tables implements [Sink].
func (s *sink) Tables() ([]Schema, <-chan struct{}) {
	e := s.run.eng
	e.mu.Lock()
	changed := e.changed
	e.mu.Unlock()
	var schemas []Schema
	for _, f := range e.running() {
		if !s.run.covers(f.table) {
			continue
		}
		f.mu.Lock()
		if len(f.views) > 0 {
			schemas = append(schemas, f.views[0].Schema())
		}
		f.mu.Unlock()
	}
	return schemas, changed
}

// Report implements [Sink].
func (s *sink) Report(changes ...Change) Receipt { return s.report(changes) }

func (s *sink) report(changes []Change) receipt {
	s.run.reports.Add(1)
	var r receipt
	for _, c := range changes {
		for _, f := range s.run.eng.matching(c.Table) {
			keys := c.Keys
			if c.Table.Name == "" {
				keys = nil // keys of every table are keys of none
			}
			r = append(r, f.report(keys, s.run))
		}
	}
	return r
}

// Announce implements [Sink].
func (s *sink) Announce(changes ...Change) Announcement {
	a := &announced{sink: s, orig: changes}
	for _, c := range changes {
		for _, f := range s.run.eng.matching(c.Table) {
			keys := c.Keys
			if c.Table.Name == "" {
				keys = nil
			}
			a.parts = append(a.parts, f.announce(keys, s.run))
		}
	}
	return a
}

// Watching implements [Sink].
func (s *sink) Watching() { s.run.setWatching() }

// Lost implements [Sink].
func (s *sink) Lost(err error) { s.run.setLost(err) }
