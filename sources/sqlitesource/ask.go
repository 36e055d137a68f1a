package sqlitesource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

var _ driver.Looker = (*Source)(nil)

// Look implements [driver.Looker]: it looks whether others have committed. With
// [Config].Interval below 0 the source watches for nobody else, and has nothing to
// look at.
func (s *Source) Look(ctx context.Context) error {
	if s.cfg.Interval < 0 {
		return fmt.Errorf("sqlitesource: looking for what others commit: %w", errors.ErrUnsupported)
	}
	if err := s.looks.Look(ctx); err != nil {
		return fmt.Errorf("sqlitesource: %w", err)
	}
	return nil
}

// askTries is how often a look for somebody who asks is repeated, askPause later,
// because it saw nothing or commits under way may hide others.
const (
	askTries = 10
	askPause = time.Millisecond
)

// answer looks because somebody has asked. What it cannot tell for certain it has
// compared.
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
	case ctx.Err() != nil, w.blind: // in the latter case those who wait ask again
		return
	case w.busy || !w.suspect.IsZero():
		w.report()
	}
	w.asking.Done(n)
}
