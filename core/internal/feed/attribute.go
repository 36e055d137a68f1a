package feed

import (
	"context"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/audit"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// attribute credits each changed row to the source that reported it first, and counts
// rows that nobody reported as drift. It must run before the steps are published.
func (f *Feed) attribute(moves []readyStep, covered work) {
	counted := make(map[driver.Key]struct{})
	each := func(p *concern.Pool, rows []live.Row) {
		for _, r := range rows {
			k := r.Key()
			if _, ok := counted[k]; ok {
				continue
			}
			counted[k] = struct{}{}
			if by := covered.creditedTo(p, k); by != nil {
				by.Found.Add(1)
			}
		}
	}
	for _, m := range moves {
		e := m.step.Edit.Event()
		if m.step.Anew {
			for _, a := range m.how.Audits {
				a.Busy = m.how.Forget // there was nothing to compare with
			}
			continue // all rows are new to a binding that starts empty
		}
		p := f.poolOf(m.step.Member)
		each(p, e.Created)
		each(p, e.Updated)
		each(p, e.Deleted)
		for _, a := range m.how.Audits {
			a.Busy = covered.everything(p) && e.Len() > 0 // no difference is an answer all the same
			a.Drift = status.Drift{
				Missing:   covered.unreported(p, e.Created),
				Extra:     covered.unreported(p, e.Deleted),
				Different: covered.unreported(p, e.Updated),
			}
		}
	}
}

// unreported returns the keys of rows that nobody has reported.
func (w *work) unreported(p *concern.Pool, rows []live.Row) (keys []driver.Key) {
	for _, r := range rows {
		if !w.covers(p, r.Key()) {
			keys = append(keys, r.Key())
		}
	}
	return keys
}

// Verify compares a loaded binding with the database, and stores the differences in a.
func (f *Feed) Verify(ctx context.Context, a *backlog.Verification) error {
	if err := f.compared.auditor.Request(audit.NewTicket(a)).Wait(ctx); err != nil {
		return err
	}
	return f.waitAnswered(ctx, f.requested(), func(v *rowset.Member) bool { return v == a.Member })
}
