package health

import (
	"fmt"
	"slices"

	"github.com/binderyhq/bindery/core/status"
)

// Report is the answer of the readiness probe.
type Report struct {
	// Ready means the status 200; otherwise it is 503.
	Ready bool `json:"-"`
	// Status says the same in a word: "ready", "stale" (ready, and some bindings may be
	// out of date), "loading" (or not started), "draining", or "stopped".
	Status string `json:"status"`
	// Loading and Stale name the bindings that have not loaded yet, and those that
	// may be out of date.
	Loading []string `json:"loading,omitempty"`
	Stale   []string `json:"stale,omitempty"`
	// Why gives a reason for each of these, without internal details.
	Why map[string]string `json:"why,omitempty"`
	// Errors holds their errors, if [Config].Errors is set.
	Errors map[string]string `json:"errors,omitempty"`
}

// Report returns the current state.
func (h *Health) Report() Report {
	ready := h.reg.Ready()
	r := Report{Ready: ready.Ready, Loading: ready.Loading, Stale: ready.Stale}
	switch {
	case h.reg.Stopping().Err() != nil:
		r.Status, r.Ready = "stopped", false
	case ready.Draining:
		r.Status = "draining"
	case len(ready.Loading) > 0:
		r.Status = "loading"
	case !ready.Ready:
		r.Status = "stopped"
	case len(ready.Stale) > 0:
		r.Status = "stale"
	default:
		r.Status = "ready"
	}
	if len(r.Loading)+len(r.Stale) == 0 {
		return r
	}
	r.Why = make(map[string]string)
	all := h.reg.Status()
	for _, name := range append(append([]string(nil), r.Loading...), r.Stale...) {
		view, ok := h.reg.Lookup(name)
		if !ok {
			continue // it was removed
		}
		b := h.reg.StatusOf(view)
		r.Why[name] = why(b, all)
		if h.cfg.Errors && b.Err != nil {
			if r.Errors == nil {
				r.Errors = make(map[string]string)
			}
			r.Errors[name] = b.Err.Error()
		}
	}
	return r
}

// why returns the reason why a binding is not current, without quoting the database.
func why(b status.Binding, all status.Registry) string {
	blind := ""
	for _, s := range all.Sources {
		if !s.Watching && blind == "" {
			blind = s.Name
		}
	}
	switch {
	case b.Troubled == 1:
		return "a row cannot be shown"
	case b.Troubled > 1:
		return fmt.Sprintf("%d rows cannot be shown", b.Troubled)
	case b.State == status.Restored:
		return "rows of an earlier run are served until the database has been read"
	case b.State == status.Loading && b.Err == nil:
		return "its rows are being read"
	case b.State == status.Loading:
		return "its rows cannot be read"
	case b.State == status.Live:
		return "it has just become current"
	case blind != "":
		return fmt.Sprintf("source %q does not see changes", blind)
	case followed(b, all.Origins):
		return "the node that it follows cannot be reached, or is stale itself"
	default:
		return "the database cannot be read, or is being compared"
	}
}

// followed reports whether the binding's rows come from one of the nodes.
func followed(b status.Binding, origins []status.Origin) bool {
	return slices.ContainsFunc(origins, func(o status.Origin) bool { return o.Name == b.Table.Database })
}
