package core

import (
	"context"
	"errors"
	"fmt"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/audit"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// verification notes what one Verify finds.
type verification struct {
	v     *rowset.Member
	drift status.Drift
	busy  bool // the table was under change of unknown extent
}

// verifyAttempts is how often Verify tries to find the table at a moment when
// it is known what is under way.
const verifyAttempts = 5

// compare compares the binding with the database, see [Binding.Verify].
func (v *publisher) compare(ctx context.Context) (status.Drift, error) {
	for range verifyAttempts {
		a := &verification{v: v.Member}
		if err := v.verify(ctx, a); err != nil {
			return status.Drift{}, fmt.Errorf("core: verifying binding %q: %w", v.Name(), err)
		}
		if !a.busy {
			return a.drift, nil
		}
	}
	return status.Drift{}, fmt.Errorf("core: verifying binding %q: %w", v.Name(), errBusy)
}

func (v *publisher) verify(ctx context.Context, a *verification) error {
	f := v.feed.Load()
	switch schema := v.Schema(); {
	case f == nil:
		return ErrNotStarted
	case len(schema.Depends) > 0: // it is read in full whatever is read of it
		return v.reread(ctx, reload{audits: []*verification{a}})
	}
	select {
	case <-v.Loaded():
	case <-v.Done():
		return v.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := f.compared.auditor.Request(audit.NewTicket(a)).Wait(ctx)
	if why := v.Err(); why != nil {
		return why
	}
	return err
}

var errBusy = errors.New("the whole table was under change at each attempt")

// credit counts what the batch found to differ: for the source that was first
// to report it, and as drift where nobody had reported it. It is called before
// the transitions are published.
func (f *feed) credit(moves []move, covered work) {
	credited := make(map[driver.Key]struct{})
	each := func(p *pool, rows []live.Row) {
		for _, r := range rows {
			k := r.Key()
			if _, ok := credited[k]; ok {
				continue
			}
			credited[k] = struct{}{}
			if by := covered.creditedTo(p, k); by != nil {
				by.found.Add(1)
			}
		}
	}
	for _, m := range moves {
		e := m.t.Edit.Event()
		if m.t.Anew {
			for _, a := range m.how.audits {
				a.busy = m.how.forget // it was not compared with anything
			}
			continue // all rows are new to a binding that begins
		}
		p := f.poolOf(m.t.Member)
		each(p, e.Created)
		each(p, e.Updated)
		each(p, e.Deleted)
		for _, a := range m.how.audits {
			a.busy = covered.everything(p) && e.Len() > 0 // nothing that differs is an answer
			a.drift = status.Drift{
				Missing:   covered.unreported(p, e.Created),
				Extra:     covered.unreported(p, e.Deleted),
				Different: covered.unreported(p, e.Updated),
			}
		}
	}
}

// unreported returns the keys of rows that nobody has reported.
func (w *work) unreported(p *pool, rows []live.Row) (keys []driver.Key) {
	for _, r := range rows {
		if !w.covers(p, r.Key()) {
			keys = append(keys, r.Key())
		}
	}
	return keys
}
