package core

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/internal/marks"
	"github.com/binderyhq/bindery/core/status"
)

// markState is what a registry knows of the marks that it has made and is asked about.
type markState struct {
	node   marks.Node
	number atomic.Uint64 // of the last mark made

	waiting atomic.Int64 // calls of Reach that wait
	asked, foreign, unreached, refused,
	omitted atomic.Uint64 // see status.Marks
	told sync.Once // a part was omitted
}

// markPartWait bounds how long one source is asked for its part of a mark: the
// answer to a write waits for it.
const markPartWait = 500 * time.Millisecond

// newMarks returns the marks of a node that no other has the name of.
func newMarks() *markState {
	m := &markState{}
	_, _ = rand.Read(m.node[:]) // never fails
	return m
}

// Mark returns a mark: opaque text that names a point in the history of commits,
// of at most 256 characters (letters, digits, - and _). It covers everything that
// was committed before the call, by whatever process, as far as the registry's
// sources can tell when they are asked. So a program calls it after its commit, and
// hands it to whoever is to see that commit:
//
//	mark, err := reg.Mark(r.Context())
//	w.Header().Set("Bindery-Mark", mark)
//
// [Registry.Reach] waits until bindings show all that. Other nodes on the same
// database understand a mark where a source of this one is a [driver.Marker]; to
// others it is foreign. Without one it holds until the process ends.
//
// Mark asks such sources for the point, which takes half a second at most. The error
// is [ErrNotStarted], [live.ErrClosed] or the context's.
func (r *Registry) Mark(ctx context.Context) (string, error) {
	r.mu.Lock()
	p := r.phase
	r.mu.Unlock()
	if err := p.running(); err != nil {
		return "", err
	}
	// The number first: of two marks the later one's number covers what the
	// earlier one promises, whatever the sources take.
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

// omitted notes that a mark says less than it might: other nodes will not
// understand it.
func (r *Registry) omitted(err error) {
	r.marks.omitted.Add(1)
	r.marks.told.Do(func() {
		r.Logger().Warn("core: a mark lacks the part of a source, so that other nodes do not understand it; this is not logged again", slog.String("id", "core-mark-partial"),
			slog.Any("error", err))
	})
}

// MarkStatus returns what is known about the registry's marks.
func (r *Registry) MarkStatus() status.Marks {
	m := r.marks
	return status.Marks{
		Made: m.number.Load(), Omitted: m.omitted.Load(), Asked: m.asked.Load(),
		Waiting: int(m.waiting.Load()), Foreign: m.foreign.Load(), Unreached: m.unreached.Load(), Refused: m.refused.Load(),
	}
}
