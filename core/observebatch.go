package core

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// BatchObserver is implemented by plugins that trace or measure how tables are
// read.
type BatchObserver interface {
	// BatchBegan is called before a feed reads a batch. The context that it
	// returns reaches the loader's reads, so that they can be traced as parts of
	// the batch; it must be derived from the one given. nil stands for that.
	// It is called on a goroutine of the table's feed, and must not block.
	BatchBegan(ctx context.Context, b Batch) context.Context

	// BatchEnded is called after the batch was published, or has failed, with the
	// context that BatchBegan returned. Observers are called in reverse order.
	BatchEnded(ctx context.Context, r BatchResult)
}

// Batch is what a feed is about to read.
type Batch struct {
	Table driver.Table
	// Keys is the number of keys that were reported; Whole says that the whole
	// table was. Reloads is the number of bindings that are read in full by
	// themselves: to load them, or because somebody asked.
	Keys    int
	Whole   bool
	Reloads int
	// Retry says that bindings in trouble are read again, beside the batches.
	Retry bool
	// Reported is when the first of the reports came in; the zero time where
	// nothing was reported.
	Reported time.Time
}

// BatchResult is what came of a batch.
type BatchResult struct {
	Batch
	// Err is why nobody could be read, nil when the batch was published. Aside is
	// the number of bindings that were set aside, see [status.Binding].
	Err   error
	Aside int
	// Published is the number of bindings that got a new version; Created, Updated
	// and Deleted count the rows in their events.
	Published                 int
	Created, Updated, Deleted int
	// Read is how long the statements took, without waits for commits or for
	// sources. It is 0 when there was nothing to read.
	Read time.Duration
	// Delay is the time from Reported until the batch was published. It is 0
	// where nothing was reported.
	Delay time.Duration
}

// observed is a batch that observers have been told of.
type observed struct {
	eng   *engine
	batch Batch
	ctxs  []context.Context // what each observer has returned
}

// beginBatch tells the observers of a batch, and returns the context in which it
// is read.
func (e *engine) beginBatch(ctx context.Context, b Batch) (context.Context, *observed) {
	o := &observed{eng: e, batch: b}
	for _, observer := range e.batchObservers {
		e.guardObserver("a batch that begins", observer.name, func() {
			if derived := observer.BatchBegan(ctx, b); derived != nil {
				ctx = derived
			}
		})
		o.ctxs = append(o.ctxs, ctx)
	}
	return ctx, o
}

// end tells the observers what came of the batch.
func (o *observed) end(out outcome, aside int, err error) {
	if len(o.ctxs) == 0 {
		return
	}
	r := BatchResult{Batch: o.batch, Err: err, Aside: aside, Read: out.took}
	for _, m := range out.moves {
		e := m.t.Edit.Event()
		if e.Len() > 0 || m.t.Anew {
			r.Published++
		}
		r.Created += len(e.Created)
		r.Updated += len(e.Updated)
		r.Deleted += len(e.Deleted)
	}
	if err == nil && !o.batch.Reported.IsZero() {
		r.Delay = time.Since(o.batch.Reported)
	}
	for i := len(o.ctxs) - 1; i >= 0; i-- {
		observer := o.eng.batchObservers[i]
		o.eng.guardObserver("a batch that has ended", observer.name, func() { observer.BatchEnded(o.ctxs[i], r) })
	}
}

type namedBatchObserver struct {
	name string
	BatchObserver
}

// guardObserver logs a panic of a plugin.
func (e *engine) guardObserver(what, plugin string, call func()) {
	defer func() {
		if r := recover(); r != nil {
			e.log.Error("core: plugin panicked while observing "+what,
				slog.String("plugin", plugin), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
		}
	}()
	call()
}
