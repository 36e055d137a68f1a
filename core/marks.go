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
	"github.com/binderyhq/bindery/core/internal/engine"
	"github.com/binderyhq/bindery/core/internal/marks"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/status"
)

// marking makes a registry's marks, and waits until bindings have reached marks.
type marking struct {
	eng      *engine.Engine
	stopping context.Context // done when Shutdown begins
	log      *slog.Logger
	node     marks.Node

	number  atomic.Uint64 // of the last mark made
	waiting atomic.Int64  // calls of reach that wait
	asked, foreign, unreached, refused,
	omitted atomic.Uint64 // see status.Marks
	told sync.Once // logs the first omitted part
}

// partsWait bounds the time for all sources to return their parts of a mark, since the
// answer to a write waits for it.
const partsWait = 500 * time.Millisecond

// maxReaching bounds the calls of reach that wait, since each holds a goroutine.
const maxReaching = 10_000

// newMarking returns the marking of a node with a random name.
func newMarking(eng *engine.Engine, stopping context.Context, log *slog.Logger) *marking {
	m := &marking{eng: eng, stopping: stopping, log: log}
	_, _ = rand.Read(m.node[:]) // never fails
	return m
}

// mark returns a new mark. The error is the context's.
func (m *marking) mark(ctx context.Context) (string, error) {
	// Take the number first: a later mark then covers everything that an earlier one
	// covers, however long the sources take.
	made := marks.Mark{Node: m.node, Number: m.number.Add(1)}
	made.Parts = m.parts(ctx)
	if err := ctx.Err(); err != nil {
		return "", err
	}
	text, omitted := made.Text()
	if omitted > 0 {
		m.omit(nil)
	}
	return text, nil
}

// parts asks the sources for their parts.
func (m *marking) parts(ctx context.Context) []marks.Part {
	ctx, cancel := context.WithTimeout(ctx, partsWait)
	defer cancel()
	return m.eng.MarkParts(ctx, m.omit)
}

// omit records that a mark lacks a part, so that other nodes may not understand it.
func (m *marking) omit(err error) {
	m.omitted.Add(1)
	m.told.Do(func() {
		m.log.Warn("core: a mark lacks the part of a source, so that other nodes do not understand it; this is not logged again", slog.String("id", "core-mark-partial"),
			slog.Any("error", err))
	})
}

func (m *marking) status() status.Marks {
	return status.Marks{
		Made: m.number.Load(), Omitted: m.omitted.Load(), Asked: m.asked.Load(),
		Waiting: int(m.waiting.Load()), Foreign: m.foreign.Load(), Unreached: m.unreached.Load(), Refused: m.refused.Load(),
	}
}

func parseMark(text string) (marks.Mark, error) {
	m, err := marks.Parse(text)
	if err != nil {
		return m, fmt.Errorf("core: mark %q: %w", arguments.Clip(text), ErrMalformedMark)
	}
	return m, nil
}

// has reports whether the binding is known to have reached the mark. The error is
// [ErrMalformedMark].
func (m *marking) has(v *binding, text string) (bool, error) {
	if v.reached.HasLast(text) {
		return true, nil
	}
	of, err := parseMark(text)
	if err != nil {
		return false, err
	}
	return v.reached.Has(m.node, of, text), nil
}

// lineage names the binding's run of versions, see [Grant.Lineage].
func (m *marking) lineage(v *binding) string {
	return base64.RawURLEncoding.EncodeToString(m.node[:]) + "." + strconv.FormatUint(v.reached.Run(), 10)
}

// reach waits until the binding has reached the mark.
func (m *marking) reach(ctx context.Context, v *binding, text string) error {
	of, err := parseMark(text)
	if err != nil {
		return err
	}
	run := v.reached.Run()
	if v.reached.Has(m.node, of, text) {
		return nil
	}
	m.asked.Add(1)
	defer m.waiting.Add(-1)
	if m.waiting.Add(1) > maxReaching {
		m.refused.Add(1)
		return fmt.Errorf("core: binding %q: %w", v.Name(), ErrTooManyWait)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(m.stopping, func() { cancel(live.ErrClosed) })()
	err = m.await(ctx, v, of, text)
	switch {
	case err == nil:
		v.reached.Add(run, m.node, of, text)
		return nil
	case errors.Is(err, driver.ErrForeign):
		m.foreign.Add(1)
		return fmt.Errorf("core: binding %q: %w", v.Name(), ErrForeignMark)
	case errors.Is(context.Cause(ctx), live.ErrClosed):
		return live.ErrClosed
	}
	m.unreached.Add(1)
	return fmt.Errorf("core: waiting for a mark in binding %q: %w", v.Name(), err)
}

// await asks the binding's upkeep to wait for the mark.
func (m *marking) await(ctx context.Context, v *binding, of marks.Mark, text string) error {
	own := of.Node == m.node
	if own && of.Number > m.number.Load() {
		return driver.ErrForeign // this node has not made it
	}
	return v.rows.Reach(ctx, of, text, own)
}
