package core

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/marks"
	"github.com/binderyhq/bindery/core/internal/untyped"
)

// ask has the sources that cover what the table's feed hears of report all that the
// mark covers. It returns [driver.ErrForeign] when they cannot tell.
//
// A mark of this node asks those that can look: what was committed before the mark
// was committed before now, too. A mark of another one takes, for each table, a
// source that understands its part of it. Those beside it that can look do so as
// well, since they may see what the other node's sources did not.
func (e *engine) ask(ctx context.Context, table driver.Table, m marks.Mark, own bool) error {
	hears := e.routes.Load().hears(table)
	var asked []*sourceRun
	for _, s := range e.watchers() {
		if s.coversAny(hears) {
			asked = append(asked, s)
		}
	}
	// Whoever is foreign for certain is told without a wait.
	if !own && !spans(hears, asked, func(i int) bool { return asked[i].marks != nil && len(m.Of(asked[i].marks.MarkKind())) > 0 }) {
		return driver.ErrForeign
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	understood := make([]bool, len(asked))
	together(len(asked), func(i int) {
		ok, err := asked[i].reportAll(ctx, m, own)
		if understood[i] = ok; err != nil {
			cancel(err) // the others need not go on
		}
	})
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if !own && !spans(hears, asked, func(i int) bool { return understood[i] }) {
		return driver.ErrForeign
	}
	return nil
}

// spans reports whether each of the tables is covered by one of the sources for
// which ok is true.
func spans(tables []driver.Table, sources []*sourceRun, ok func(i int) bool) bool {
	for _, t := range tables {
		covered := false
		for i, s := range sources {
			covered = covered || ok(i) && s.covers(t)
		}
		if !covered {
			return false
		}
	}
	return true
}

// Between two questions to a source that could not answer.
const (
	firstAskAgain = 5 * time.Millisecond
	lastAskAgain  = 200 * time.Millisecond
)

// reportAll has the source report all that the mark covers. It reports whether the
// source understood its part of the mark.
func (s *sourceRun) reportAll(ctx context.Context, m marks.Mark, own bool) (understood bool, err error) {
	if s.marks != nil {
		for _, part := range m.Of(s.marks.MarkKind()) {
			err := s.askUntil(ctx, func() error { return s.marks.Reach(ctx, part) })
			if err == nil {
				return true, nil
			}
			if !errors.Is(err, driver.ErrForeign) {
				return false, err
			}
		}
	}
	switch {
	case s.looks != nil:
		return false, s.askUntil(ctx, func() error { return s.looks.Look(ctx) })
	case s.marks != nil: // it has nothing to say about this mark
		return false, nil
	default:
		return false, s.awaitWatching(ctx)
	}
}

// askUntil asks until the source answers, or can tell that it never will.
func (s *sourceRun) askUntil(ctx context.Context, question func() error) error {
	for wait := firstAskAgain; ; wait = min(2*wait, lastAskAgain) {
		_, err := untyped.Guard("asking", func() (struct{}, error) { return struct{}{}, question() })
		if err == nil || errors.Is(err, driver.ErrForeign) {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("asking source %q: %w: %w", s.source.Name(), ctx.Err(), err)
		}
	}
}

// awaitWatching waits until the source sees changes: one that cannot be asked
// reports by itself, and has what it missed read again.
func (s *sourceRun) awaitWatching(ctx context.Context) error {
	for {
		turned := s.turned.next()
		s.mu.Lock()
		sees, why := s.sees, s.err
		s.mu.Unlock()
		if sees {
			return nil
		}
		select {
		case <-turned:
		case <-ctx.Done():
			return fmt.Errorf("source %q does not see changes: %w: %w", s.source.Name(), ctx.Err(), why)
		}
	}
}
