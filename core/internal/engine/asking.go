package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/marks"
	"github.com/binderyhq/bindery/core/internal/untyped"
)

// Ask has the sources that cover what the table's feed hears of report all that the
// mark covers. It returns [driver.ErrForeign] when they cannot tell.
//
// A mark of this node asks those that can look: what was committed before the mark
// was committed before now, too. A mark of another one takes, for each table, a
// source that understands its part of it. Those beside it that can look do so as
// well, since they may see what the other node's sources did not.
func (e *Engine) Ask(ctx context.Context, table driver.Table, m marks.Mark, own bool) error {
	hears := e.routes.Load().hears(table)
	var asked []*Source
	for _, s := range e.Sources() {
		if s.coversAny(hears) {
			asked = append(asked, s)
		}
	}
	// Whoever is foreign for certain is told without a wait.
	if !own && !spans(hears, asked, func(i int) bool { return asked[i].mayUnderstand(m) }) {
		return driver.ErrForeign
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	understood := make([]bool, len(asked))
	together(len(asked), func(i int) {
		ok, err := asked[i].reportAll(ctx, m)
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
func spans(tables []driver.Table, sources []*Source, ok func(i int) bool) bool {
	for _, t := range tables {
		covered := false
		for i, s := range sources {
			covered = covered || ok(i) && s.Covers(t)
		}
		if !covered {
			return false
		}
	}
	return true
}

// itself returns the source that watches: the one that was chosen, where the source
// leaves the work to others. It may be nil.
func (s *Source) itself() driver.Source {
	if s.chooses != nil {
		return s.chooses.Chosen()
	}
	return s.source
}

// mayUnderstand reports whether the mark has a part that the source could understand.
// One that has not chosen yet who watches may.
func (s *Source) mayUnderstand(m marks.Mark) bool {
	it := s.itself()
	marker, ok := it.(driver.Marker)
	return it == nil && len(m.Parts) > 0 || ok && len(m.Of(marker.MarkKind())) > 0
}

// Between two questions to a source that could not answer.
const (
	firstAskAgain = 5 * time.Millisecond
	lastAskAgain  = 200 * time.Millisecond
)

// reportAll has the source report all that the mark covers, and asks it again as long
// as it could not. It reports whether the source understood its part of the mark.
func (s *Source) reportAll(ctx context.Context, m marks.Mark) (understood bool, err error) {
	for wait := firstAskAgain; ; wait = min(2*wait, lastAskAgain) {
		understood, err := untyped.Guard("asking", func() (bool, error) { return s.reportOnce(ctx, m) })
		if err == nil {
			return understood, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false, fmt.Errorf("asking source %q: %w: %w", s.Name(), ctx.Err(), err)
		}
	}
}

// reportOnce is one attempt of reportAll.
func (s *Source) reportOnce(ctx context.Context, m marks.Mark) (understood bool, err error) {
	it := s.itself()
	if it == nil {
		if err := s.awaitSight(ctx); err != nil {
			return false, err
		}
		if it = s.itself(); it == nil {
			return false, errNobodyChosen
		}
	}
	marker, isMarker := it.(driver.Marker)
	if isMarker {
		for _, part := range m.Of(marker.MarkKind()) {
			if err := marker.Reach(ctx, part); !errors.Is(err, driver.ErrForeign) {
				return err == nil, err
			}
		}
	}
	looker, isLooker := it.(driver.Looker)
	switch {
	case isLooker:
		err := looker.Look(ctx)
		if !errors.Is(err, errors.ErrUnsupported) {
			return false, err
		}
	case isMarker: // it has nothing to say about this mark
		return false, nil
	}
	return false, s.awaitSight(ctx)
}

var errNobodyChosen = errors.New("nobody watches in its place")

// awaitSight waits until the source sees changes: one that cannot be asked
// reports by itself, and has what it missed read again.
func (s *Source) awaitSight(ctx context.Context) error {
	for {
		s.mu.Lock()
		sees, turned, why := s.sees, s.turned, s.err
		s.mu.Unlock()
		if sees {
			return nil
		}
		select {
		case <-turned:
		case <-ctx.Done():
			return fmt.Errorf("source %q does not see changes: %w: %w", s.Name(), ctx.Err(), why)
		}
	}
}

// MarkParts asks the sources for their parts of a mark. What one of them cannot
// answer is handed to failed, which may be called concurrently.
func (e *Engine) MarkParts(ctx context.Context, failed func(error)) (parts []marks.Part) {
	var markers []driver.Marker
	for _, s := range e.Sources() {
		if m, ok := s.itself().(driver.Marker); ok {
			markers = append(markers, m)
		}
	}
	found := make([][]byte, len(markers))
	together(len(markers), func(i int) {
		var err error
		found[i], err = untyped.Guard("Mark", func() ([]byte, error) { return markers[i].Mark(ctx) })
		if err != nil {
			failed(err)
		}
	})
	for i, data := range found {
		if data != nil {
			parts = append(parts, marks.Part{Kind: markers[i].MarkKind(), Data: data})
		}
	}
	return parts
}

// together calls fn for each number below n, each on a goroutine of its own but
// for the first, and returns when all have returned.
func together(n int, fn func(i int)) {
	var all sync.WaitGroup
	for i := 1; i < n; i++ {
		all.Go(func() { fn(i) })
	}
	if n > 0 {
		fn(0)
	}
	all.Wait()
}
