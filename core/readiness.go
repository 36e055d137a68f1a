package core

import "github.com/binderyhq/bindery/core/status"

// Readiness says whether a registry can serve.
type Readiness struct {
	// Ready is true once every binding has loaded. It does not become false
	// again when a database goes away: rows are then served from memory. It is
	// false before Start, once Drain was called, and after Shutdown.
	Ready bool
	// Draining is true once [Registry.Drain] was called, and Ready is false then.
	Draining bool
	// Loading and Stale name the bindings that have not loaded yet, and those
	// whose rows may be out of date, restored ones among them.
	Loading, Stale []string
}

// Ready says whether every binding has loaded, and which are stale. It is false
// before Start and after Shutdown.
func (r *Registry) Ready() Readiness {
	r.mu.Lock()
	running, draining := r.phase == started, r.draining
	views := r.views
	r.mu.Unlock()
	st := Readiness{Ready: running && !draining, Draining: draining}
	for _, v := range views {
		if v.Spec.Family {
			continue // it has nothing to load before somebody asks
		}
		switch v.status().State {
		case status.Loading:
			st.Ready = false
			st.Loading = append(st.Loading, v.Name())
		case status.Stale, status.Restored:
			st.Stale = append(st.Stale, v.Name())
		}
	}
	return st
}
