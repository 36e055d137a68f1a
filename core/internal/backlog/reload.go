package backlog

import (
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/status"
)

// Reload says how a binding is to be read in full.
type Reload struct {
	Forget bool            // begin with nothing
	Audits []*Verification // what is found to differ is noted here
	By     *Reporter       // to whom what differs is credited; nil: to who has reported it
}

func (r Reload) And(o Reload) Reload {
	by := r.By
	if by == nil {
		by = o.By
	}
	return Reload{Forget: r.Forget || o.Forget, Audits: append(r.Audits, o.Audits...), By: by}
}

// Verification notes what one Verify finds.
type Verification struct {
	Member *rowset.Member
	Drift  status.Drift
	Busy   bool // the table was under change of unknown extent
}
