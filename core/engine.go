package core

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/budget"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
)

// engine is what runs: one feed per table, and the sources that report to them.
// The registry assembles it and owns it.
type engine struct {
	cfg Config
	log *slog.Logger
	now func() time.Time

	ctx    context.Context // of all background work
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup // feeds

	limiters sync.Map // of comparisons, by database

	budget  *budget.Budget
	parties parties

	mu             sync.Mutex // guards what follows
	feeds          map[driver.Table]*feedRun
	order          []driver.Table       // of the feeds, as they came
	routes         routes               // to the feeds
	changed        chan struct{}        // closed when routes come or go, then replaced
	sources        []*sourceRun         // fixed at Start
	observers      []namedObserver      // fixed at Start
	batchObservers []namedBatchObserver // fixed at Start
	stopped        bool                 // no feed starts any more

	came notice // tells that bindings or members have come or gone

	// reportObservers are set before the first source watches.
	reportObservers []ReportObserver
}

type feedRun struct {
	*feed
	hears   map[driver.Table]int // the tables whose changes concern it, and how many bindings say so
	relates map[driver.Table]int // those of them whose rows are shown in its rows
	cancel  context.CancelCauseFunc
	done    chan struct{}
}

type namedObserver struct {
	name string
	PublishObserver
}

func newEngine(cfg Config) *engine {
	e := &engine{
		cfg:     cfg,
		log:     cfg.Logger,
		now:     cfg.Now,
		feeds:   make(map[driver.Table]*feedRun),
		routes:  routes{feeds: make(map[driver.Table][]*feedRun)},
		changed: make(chan struct{}),
		budget:  newBudget(cfg),
	}
	e.ctx, e.cancel = context.WithCancelCause(context.Background())
	return e
}

// attach makes the feed of the declaration's table exist, and gives it the
// binding, unless that is a family. It is loaded by load.
func (e *engine) attach(v *publisher) {
	table := v.Schema().Table
	e.mu.Lock()
	defer e.mu.Unlock()
	run := e.feeds[table]
	if run == nil {
		run = &feedRun{feed: newFeed(e, table), hears: make(map[driver.Table]int), relates: make(map[driver.Table]int), done: make(chan struct{})}
		e.feeds[table] = run
		e.order = append(e.order, table)
	}
	run.declare(v.Member)
	v.feed.Store(run.feed)
	if !v.Spec.Family {
		run.addView(v.Member)
		v.joinBudget(e, 0)
	}
	if e.routes.add(run, v.Member) {
		e.tellLocked()
	}
}

// join gives a family's member to the family's feed and has it loaded.
func (e *engine) join(v *publisher) {
	f := v.family.proto.feed.Load()
	v.feed.Store(f)
	f.addView(v.Member)
	f.reload(v.Member, backlog.Reload{})
}

