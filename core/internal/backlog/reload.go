package backlog

import (
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/status"
)

// Reload says how to read a binding in full.
type Reload struct {
	Forget bool            // begin with no rows
	Audits []*Verification // get the differences found
	By     *Reporter       // is credited with the changes; nil: whoever has reported them
	Mends  bool            // it makes up for changes that a source has missed
}

// And returns a reload that serves both requests.
func (r Reload) And(o Reload) Reload {
	by := r.By
	if by == nil {
		by = o.By
	}
	return Reload{Forget: r.Forget || o.Forget, Audits: append(r.Audits, o.Audits...), By: by, Mends: r.Mends || o.Mends}
}

// Verification gets the result of one Verify.
type Verification struct {
	Member *rowset.Member
	Drift  status.Drift
	Busy   bool // unknown changes were under way, so Drift means nothing: try again
}
