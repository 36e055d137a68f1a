package core

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/audit"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
)

// engineHost is what the engine needs of the registry that owns it. Every field is
// set.
type engineHost struct {
	feedLimits
	Logger *slog.Logger
	Now    func() time.Time // of versions and states
	// Published and BatchBegins are those of every feed, see feedHost.
	Published   func(*live.View, *live.Event)
	BatchBegins func(context.Context, feedBatch) (_ context.Context, ended func(feedResult))
	// Reported is called after a source's report was taken over.
	Reported func(driver.Source, []driver.Change)
}

// engine runs one feed per table, and the sources that report to them. It knows
// which feeds a change concerns.
type engine struct {
	host engineHost

	ctx    context.Context // of all background work
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup // feeds and background work

	routes  atomic.Pointer[routes]       // never nil
	sources atomic.Pointer[[]*sourceRun] // nil before sources are watched

	mu       sync.Mutex // guards what follows
	feeds    []*feedRun // as they came
	limiters map[string]*audit.Limiter
	changed  chan struct{} // closed when other tables are heard of, then replaced
	stopped  bool          // no feed starts any more
}

// feedRun is a feed and its goroutine.
type feedRun struct {
	*feed
	cancel context.CancelCauseFunc // nil: it does not run yet
	done   chan struct{}
}

func newEngine(host engineHost) *engine {
	e := &engine{host: host, limiters: make(map[string]*audit.Limiter), changed: make(chan struct{})}
	e.routes.Store(newRoutes(nil))
	e.ctx, e.cancel = context.WithCancelCause(context.Background())
	return e
}

// attach makes the feeds of the declarations' tables exist, and gives them the
// bindings that are no families. It returns the feed of each. The caller has the
// bindings loaded, and calls start.
func (e *engine) attach(declared []*rowset.Member) []*feed {
	e.mu.Lock()
	defer e.mu.Unlock()
	feeds := make([]*feed, len(declared))
	for i, v := range declared {
		table := v.Schema().Table
		run := e.findLocked(table)
		if run == nil {
			run = &feedRun{feed: newFeed(table, e.hostLocked(table)), done: make(chan struct{})}
			e.feeds = append(e.feeds, run)
		}
		run.declare(v)
		if !v.Spec.Family {
			run.addView(v)
		}
		feeds[i] = run.feed
	}
	e.routeLocked()
	return feeds
}

func (e *engine) findLocked(table driver.Table) *feedRun {
	i := slices.IndexFunc(e.feeds, func(r *feedRun) bool { return r.table == table })
	if i < 0 {
		return nil
	}
	return e.feeds[i]
}

// hostLocked returns what a feed of the table needs.
func (e *engine) hostLocked(table driver.Table) feedHost {
	limiter := e.limiters[table.Database]
	if limiter == nil {
		limiter = newLimiter()
		e.limiters[table.Database] = limiter
	}
	return feedHost{
		feedLimits: e.host.feedLimits, Logger: e.host.Logger, Now: e.host.Now, Limiter: limiter,
		Following:   func() []driver.Follower { return e.following(table) },
		Watched:     func() (bool, time.Time, error) { return e.watched(table) },
		Published:   e.host.Published,
		BatchBegins: e.host.BatchBegins,
	}
}

// routeLocked takes up what is declared now. Sources are told when that changes which
// tables they are asked about.
func (e *engine) routeLocked() {
	before, now := e.routes.Load(), newRoutes(e.feeds)
	e.routes.Store(now)
	for _, run := range e.feeds {
		run.setMode(now.feeds[run.table].mode)
	}
	if !now.asksLike(before) {
		close(e.changed)
		e.changed = make(chan struct{})
	}
}

// start starts the feeds that do not run yet.
func (e *engine) start() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, run := range e.feeds {
		if run.cancel != nil {
			continue
		}
		if e.stopped { // Shutdown has come between
			run.feed.close(live.ErrClosed)
			continue
		}
		ctx, cancel := context.WithCancelCause(e.ctx)
		run.cancel = cancel
		e.wg.Go(func() {
			defer close(run.done)
			run.run(ctx)
		})
	}
}

// ending is background work that was told to end.
type ending struct {
	table driver.Table // of a feed; the zero Table for all other work
	done  <-chan struct{}
}

// stop ends all background work and returns what has to be waited for.
func (e *engine) stop() []ending {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	e.cancel(live.ErrClosed)
	ends := make([]ending, 0, len(e.feeds)+1)
	for _, run := range e.feeds {
		if run.cancel == nil { // it never ran; nobody waits for it in vain
			run.feed.close(live.ErrClosed)
			continue
		}
		ends = append(ends, ending{run.table, run.done})
	}
	// Feeds whose last binding was removed are not on the list any more.
	all := make(chan struct{})
	go func() {
		e.wg.Wait()
		close(all)
	}()
	return append(ends, ending{done: all})
}

// background runs a function until the engine stops. It returns false when that has
// come before.
func (e *engine) background(fn func(context.Context)) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return false
	}
	e.wg.Go(func() { fn(e.ctx) })
	return true
}

// detach takes a declaration from its feed, and ends a feed without any. Its
// members have gone before.
func (e *engine) detach(ctx context.Context, v *rowset.Member) error {
	e.mu.Lock()
	run := e.findLocked(v.Schema().Table)
	if run == nil {
		e.mu.Unlock()
		return nil
	}
	run.removeView(v)
	idle := run.retract(v)
	if idle {
		e.feeds = slices.DeleteFunc(e.feeds, func(r *feedRun) bool { return r == run })
	}
	e.routeLocked()
	cancel := run.cancel
	e.mu.Unlock()
	if !idle || cancel == nil { // nil: it was removed before it was loaded
		return nil
	}
	cancel(live.ErrRemoved)
	select {
	case <-run.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// running returns the feeds, in the order in which they came.
func (e *engine) running() []*feed { return e.routes.Load().order }