// load has the bindings read, and starts the feeds that do not run yet.
func (e *engine) load(views []*publisher) receipt {
	var r receipt
	for _, v := range views {
		if !v.Spec.Family {
			r = append(r, v.feed.Load().reload(v.Member, backlog.Reload{})...)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, table := range e.order {
		run := e.feeds[table]
		if run.cancel != nil {
			continue
		}
		if e.stopped { // Shutdown has come between
			run.feed.close(live.ErrClosed)
			continue
		}
		ctx, cancel := context.WithCancelCause(e.ctx)
		run.cancel = cancel
		e.wg.Add(1)
		go func() {
			defer e.wg.Done()
			defer close(run.done)
			run.run(ctx)
		}()
	}
	return r
}

// stop ends all background work and returns what has to be waited for.
func (e *engine) stop() []part {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	e.cancel(live.ErrClosed)
	parts := make([]part, 0, len(e.order)+1)
	for _, table := range e.order {
		run := e.feeds[table]
		if run.cancel == nil { // it never ran; nobody waits for it in vain
			run.feed.close(live.ErrClosed)
			continue
		}
		parts = append(parts, part{fmt.Sprintf("the read of table %q", table), waitFor(run.done)})
	}
	// Feeds whose last binding was removed are not on the list any more.
	return append(parts, part{"background work", func(context.Context) error { e.wg.Wait(); return nil }})
}

// background runs fn on a goroutine that stop waits for. It returns false, and
// does not run it, when that has been called.
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
func (e *engine) detach(ctx context.Context, v *publisher) error {
	e.mu.Lock()
	table := v.Schema().Table
	run := e.feeds[table]
	if run == nil {
		e.mu.Unlock()
		return nil
	}
	run.removeView(v.Member)
	idle := run.retract(v.Member)
	if e.routes.remove(run, v.Member) {
		e.tellLocked()
	}
	if !idle {
		e.mu.Unlock()
		return nil
	}
	delete(e.feeds, table)
	for i, t := range e.order {
		if t == table {
			e.order = append(e.order[:i:i], e.order[i+1:]...)
			break
		}
	}
	cancel := run.cancel
	e.mu.Unlock()
	if cancel == nil {
		return nil // it was removed before it was loaded
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
func (e *engine) running() []*feed {
	e.mu.Lock()
	defer e.mu.Unlock()
	fs := make([]*feed, len(e.order))
	for i, t := range e.order {
		fs[i] = e.feeds[t].feed
	}
	return fs
}

// tellLocked tells the sources that what is bound has changed.
func (e *engine) tellLocked() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// matching returns the feeds that a change of the table concerns.
func (e *engine) matching(t driver.Table) []route {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.routes.of(t)
}

// watched reports whether every source that covers one of the tables that the
// feed of table t hears of is watching (or none covers any), since when that is
// so or is not, and if not, why.
func (e *engine) watched(t driver.Table) (ok bool, since time.Time, why error) {
	hears := e.hears(t)
	e.mu.Lock()
	sources := e.sources
	e.mu.Unlock()
	ok = true
	for _, s := range sources {
		if !s.coversAny(hears) {
			continue
		}
		watching, at, err := s.state()
		switch {
		case !watching && ok:
			ok, since, why = false, at, err
		case watching && ok && at.After(since):
			since = at
		case !watching && at.Before(since): // the oldest cause is the one that goes on
			since, why = at, err
		}
	}
	return ok, since, why
}

// following returns the sources that follow the table's database, see what
// concerns the feed of table t, and are watching. A feed whose every read is of everything need not catch up with
// any: it never reads a part of a commit.
func (e *engine) following(t driver.Table) []driver.Follower {
	e.mu.Lock()
	sources := e.sources
	run := e.feeds[t]
	e.mu.Unlock()
	hears := e.hears(t)
	if run != nil {
		if derived, _ := run.pace.mode(); derived {
			return nil
		}
	}
	var fs []driver.Follower
	for _, s := range sources {
		follows := s.follower()
		if follows == nil || !s.coversAny(hears) {
			continue
		}
		if watching, _, _ := s.state(); watching {
			fs = append(fs, follows)
		}
	}
	return fs
}

// observe tells the plugins of a new version.
func (e *engine) observe(v *rowset.Member, ev *live.Event) {
	e.mu.Lock()
	observers := e.observers
	e.mu.Unlock()
	for _, o := range observers {
		func() {
			defer func() {
				if r := recover(); r != nil {
					e.log.Error("core: plugin panicked while observing a new version",
						slog.String("plugin", o.name), slog.String("binding", v.Name()),
						slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
				}
			}()
			o.Published(v.View, ev)
		}()
	}
}

// reported tells the plugins what a source has reported.
func (e *engine) reported(by driver.Source, changes []driver.Change) {
	for _, o := range e.reportObservers {
		func() {
			defer func() {
				if r := recover(); r != nil {
					e.log.Error("core: plugin panicked while observing a report",
						slog.String("source", by.Name()), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
				}
			}()
			o.Reported(by, changes)
		}()
	}
}
