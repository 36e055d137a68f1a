package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/status"
)

// Source runs one source: it calls Watch, retries after failures, and tracks the source's
// state.
type Source struct {
	eng    *Engine
	source driver.Source
	scope  driver.Scoper // nil: all tables

	follows driver.Follower // nil: it does not follow the database's log
	chooses driver.Chooser  // nil: it leaves the work to no other source

	reports  atomic.Uint64
	reporter *backlog.Reporter
	done     chan struct{} // closed when Watch will not be called again

	mu       sync.Mutex // guards what follows
	watching bool
	sees     bool          // watching, and missed changes are reported
	turned   chan struct{} // closed and replaced when sees becomes true
	since    time.Time
	err      error         // why it is not watching
	failures uint64        // returns of Watch and calls of Lost
	settled  chan struct{} // closed when it has first watched or failed
	once     sync.Once
}

func newSourceRun(eng *Engine, s driver.Source) *Source {
	scope, _ := s.(driver.Scoper)
	follows, _ := s.(driver.Follower)
	chooses, _ := s.(driver.Chooser)
	return &Source{
		reporter: &backlog.Reporter{},
		eng:      eng, source: s, scope: scope, follows: follows, chooses: chooses, since: eng.host.Now(),
		err: errors.New("not watching yet"), turned: make(chan struct{}), settled: make(chan struct{}), done: make(chan struct{}),
	}
}

// Name returns the source's name.
func (r *Source) Name() string { return r.source.Name() }

// Ended returns a channel that is closed when Watch will not be called again.
func (r *Source) Ended() <-chan struct{} { return r.done }

// FirstTry returns a channel that is closed when the source has begun to watch, or has
// failed to.
func (r *Source) FirstTry() <-chan struct{} { return r.settled }

// Covers reports whether the source watches the table.
func (r *Source) Covers(t driver.Table) bool {
	return r.scope == nil || r.scope.Scope().Covers(t)
}

func (r *Source) coversAny(tables []driver.Table) bool {
	return slices.ContainsFunc(tables, r.Covers)
}

// follower returns the source that follows the database's log, nil for none.
func (r *Source) follower() driver.Follower {
	if r.chooses == nil {
		return r.follows
	}
	f, _ := r.chooses.Chosen().(driver.Follower)
	return f
}

func (r *Source) state() (watching bool, since time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.watching, r.since, r.err
}

func (r *Source) status() status.Source {
	via := ""
	if r.chooses != nil {
		if s := r.chooses.Chosen(); s != nil {
			via = s.Name()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return status.Source{
		Name: r.Name(), Via: via, Watching: r.watching, Since: r.since, Err: r.err,
		Reports: r.reports.Load(), Failures: r.failures, Found: r.reporter.Found.Load(),
	}
}

// setWatching notes that the source watches, and has its feeds make up for missed changes.
func (r *Source) setWatching() {
	r.mu.Lock()
	again := !r.watching && r.failures > 0
	if !r.watching {
		r.since = r.eng.host.Now()
	}
	r.watching, r.err = true, nil
	failures := r.failures
	r.mu.Unlock()
	if again {
		r.eng.host.Logger.Info("core: source sees changes again", slog.String("id", "core-source-sees"), slog.String("source", r.Name()))
	}
	routes := r.eng.routes.Load()
	for _, f := range routes.order {
		if r.coversAny(routes.hears(f.Table)) {
			f.Mend(r.reporter)
		}
	}
	r.mu.Lock()
	if r.failures == failures && !r.sees { // it was not lost meanwhile
		r.sees = true
		close(r.turned)
		r.turned = make(chan struct{})
	}
	r.mu.Unlock()
	r.settle()
}

func (r *Source) setLost(err error) {
	if err == nil {
		err = errors.New("lost for an unknown reason")
	}
	r.mu.Lock()
	was, before := r.watching, r.err
	if was {
		r.since = r.eng.host.Now()
	}
	r.watching, r.sees, r.err = false, false, err
	r.failures++
	r.mu.Unlock()
	if was || before == nil || before.Error() != err.Error() {
		r.eng.host.Logger.Warn("core: source does not see changes for now", slog.String("id", "core-source-blind"),
			slog.String("source", r.Name()), slog.Any("error", err))
	}
	r.settle()
}

func (r *Source) settle() { r.once.Do(func() { close(r.settled) }) }

// run calls Watch until ctx is done.
func (r *Source) run(ctx context.Context) {
	defer close(r.done)
	backoff := backlog.NewBackoff()
	for {
		begun := time.Now()
		err := r.watch(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("it stopped watching without saying why")
		}
		err = fmt.Errorf("core: watching with source %q: %w", r.Name(), err)
		r.setLost(err)
		if driver.IsPermanent(err) {
			r.eng.host.Logger.Error("core: source cannot watch and is given up", slog.String("id", "core-source-given-up"),
				slog.String("source", r.Name()), slog.Any("error", err))
			return
		}
		if time.Since(begun) > max(backoff.Wait, time.Second) {
			backoff.Reset() // it worked for longer than the next wait
		}
		timer := time.NewTimer(backoff.Next())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

func (r *Source) watch(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	s := &sink{run: r}
	defer s.end()
	return r.source.Watch(ctx, s)
}
