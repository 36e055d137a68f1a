package core

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/marks"
	"github.com/binderyhq/bindery/core/live"
)

// Reach waits until each of these bindings, or every binding when the list is empty,
// shows everything that the mark covers. As a rule that is at once, or as soon as
// the sources have answered a question. A binding that is run again at an interval
// ([Tuning].MinInterval) has reached a mark when a run has been published that began
// after everything was reported; one in trouble when it is current again.
//
// The context bounds the wait, and its error says that the mark was not reached. The
// other errors are [ErrMalformedMark], [ErrForeignMark], [ErrTooManyWait],
// [ErrUnknownBinding], [ErrNotStarted], [live.ErrRemoved] and [live.ErrClosed].
func (r *Registry) Reach(ctx context.Context, mark string, views ...*live.View) error {
	r.mu.Lock()
	p := r.phase
	r.mu.Unlock()
	if err := p.running(); err != nil {
		return err
	}
	bindings, err := r.publishers(views)
	if err != nil {
		return err
	}
	for _, v := range bindings {
		err := r.reach(ctx, v, mark)
		if len(views) == 0 && errors.Is(v.Err(), live.ErrRemoved) {
			continue // it has gone meanwhile, and nobody has named it
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// HasReached reports whether the binding is known to show everything that the mark
// covers. It asks nobody and does not wait; after false, [Grant.Reach] finds out. The
// error is [ErrMalformedMark].
func (g *Grant) HasReached(text string) (bool, error) {
	reached := &g.view.reached
	if last := reached.last.Load(); last != nil && *last == text {
		return true, nil
	}
	m, err := parseMark(text)
	if err != nil {
		return false, err
	}
	return reached.has(g.reg.marks.node, m, text), nil
}

// Reach waits until the binding shows everything that the mark covers, as
// [Registry.Reach] does. It may be called until Close, and goes on after it.
func (g *Grant) Reach(ctx context.Context, mark string) error {
	return g.reg.reach(ctx, g.view, mark)
}

func parseMark(text string) (marks.Mark, error) {
	m, err := marks.Parse(text)
	if err != nil {
		return m, fmt.Errorf("core: mark %q: %w", clipName(text), ErrMalformedMark)
	}
	return m, nil
}

// reachedMarks are marks that a binding is known to have reached. What was reached
// once is reached for good, also when the binding comes into trouble later.
type reachedMarks struct {
	last atomic.Pointer[string] // the text of one of them: many clients may ask for the same

	own atomic.Uint64 // the highest number of the node's own

	mu     sync.Mutex          // guards what follows
	others map[string]struct{} // by their text
}

// maxReachedMarks bounds the other nodes' marks that are remembered of a binding.
// When they are more all are forgotten: to find out again costs a question.
const maxReachedMarks = 64

func (s *reachedMarks) add(node marks.Node, m marks.Mark, text string) {
	defer s.last.Store(&text)
	if m.Node == node {
		for {
			was := s.own.Load()
			if was >= m.Number || s.own.CompareAndSwap(was, m.Number) {
				return
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.others == nil || len(s.others) >= maxReachedMarks {
		s.others = make(map[string]struct{})
	}
	s.others[text] = struct{}{}
}

func (s *reachedMarks) has(node marks.Node, m marks.Mark, text string) bool {
	if m.Node == node {
		return m.Number <= s.own.Load()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.others[text]
	return ok
}

// maxReaching bounds the calls of Reach that wait: each has a goroutine.
const maxReaching = 10_000

// reach waits until the binding has reached the mark.
func (r *Registry) reach(ctx context.Context, v *publisher, text string) error {
	m, err := parseMark(text)
	if err != nil {
		return err
	}
	if v.reached.has(r.marks.node, m, text) {
		return nil
	}
	r.marks.asked.Add(1)
	defer r.marks.waiting.Add(-1)
	if r.marks.waiting.Add(1) > maxReaching {
		r.marks.refused.Add(1)
		return fmt.Errorf("core: binding %q: %w", v.Name(), ErrTooManyWait)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.stopping, func() { cancel(live.ErrClosed) })()
	err = r.reachIn(ctx, v, m, text)
	switch {
	case err == nil:
		v.reached.add(r.marks.node, m, text)
		return nil
	case errors.Is(err, driver.ErrForeign):
		r.marks.foreign.Add(1)
		return fmt.Errorf("core: binding %q: %w", v.Name(), ErrForeignMark)
	case errors.Is(context.Cause(ctx), live.ErrClosed):
		return live.ErrClosed
	}
	r.marks.unreached.Add(1)
	return fmt.Errorf("core: waiting for a mark in binding %q: %w", v.Name(), err)
}

func (r *Registry) reachIn(ctx context.Context, v *publisher, m marks.Mark, text string) error {
	if v.replica != nil {
		return v.replica.reach(ctx, text)
	}
	f := v.feed.Load()
	if f == nil {
		return ErrNotStarted
	}
	own := m.Node == r.marks.node
	if own && m.Number > r.marks.number.Load() {
		return driver.ErrForeign // nobody has made it
	}
	// First everything is reported, then read, then shown.
	if err := r.eng.Ask(ctx, f.Table, m, own); err != nil {
		return err
	}
	wait := f.Everything()
	if v.Unread() { // what was restored shows nothing of the database
		wait = append(wait, f.Reload(v.Member, backlog.Reload{})...)
	}
	if err := wait.Flush(ctx); err != nil {
		return err
	}
	return v.whenWell(ctx)
}
