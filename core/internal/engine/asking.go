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

// Ask has the sources of all tables that concern the feed of table report everything that
// the mark covers, and waits for that. It returns [driver.ErrForeign] if they cannot tell.
//
// own says that this node made the mark. Then it is enough that sources look at the
// database now, since the mark was made before. For another node's mark, each table needs a
// source that understands its part of the mark. Other sources look as well, because they
// may see more than the other node's.
func (e *Engine) Ask(ctx context.Context, table driver.Table, m marks.Mark, own bool) error {
	hears := e.routes.Load().hears(table)
	var asked []*Source
	for _, s := range e.Sources() {
		if s.coversAny(hears) {
			asked = append(asked, s)
		}
	}
	// Do not wait if the mark is certainly foreign.
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

// itself returns the source that watches. For a [driver.Chooser] that is the chosen one, or
// nil if none is chosen yet.
func (s *Source) itself() driver.Source {
	if s.chooses != nil {
		return s.chooses.Chosen()
	}
	return s.source
}

// mayUnderstand reports whether the mark has a part that the source could understand. It is
// true for any part if the source has not chosen yet.
func (s *Source) mayUnderstand(m marks.Mark) bool {
	it := s.itself()
	marker, ok := it.(driver.Marker)
	return it == nil && len(m.Parts) > 0 || ok && len(m.Of(marker.MarkKind())) > 0
}

// The waits before a source that could not answer is asked again: the first, and the longest.
const (
	firstAskAgain = 5 * time.Millisecond
	lastAskAgain  = 200 * time.Millisecond
)

// reportAll has the source report everything that the mark covers, and retries until it
// succeeds or ctx is done. It reports whether the source understood its part of the mark.
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
	case isMarker: // the mark has no part that it understands
		return false, nil
	}
	return false, s.awaitSight(ctx)
}

var errNobodyChosen = errors.New("nobody watches in its place")

// awaitSight waits until the source watches, and what it has missed is reported. That
// suffices for a source that cannot be asked.
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

// MarkParts asks the sources for their parts of a mark. It calls failed with the errors of
// sources, perhaps concurrently.
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

// together calls fn concurrently for each number below n, and returns when all calls have.
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
