package core

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/arguments"
	"github.com/binderyhq/bindery/core/internal/marks"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// markState holds a registry's counters of marks.
type markState struct {
	node   marks.Node
	number atomic.Uint64 // the number of the last mark made

	waiting atomic.Int64 // waiting calls of Reach
	asked, foreign, unreached, refused,
	omitted atomic.Uint64 // see status.Marks
	told sync.Once // logs the first omitted part
}

// markPartWait bounds the time for all sources to return their parts of a mark, since the
// answer to a write waits for it.
const markPartWait = 500 * time.Millisecond

// newMarks returns the state of a node with a random name.
func newMarks() *markState {
	m := &markState{}
	_, _ = rand.Read(m.node[:]) // never fails
	return m
}

// Mark returns a mark: opaque text of at most 256 characters (letters, digits, - and _)
// that names a point in the history of commits. It covers everything committed before the
// call, by any process, as far as the registry's sources can tell when asked. Call it after
// a commit, and give it to whoever should see that commit:
//
//	mark, err := reg.Mark(r.Context())
//	w.Header().Set("Bindery-Mark", mark)
//
// [Registry.Reach] waits until bindings show all that. Other nodes on the same database
// understand a mark if a source of this node is a [driver.Marker]; otherwise it is foreign
// to them. Without such a source a mark is valid until this process ends.
//
// Mark asks those sources, for half a second at most. The error is [ErrNotStarted],
// [live.ErrClosed] or the context's.
func (r *Registry) Mark(ctx context.Context) (string, error) {
	r.mu.Lock()
	p := r.phase
	r.mu.Unlock()
	if err := p.running(); err != nil {
		return "", err
	}
	// Take the number first: a later mark then covers everything that an earlier one
	// covers, however long the sources take.
	m := marks.Mark{Node: r.marks.node, Number: r.marks.number.Add(1)}
	m.Parts = r.markParts(ctx)
	if err := ctx.Err(); err != nil {
		return "", err
	}
	text, omitted := m.Text()
	if omitted > 0 {
		r.omitted(nil)
	}
	return text, nil
}

// markParts asks the sources for their parts.
func (r *Registry) markParts(ctx context.Context) []marks.Part {
	ctx, cancel := context.WithTimeout(ctx, markPartWait)
	defer cancel()
	return r.eng.MarkParts(ctx, r.omitted)
}

// omitted records that a mark lacks a part, so that other nodes may not understand it.
func (r *Registry) omitted(err error) {
	r.marks.omitted.Add(1)
	r.marks.told.Do(func() {
		r.Logger().Warn("core: a mark lacks the part of a source, so that other nodes do not understand it; this is not logged again", slog.String("id", "core-mark-partial"),
			slog.Any("error", err))
	})
}

// MarkStatus returns the status of the registry's marks.
func (r *Registry) MarkStatus() status.Marks {
	m := r.marks
	return status.Marks{
		Made: m.number.Load(), Omitted: m.omitted.Load(), Asked: m.asked.Load(),
		Waiting: int(m.waiting.Load()), Foreign: m.foreign.Load(), Unreached: m.unreached.Load(), Refused: m.refused.Load(),
	}
}

// Reach waits until each of these bindings, or every binding when the list is empty, shows
// everything that the mark covers. Usually it returns at once, or as soon as the sources
// have answered a query. A binding that is rerun at an interval ([Tuning].MinInterval)
// reaches a mark when it publishes a run that began after everything was reported. A
// binding in trouble reaches it when it is current again.
//
// The context bounds the wait; its error means that the mark was not reached in time. The
// other errors are [ErrMalformedMark], [ErrForeignMark], [ErrTooManyWait],
// [ErrUnknownBinding], [ErrNotStarted], [live.ErrRemoved] and [live.ErrClosed].
func (r *Registry) Reach(ctx context.Context, mark string, views ...*live.View) error {
	r.mu.Lock()
	p := r.phase
	r.mu.Unlock()
	if err := p.running(); err != nil {
		return err
	}
	bindings, err := r.chosen(views)
	if err != nil {
		return err
	}
	for _, v := range bindings {
		err := r.reach(ctx, v, mark)
		if len(views) == 0 && errors.Is(v.Err(), live.ErrRemoved) {
			continue // it was removed meanwhile, and the caller did not name it
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// HasReached reports whether the binding is known to show everything that the mark covers.
// It asks no source and does not wait; after false, call [Grant.Reach]. The error is
// [ErrMalformedMark].
func (g *Grant) HasReached(text string) (bool, error) {
	reached := &g.view.reached
	if reached.HasLast(text) {
		return true, nil
	}
	m, err := parseMark(text)
	if err != nil {
		return false, err
	}
	return reached.Has(g.reg.marks.node, m, text), nil
}

// Lineage names the run of versions that the binding shows, with letters, digits, "-", "_"
// and dots. While it stays the same, what is shown later is newer. Another text means that
// the rows may be older than those before it: the registry is another one, or the binding
// follows another node than before.
func (g *Grant) Lineage() string {
	node := base64.RawURLEncoding.EncodeToString(g.reg.marks.node[:])
	return node + "." + strconv.FormatUint(g.view.reached.Run(), 10)
}

// Reach waits until the binding shows everything that the mark covers, as [Registry.Reach]
// does. Call it before Close; a call under way goes on after Close.
func (g *Grant) Reach(ctx context.Context, mark string) error {
	return g.reg.reach(ctx, g.view, mark)
}

func parseMark(text string) (marks.Mark, error) {
	m, err := marks.Parse(text)
	if err != nil {
		return m, fmt.Errorf("core: mark %q: %w", arguments.Clip(text), ErrMalformedMark)
	}
	return m, nil
}

// maxReaching bounds the waiting calls of Reach, since each holds a goroutine.
const maxReaching = 10_000

// reach waits until the binding has reached the mark.
func (r *Registry) reach(ctx context.Context, v *binding, text string) error {
	m, err := parseMark(text)
	if err != nil {
		return err
	}
	run := v.reached.Run()
	if v.reached.Has(r.marks.node, m, text) {
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
		v.reached.Add(run, r.marks.node, m, text)
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

func (r *Registry) reachIn(ctx context.Context, v *binding, m marks.Mark, text string) error {
	own := m.Node == r.marks.node
	if own && m.Number > r.marks.number.Load() {
		return driver.ErrForeign // this node has not made it
	}
	return v.rows.Reach(ctx, m, text, own)
}
