package sqlitesource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

var _ driver.Looker = (*Source)(nil)

// Look implements [driver.Looker]: it checks whether others have committed. With
// [Config].Interval below 0 the source does not watch for others, and Look does nothing.
func (s *Source) Look(ctx context.Context) error {
	if s.cfg.Interval < 0 {
		return fmt.Errorf("sqlitesource: looking for what others commit: %w", errors.ErrUnsupported)
	}
	if err := s.looks.Look(ctx); err != nil {
		return fmt.Errorf("sqlitesource: %w", err)
	}
	return nil
}

// askTries is how often a look on request is repeated, askPause later, if it failed or
// running commits may hide others.
const (
	askTries = 10
	askPause = time.Millisecond
)

// answer looks on request. If a look stays uncertain, it has all tables compared.
func (w *foreignWatch) answer(ctx context.Context) {
	n := w.asking.Begin()
	w.look(ctx)
	for try := 0; (w.busy || w.blind) && try < askTries; try++ {
		timer := time.NewTimer(askPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		w.look(ctx)
	}
	switch {
	case ctx.Err() != nil, w.blind: // if blind, waiting callers ask again
		return
	case w.busy || !w.suspect.IsZero():
		w.report()
	}
	w.asking.Done(n)
}
