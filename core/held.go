package core

import (
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// held remembers up to which version a source has been told what bindings hold.
// The sink's mutex guards it.
type held map[*live.View]uint64

// Held implements [driver.Holder].
func (s *sink) Held(table driver.Table, visit func(driver.Key)) (changed bool) {
	var views []*live.View
	for _, to := range s.run.eng.matching(table) {
		if to.own && !to.derived {
			views = append(views, to.views()...)
		}
	}
	s.mu.Lock()
	before := s.held[table]
	s.mu.Unlock()
	now := make(held, len(views))
	for _, v := range views {
		snap := v.Snapshot()
		if snap == nil {
			continue // it has not loaded
		}
		seq := snap.Version().Seq
		now[v] = seq
		if told, ok := before[v]; ok && told == seq {
			continue
		}
		changed = true
		for row := range snap.Rows() {
			visit(row.Key())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = make(map[driver.Table]held)
	}
	s.held[table] = now // without the views that have gone
	return changed
}

// views returns the feed's bindings, those of families included.
func (f *feed) views() []*live.View {
	f.mu.Lock()
	defer f.mu.Unlock()
	views := make([]*live.View, 0, len(f.members))
	for p := range f.members {
		views = append(views, p.View)
	}
	return views
}
