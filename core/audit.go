package core

import (
	"context"
	"errors"
	"fmt"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/audit"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// verifyAttempts is how often Verify tries to find the table at a moment when
// it is known what is under way.
const verifyAttempts = 5

// compare compares the binding with the database, see [Binding.Verify].
func (v *publisher) compare(ctx context.Context) (status.Drift, error) {
	for range verifyAttempts {
		a := &backlog.Verification{Member: v.Member}
		if err := v.verify(ctx, a); err != nil {
			return status.Drift{}, fmt.Errorf("core: verifying binding %q: %w", v.Name(), err)
		}
		if !a.Busy {
			return a.Drift, nil
		}
	}
	return status.Drift{}, fmt.Errorf("core: verifying binding %q: %w", v.Name(), errBusy)
}

func (v *publisher) verify(ctx context.Context, a *backlog.Verification) error {
	f := v.feed.Load()
	switch schema := v.Schema(); {
	case f == nil:
		return ErrNotStarted
	case len(schema.Depends) > 0: // it is read in full whatever is read of it
		return v.reread(ctx, backlog.Reload{Audits: []*backlog.Verification{a}})
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
	each := func(p *concern.Pool, rows []live.Row) {
		for _, r := range rows {
			k := r.Key()
			if _, ok := credited[k]; ok {
				continue
			}
			credited[k] = struct{}{}
			if by := covered.creditedTo(p, k); by != nil {
				by.Found.Add(1)
			}
		}
	}
	for _, m := range moves {
		e := m.t.Edit.Event()
		if m.t.Anew {
			for _, a := range m.how.Audits {
				a.Busy = m.how.Forget // it was not compared with anything
			}
			continue // all rows are new to a binding that begins
		}
		p := f.poolOf(m.t.Member)
		each(p, e.Created)
		each(p, e.Updated)
		each(p, e.Deleted)
		for _, a := range m.how.Audits {
			a.Busy = covered.everything(p) && e.Len() > 0 // nothing that differs is an answer
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
