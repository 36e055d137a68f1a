package engine

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/audit"
	"github.com/binderyhq/bindery/core/internal/feed"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
)

// Host is what the engine needs of the registry that owns it. Every field is
// set.
type Host struct {
	feed.Limits
	Logger *slog.Logger
	Now    func() time.Time // of versions and states
	// Published, BatchBegins and Kept are those of every feed, see [feed.Host].
	Published   func(*live.View, *live.Event)
	BatchBegins func(context.Context, feed.Batch) (_ context.Context, ended func(feed.Result))
	Kept        func(bytes int)
	// Reported is called after a source's report was taken over.
	Reported func(driver.Source, []driver.Change)
}

// Engine runs one feed per table, and the sources that report to them. It knows
// which feeds a change concerns.
type Engine struct {
	host Host

	ctx    context.Context // of all background work
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup // feeds and background work

	routes  atomic.Pointer[routes]    // never nil
	sources atomic.Pointer[[]*Source] // nil before sources are watched

	mu       sync.Mutex // guards what follows
	feeds    []*feedRun // as they came
	limiters map[string]*audit.Limiter
	changed  chan struct{} // closed when other tables are heard of, then replaced
	stopped  bool          // no feed starts any more
}

// feedRun is a feed and its goroutine.
type feedRun struct {
	*feed.Feed
	cancel context.CancelCauseFunc // nil: it does not run yet
	done   chan struct{}
}

func New(host Host) *Engine {
	e := &Engine{host: host, limiters: make(map[string]*audit.Limiter), changed: make(chan struct{})}
	e.routes.Store(newRoutes(nil))
	e.ctx, e.cancel = context.WithCancelCause(context.Background())
	return e
}

// Attach makes the feeds of the declarations' tables exist, and gives them the
// bindings that are no families. It returns the feed of each. The caller has the
// bindings loaded, and calls start.
func (e *Engine) Attach(declared []*rowset.Member) []*feed.Feed {
	e.mu.Lock()
	defer e.mu.Unlock()
	feeds := make([]*feed.Feed, len(declared))
	for i, v := range declared {
		table := v.Schema().Table
		run := e.findLocked(table)
		if run == nil {
			run = &feedRun{Feed: feed.New(table, e.hostLocked(table)), done: make(chan struct{})}
			e.feeds = append(e.feeds, run)
		}
		run.Declare(v)
		if !v.Spec.Family {
			run.Add(v)
		}
		feeds[i] = run.Feed
	}
	e.routeLocked()
	return feeds
}

func (e *Engine) findLocked(table driver.Table) *feedRun {
	i := slices.IndexFunc(e.feeds, func(r *feedRun) bool { return r.Table == table })
	if i < 0 {
		return nil
	}
	return e.feeds[i]
}

// hostLocked returns what a feed of the table needs.
func (e *Engine) hostLocked(table driver.Table) feed.Host {
	limiter := e.limiters[table.Database]
	if limiter == nil {
		limiter = feed.NewLimiter()
		e.limiters[table.Database] = limiter
	}
	return feed.Host{
		Limits: e.host.Limits, Logger: e.host.Logger, Now: e.host.Now, Limiter: limiter,
		Following:   func() []driver.Follower { return e.following(table) },
		Watched:     func() (bool, time.Time, error) { return e.watched(table) },
		Published:   e.host.Published,
		Kept:        e.host.Kept,
		BatchBegins: e.host.BatchBegins,
	}
}

// routeLocked takes up what is declared now. Sources are told when that changes which
// tables they are asked about.
func (e *Engine) routeLocked() {
	before, now := e.routes.Load(), newRoutes(e.feeds)
	e.routes.Store(now)
	for _, run := range e.feeds {
		run.SetMode(now.feeds[run.Table].mode)
	}
	if !now.asksLike(before) {
		close(e.changed)
		e.changed = make(chan struct{})
	}
}

// Start starts the feeds that do not run yet.
func (e *Engine) Start() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, run := range e.feeds {
		if run.cancel != nil {
			continue
		}
		if e.stopped { // Shutdown has come between
			run.Feed.Close(live.ErrClosed)
			continue
		}
		ctx, cancel := context.WithCancelCause(e.ctx)
		run.cancel = cancel
		e.wg.Go(func() {
			defer close(run.done)
			run.Run(ctx)
		})
	}
}

// ending is background work that was told to end.
type ending struct {
	Table driver.Table // of a feed; the zero Table for all other work
	Done  <-chan struct{}
}

// Stop ends all background work and returns what has to be waited for.
func (e *Engine) Stop() []ending {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	e.cancel(live.ErrClosed)
	ends := make([]ending, 0, len(e.feeds)+1)
	for _, run := range e.feeds {
		if run.cancel == nil { // it never ran; nobody waits for it in vain
			run.Feed.Close(live.ErrClosed)
			continue
		}
		ends = append(ends, ending{run.Table, run.done})
	}
	// Feeds whose last binding was removed are not on the list any more.
	all := make(chan struct{})
	go func() {
		e.wg.Wait()
		close(all)
	}()
	return append(ends, ending{Done: all})
}

// Background runs a function until the engine stops. It returns false when that has
// come before.
func (e *Engine) Background(fn func(context.Context)) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return false
	}
	e.wg.Go(func() { fn(e.ctx) })
	return true
}

// Detach takes a declaration from its feed, and ends a feed without any. Its
// members have gone before.
func (e *Engine) Detach(ctx context.Context, v *rowset.Member) error {
	e.mu.Lock()
	run := e.findLocked(v.Schema().Table)
	if run == nil {
		e.mu.Unlock()
		return nil
	}
	// Retracted first: the batch that takes the binding out of the feed forgets what no
	// declaration uses.
	idle := run.Retract(v)
	run.Remove(v)
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

// Feeds returns the feeds, in the order in which they came.
func (e *Engine) Feeds() []*feed.Feed { return e.routes.Load().order }
