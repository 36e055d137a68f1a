package core

import (
	"context"
	"errors"
	"fmt"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// audit notes what one Verify finds.
type audit struct {
	drift status.Drift
	busy  bool // the table was under change of unknown extent
}

// auditAttempts is how often Verify tries to find the table at a moment when
// it is known what is under way.
const auditAttempts = 5

// verify compares the binding with the database, see [Binding.Verify].
func (v *publisher) verify(ctx context.Context) (status.Drift, error) {
	for range auditAttempts {
		a := &audit{}
		if err := v.reread(ctx, reload{audits: []*audit{a}}); err != nil {
			return status.Drift{}, fmt.Errorf("core: verifying binding %q: %w", v.Name(), err)
		}
		if !a.busy {
			return a.drift, nil
		}
	}
	return status.Drift{}, fmt.Errorf("core: verifying binding %q: %w", v.Name(), errBusy)
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
		e := m.t.edit.Event()
		if m.t.anew {
			for _, a := range m.how.audits {
				a.busy = m.how.forget // it was not compared with anything
			}
			continue // all rows are new to a binding that begins
		}
		p := f.poolOf(m.t.v)
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
