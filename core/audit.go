package core

import (
	"context"
	"errors"
	"fmt"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/audit"
)

// Drift is how a binding's rows differed from the database's, see
// [View.Verify].
type Drift struct {
	// Missing are the keys of rows that the binding should have held, Extra of
	// those it should not have held, Different of those it held otherwise.
	Missing, Extra, Different []driver.Key
}

// Len returns the number of rows that differed.
func (d Drift) Len() int { return len(d.Missing) + len(d.Extra) + len(d.Different) }

// verification notes what one Verify finds.
type verification struct {
	v     *publisher
	drift Drift
	busy  bool // the table was under change of unknown extent
}

// verifyAttempts is how often Verify tries to find the table at a moment when
// it is known what is under way.
const verifyAttempts = 5

// Verify compares the binding with one state of the database, beside everything
// else, and returns how they differ. What has been reported or announced, and does
// not show yet, is no difference. What differs is mended, with the events that it
// amounts to; so are rows beyond a [Limit] that nobody sees, and those are no
// difference. A binding whose sources see everything never drifts; see also
// [SourceStatus], which tells what each source found first.
//
// The errors are those of [View.Resync]. It also fails when changes of the
// whole table were under way at each of several attempts.
func (v *publisher) Verify(ctx context.Context) (Drift, error) {
	for range verifyAttempts {
		a := &verification{v: v}
		if err := v.verify(ctx, a); err != nil {
			return Drift{}, fmt.Errorf("core: verifying binding %q: %w", v.name, err)
		}
		if !a.busy {
			return a.drift, nil
		}
	}
	return Drift{}, fmt.Errorf("core: verifying binding %q: %w", v.name, errBusy)
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
	case <-v.loaded:
	case <-v.done:
		return v.why()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := f.compared.auditor.Request(audit.NewTicket(a)).Wait(ctx)
	if why := v.why(); why != nil {
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
	each := func(p *pool, rows []Row) {
		for _, r := range rows {
			k := r.e.key
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
		e := &m.t.event
		if m.how.forget || m.t.v.current.Load() == nil {
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
			a.drift = Drift{
				Missing:   covered.unreported(p, e.Created),
				Extra:     covered.unreported(p, e.Deleted),
				Different: covered.unreported(p, e.Updated),
			}
		}
	}
}

// unreported returns the keys of rows that nobody has reported.
func (w *work) unreported(p *pool, rows []Row) (keys []driver.Key) {
	for _, r := range rows {
		if !w.covers(p, r.e.key) {
			keys = append(keys, r.e.key)
		}
	}
	return keys
}
