package engine

import (
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// held has the versions of bindings up to which a source was told the keys of new rows. The
// sink's mutex guards it.
type held map[*live.View]live.Version

// Held implements [driver.Holder].
func (s *sink) Held(table driver.Table, visit func(driver.Key)) (changed bool) {
	var views []*live.View
	for _, to := range s.run.eng.routes.Load().of(table) {
		if to.own && !to.derived {
			views = append(views, to.Views()...)
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
		told := before[v]
		if now[v] = told; told.Seq == snap.Version().Seq {
			continue
		}
		changed = true
		now[v] = cameSince(v, told, visit)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = make(map[driver.Table]held)
	}
	s.held[table] = now // without views that were removed
	return changed
}

// cameSince visits the keys of the rows that the binding has added since the version, and
// returns the version up to which it did. If the log does not reach back that far, it visits
// all rows.
func cameSince(v *live.View, told live.Version, visit func(driver.Key)) live.Version {
	sub := v.Subscribe(live.SubscribeOptions{Version: told.Token, Notify: func() {}})
	defer sub.Close()
	e, err := sub.Poll()
	switch {
	case err != nil: // it has ended
		return told
	case e == nil: // the content is the same again
		return v.Version()
	case e.Kind != live.Synced:
		for _, row := range e.Created {
			visit(row.Key())
		}
		return e.Version
	}
	for row := range e.Snapshot.Rows() {
		visit(row.Key())
	}
	return e.Version
}
