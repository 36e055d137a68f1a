package pollsource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// Look implements [driver.Looker]: it runs the check at once. Concurrent callers share
// an answer. After each look the source rests three times as long as it took, so that
// looks take a quarter of the time at most.
//
// A source without a check only reads everything at its interval; Look does not make it
// poll sooner.
func (s *Source) Look(ctx context.Context) error {
	if s.check == (always{}) {
		return fmt.Errorf("pollsource: looking without a check: %w", errors.ErrUnsupported)
	}
	if err := s.looks.Look(ctx); err != nil {
		return fmt.Errorf("pollsource: %w", err)
	}
	return nil
}

// settleTries is how often a look on request is repeated, a millisecond later, if
// running commits may hide others.
const settleTries = 10

// answer looks at everything on request, and reports what it finds.
func (r *run) answer(ctx context.Context) (changed <-chan struct{}) {
	begun, n := time.Now(), r.asking.Begin()
	changed = r.regroup()
	r.look(ctx, r.groups, false)
	for try := 0; r.unsettled && try < settleTries; try++ {
		timer := time.NewTimer(time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return changed
		}
		r.look(ctx, r.groups, false)
	}
	r.rested = time.Now().Add(restShare * time.Since(begun))
	if ctx.Err() != nil {
		return changed
	}
	if r.unsettled {
		r.compareAll()
	}
	r.tell(ctx)
	if r.watching { // else there is no answer, and waiting callers ask again
		r.asking.Done(n)
	}
	return changed
}

// compareAll has all tables compared, because constant commits leave the looks
// unsettled.
func (r *run) compareAll() {
	var changes []driver.Change
	for _, g := range r.groups {
		for _, t := range g.tables {
			changes = append(changes, driver.Change{Table: t.Table, Compare: true, Log: g.log})
		}
	}
	if len(changes) > 0 {
		r.sink.Report(changes...)
	}
}
