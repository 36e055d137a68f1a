package core

import (
	"slices"

	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// Status returns the status of everything in the registry. Its parts are not taken at the
// same moment.
func (r *Registry) Status() status.Registry {
	var st status.Registry
	for _, v := range r.bindings.living() {
		st.Bindings = append(st.Bindings, v.status())
	}
	declared := r.bindings.declared()
	r.mu.Lock()
	transports := slices.Clone(r.parts.transports)
	r.mu.Unlock()
	for _, t := range transports {
		st.Transports = append(st.Transports, transportStatus(t.it))
	}
	for _, v := range declared {
		if fam := v.family.status(); v.Spec.Family || fam.Opened > 0 {
			st.Families = append(st.Families, fam)
		}
	}
	st.Sources = r.eng.Status()
	st.Origins = originsOf(declared)
	for _, f := range r.eng.Feeds() {
		st.Tables = append(st.Tables, f.Status())
	}
	st.Memory = r.memoryStatus()
	st.Marks = r.marks.status()
	return st
}

// originsOf returns the status of each node that these bindings follow, once.
func originsOf(declared []*binding) (all []status.Origin) {
	seen := make(map[Origin]bool)
	for _, v := range declared {
		if o := v.origin; o != nil && !seen[o] {
			seen[o] = true
			all = append(all, o.Status())
		}
	}
	return all
}

// transportStatus returns the transport's status, or only its name.
func transportStatus(t Transport) status.Transport {
	var st status.Transport
	if m, ok := t.(StatusReporter); ok {
		st = m.Status()
	}
	st.Name = t.Name()
	if st.Responses == nil {
		st.Responses = map[int]uint64{}
	}
	return st
}

// StatusOf returns the status of a binding. For a view that is not in the registry the
// state is [status.Ended].
func (r *Registry) StatusOf(view *live.View) status.Binding {
	if v := r.bindings.of(view); v != nil {
		return v.status()
	}
	return status.Binding{State: status.Ended, Err: view.Err()}
}

// Readiness says whether a registry can serve.
type Readiness struct {
	// Ready is true once every binding has loaded or was restored. It stays true when a
	// database goes away: rows are then served from memory. It is false before Start, once
	// Drain was called, and after Shutdown.
	Ready bool
	// Draining is true once [Registry.Drain] was called. Ready is then false.
	Draining bool
	// Loading and Stale name the bindings that have not loaded yet, and those whose rows
	// may be out of date, including restored ones. Families are left out.
	Loading, Stale []string
}

// Ready says whether the registry can serve, and which bindings are loading or stale.
func (r *Registry) Ready() Readiness {
	r.mu.Lock()
	running, draining := r.phase == started, r.draining
	r.mu.Unlock()
	st := Readiness{Ready: running && !draining, Draining: draining}
	for _, v := range r.bindings.declared() {
		if v.Spec.Family {
			continue // it loads on demand
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
